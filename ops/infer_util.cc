#include "ops/infer_util.h"

#include <algorithm>

namespace sluice {

DType InputDType(const InferContext& c, size_t i) {
  const Type& type = c.InputType(i);
  return type.is_tensor() ? type.dtype() : DType::kInvalid;
}

std::optional<Shape> InputShape(const InferContext& c, size_t i) {
  const Type& type = c.InputType(i);
  if (!type.is_tensor() || !type.has_shape()) return std::nullopt;
  return type.shape();
}

Type TensorType(DType dtype, const std::optional<Shape>& shape) {
  if (dtype == DType::kInvalid) return Type();
  return shape.has_value() ? Type::Tensor(dtype, *shape) : Type::Tensor(dtype);
}

absl::Status SameAsInput(InferContext& c) {
  c.SetOutput(0, TensorType(InputDType(c, 0), InputShape(c, 0)));
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Shape>> BroadcastInputShapes(const InferContext& c, size_t first) {
  std::optional<Shape> result = Shape{};
  for (size_t i = first; i < c.num_inputs(); ++i) {
    if (!c.HasInput(i)) continue;
    std::optional<Shape> shape = InputShape(c, i);
    if (!shape.has_value()) {
      result.reset();
    } else if (result.has_value()) {
      absl::StatusOr<Shape> joined =
          BroadcastShapes(*result, *shape, [] { return Dim::Unknown(); });
      if (!joined.ok()) return c.Error(joined.status().message());
      result = *std::move(joined);
    }
  }
  return result;
}

namespace {
absl::Status BroadcastAs(InferContext& c, DType dtype) {
  absl::StatusOr<std::optional<Shape>> shape = BroadcastInputShapes(c);
  if (!shape.ok()) return shape.status();
  c.SetOutput(0, TensorType(dtype, *shape));
  return absl::OkStatus();
}
}  // namespace

absl::Status BroadcastInfer(InferContext& c) { return BroadcastAs(c, InputDType(c, 0)); }
absl::Status BroadcastInferBool(InferContext& c) { return BroadcastAs(c, DType::kBool); }

std::optional<Shape> SmallInputDims(const InferContext& c, size_t i) {
  const Tensor* constant = c.InputTensor(i);
  if (constant != nullptr) {
    if (constant->rank() > 1 || constant->elements() > static_cast<int64_t>(kMaxKnownDims)) {
      return std::nullopt;
    }
    if (constant->dtype() == DType::kBool) {
      Shape shape;
      for (int64_t k = 0; k < constant->elements(); ++k) {
        shape.push_back(constant->data<uint8_t>()[k] != 0);
      }
      return shape;
    }
  }
  std::optional<Shape> dims = c.InputDims(i);
  if (dims.has_value() && dims->size() > kMaxKnownDims) return std::nullopt;
  return dims;
}

std::optional<Shape> CombineKnownDims(const InferContext& c, DimFn op, size_t a, size_t b) {
  for (size_t i : {a, b}) {
    const Type& type = c.InputType(i);
    if (!type.is_tensor() || !type.has_shape() || type.rank() > 1) return std::nullopt;
  }
  std::optional<Shape> x = SmallInputDims(c, a);
  if (!x.has_value()) return std::nullopt;
  std::optional<Shape> y = SmallInputDims(c, b);
  if (!y.has_value()) return std::nullopt;
  if (x->size() != y->size() && x->size() != 1 && y->size() != 1) return std::nullopt;
  // One element against none gives none.
  const size_t n = x->size() == 1 ? y->size() : x->size();
  Shape result;
  for (size_t i = 0; i < n; ++i) {
    const Dim& p = (*x)[x->size() == 1 ? 0 : i];
    const Dim& q = (*y)[y->size() == 1 ? 0 : i];
    result.push_back(p.is_unknown() || q.is_unknown() ? Dim::Unknown() : op(p, q));
  }
  return result;
}

absl::StatusOr<std::vector<int>> NormalizeAxes(const InferContext& c,
                                               absl::Span<const int64_t> axes, int rank) {
  std::vector<int> result;
  for (int64_t axis : axes) {
    absl::StatusOr<int> normal = c.Axis(axis, rank);
    if (!normal.ok()) return normal.status();
    result.push_back(*normal);
  }
  std::sort(result.begin(), result.end());
  if (auto twice = std::adjacent_find(result.begin(), result.end()); twice != result.end()) {
    return c.Error("axis ", *twice, " stands twice in the axes; expected each once");
  }
  return result;
}

Shape ReducedShape(const Shape& shape, absl::Span<const int> axes, bool keepdims) {
  Shape result;
  for (int i = 0; i < static_cast<int>(shape.size()); ++i) {
    const bool reduced = std::find(axes.begin(), axes.end(), i) != axes.end();
    if (!reduced) {
      result.push_back(shape[i]);
    } else if (keepdims) {
      result.push_back(1);
    }
  }
  return result;
}

bool AxisIsInner(const Node& node) {
  const Type& x = node.input(0)->type();
  if (!x.is_tensor() || !x.has_shape()) return false;
  const int64_t axis = node.Int("axis");
  return axis != 0 && axis != -x.rank();
}

Dim ProductOfDims(const Shape& shape, int first, int last) {
  Dim product = 1;
  for (int i = first; i < last; ++i) product = product * shape[i];
  return product;
}

absl::Status CheckRank(const InferContext& c, size_t i, int min_rank, int max_rank) {
  const std::optional<Shape> shape = InputShape(c, i);
  if (!shape.has_value()) return absl::OkStatus();
  const int rank = static_cast<int>(shape->size());
  if (rank >= min_rank && rank <= max_rank) return absl::OkStatus();
  if (min_rank == max_rank) {
    return c.Error("input ", i, " has rank ", rank, "; expected ", min_rank);
  }
  if (max_rank == INT32_MAX) {
    return c.Error("input ", i, " has rank ", rank, "; expected at least ", min_rank);
  }
  return c.Error("input ", i, " has rank ", rank, "; expected ", min_rank, " to ", max_rank);
}

}  // namespace sluice
