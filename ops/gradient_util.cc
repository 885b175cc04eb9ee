#include "ops/gradient_util.h"

#include <numeric>

namespace sluice {
namespace {

bool KnownShape(const Value* v) { return v->type().is_tensor() && v->type().has_shape(); }

// Where stretching cannot be told from the types: axes are found by looking for ones in the shape.
Value* SumToShapeAtRunTime(GraphBuilder& b, Value* grad, Value* like) {
  Value* shape = b.Op("Shape", {like});
  Value* padded = shape;
  if (!KnownShape(grad) || !KnownShape(like) || grad->type().rank() != like->type().rank()) {
    Value* missing = b.Op("Sub", {b.Op("Shape", {b.Op("Shape", {grad})}), b.Op("Shape", {shape})});
    Value* ones = b.Op("ConstantOfShape", {missing},
                       {{"value", Tensor::Vector<int64_t>(std::vector<int64_t>{1})}});
    padded = b.Op("Concat", {ones, shape}, {{"axis", 0}});
  }
  Value* is_one = b.Op("Equal", {padded, b.Ints({1})});
  Value* axes = b.Op("Reshape", {b.Op("NonZero", {is_one}), b.Ints({-1})});
  Value* sum = b.Op("ReduceSum", {grad, axes}, {{"keepdims", 1}, {"noop_with_empty_axes", 1}});
  return b.Op("Reshape", {sum, shape}, {{"allowzero", 1}});
}

}  // namespace

Value* ShapeOf(GraphBuilder& b, Value* v) {
  if (v == nullptr) return nullptr;
  if (std::optional<Dims> dims = v->type().is_tensor() ? v->type().StaticDims() : std::nullopt) {
    return b.Ints(*dims);
  }
  return b.Op("Shape", {v});
}

Value* FillLike(GraphBuilder& b, Value* like, double value) {
  if (like == nullptr) return nullptr;
  Value* scalar = b.ScalarLike(like, value);
  if (KnownShape(like) && like->type().rank() == 0) return scalar;
  return b.Op("Expand", {scalar, ShapeOf(b, like)});
}

Value* SumToShapeOf(GraphBuilder& b, Value* grad, Value* like) {
  if (grad == nullptr || like == nullptr) return nullptr;
  if (!KnownShape(grad) || !KnownShape(like)) return SumToShapeAtRunTime(b, grad, like);
  const Shape& from = grad->type().shape();
  const Shape& to = like->type().shape();
  if (from == to) return grad;
  if (from.size() < to.size()) return SumToShapeAtRunTime(b, grad, like);
  const size_t added = from.size() - to.size();
  std::vector<int64_t> axes(added);
  std::iota(axes.begin(), axes.end(), 0);
  bool keeps_rank = added == 0;
  for (size_t i = 0; i < to.size(); ++i) {
    const Dim& g = from[added + i];
    if (g == to[i]) continue;
    // A symbol against another extent may turn out to be 1; a number other than 1 never stretches.
    if (!to[i].is_number()) return SumToShapeAtRunTime(b, grad, like);
    if (to[i].number() != 1) continue;
    axes.push_back(static_cast<int64_t>(added + i));
  }
  if (axes.empty()) return grad;
  if (axes.size() == added) return b.Op("ReduceSum", {grad, b.Ints(axes)}, {{"keepdims", 0}});
  Value* sum = b.Op("ReduceSum", {grad, b.Ints(axes)}, {{"keepdims", 1}});
  if (keeps_rank) return sum;
  axes.resize(added);
  return b.Op("Squeeze", {sum, b.Ints(axes)});
}

Value* SwapLastTwo(GraphBuilder& b, Value* v) {
  if (v == nullptr) return nullptr;
  std::vector<int64_t> perm(v->type().shape().size());
  std::iota(perm.begin(), perm.end(), 0);
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return b.Op("Transpose", {v}, {{"perm", std::move(perm)}});
}

}  // namespace sluice
