// Ops that pick elements, or whose sizes depend on data.
#include <algorithm>
#include <numeric>

#include "ops/op.h"
#include "tests/random/lines.h"

namespace sluice::random {
namespace {

int64_t RankOf(const Value* v) { return v->type().rank(); }
const Dim& DimOf(const Value* v, int64_t axis) { return v->type().dim(static_cast<int>(axis)); }

Value* DrawGather(Maker& m, const std::string& op) {
  Value* x = m.Operand(kAllTypes, 1, 4);
  const int64_t axis = m.random().Below(RankOf(x));
  return m.Op(op, {x, m.Indices(DimOf(x, axis), m.AnyShape(0, 2))},
              {{"axis", m.random().Chance(30) ? axis - RankOf(x) : axis}});
}

Value* DrawGatherElements(Maker& m, const std::string& op) {
  Value* x = m.KnownOperand(kAllTypes, 1, 4);
  if (x == nullptr) return nullptr;
  const int64_t axis = m.random().Below(RankOf(x));
  Shape shape = x->type().shape();
  shape[axis] = m.random().Between(1, 4);
  return m.Op(op, {x, m.Indices(DimOf(x, axis), shape)}, {{"axis", axis}});
}

Value* DrawGatherND(Maker& m, const std::string& op) {
  Value* x = m.KnownOperand(kAllTypes, 1, 4);
  if (x == nullptr) return nullptr;
  return m.Op(op,
              {x, m.Op("Cast", {m.Indices(DimOf(x, 0), {m.AnyDim(), 1})}, {{"to", DType::kI64}})});
}

const char* Reduction(Maker& m, DType dtype) {
  if (!IsNumeric(dtype)) return "none";
  return m.random().Of<const char*>({"none", "none", "add", "mul", "max", "min"});
}

// Each index once, so that the order does not matter.
Value* OnceEach(Maker& m, int64_t n, const Shape& shape) {
  std::vector<int64_t> all(static_cast<size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  m.random().Shuffle(&all);
  const int64_t count = shape[0].number();
  Tensor t = *Tensor::Allocate(DType::kI64, *Type::Tensor(DType::kI64, shape).StaticDims());
  const int64_t width = count == 0 ? 1 : t.elements() / count;
  for (int64_t i = 0; i < t.elements(); ++i)
    t.mutable_data<int64_t>()[i] = all[static_cast<size_t>(i / width)];
  return m.random().Chance(60) ? m.Constant(t)
                               : m.Fed(DType::kI64, shape, std::vector<Tensor>(m.runs(), t));
}

Value* DrawScatterElements(Maker& m, const std::string& op) {
  Value* x = m.KnownOperand(kAllTypes, 1, 3);
  if (x == nullptr || !x->type().has_static_shape()) return nullptr;
  const DType dtype = x->type().dtype();
  Shape shape = x->type().shape();
  shape[0] = m.random().Between(0, shape[0].number());
  return m.Op(op, {x, OnceEach(m, DimOf(x, 0).number(), shape), m.Like(dtype, shape)},
              {{"axis", 0}, {"reduction", Reduction(m, dtype)}});
}

Value* DrawScatterND(Maker& m, const std::string& op) {
  Value* x = m.KnownOperand(kAllTypes, 1, 3);
  if (x == nullptr) return nullptr;
  const DType dtype = x->type().dtype();
  Shape shape = x->type().shape();
  shape[0] = m.random().Between(0, *m.Least(DimOf(x, 0)));
  return m.Op(op, {x, OnceEach(m, *m.Least(DimOf(x, 0)), {shape[0], 1}), m.Like(dtype, shape)},
              {{"reduction", Reduction(m, dtype)}});
}

Value* DrawCompress(Maker& m, const std::string& op) {
  Value* x = m.KnownOperand(kNumericTypes, 1, 4);
  if (x == nullptr) return nullptr;
  const int64_t axis = m.random().Below(RankOf(x));
  return m.Op(op, {x, m.Like(DType::kBool, {DimOf(x, axis)})}, {{"axis", axis}});
}

Value* DrawNonZero(Maker& m, const std::string& op) {
  Value* x = m.Operand(kNumericTypes | kBoolType, 1, 4);
  if (IsFloat(x->type().dtype()) || m.random().Chance(50)) {
    x = m.Op("Greater", {x, m.Scalar(x->type().dtype(), 0)});
    if (x == nullptr) return nullptr;
  }
  Value* found = m.Op(op, {x});
  if (found == nullptr || m.random().Chance(40)) return found;
  m.Add(found);
  Value* rows = m.Op("Transpose", {found}, {{"perm", std::vector<int64_t>{1, 0}}});
  Value* data = m.Like(DType::kF32, x->type().shape());
  Value* picked = data == nullptr ? nullptr : m.Op("GatherND", {data, rows});
  return picked != nullptr ? picked : rows;
}

Value* DrawOneHot(Maker& m, const std::string& op) {
  const DType dtype = m.AnyDType(DTypeSet{DType::kF32, DType::kI64, DType::kI32});
  Value* indices = m.Operand(kIndexTypes, 0, 3);
  return m.Op(
      op, {indices, m.IntScalar(m.random().Between(1, 6)), m.Like(dtype, {2})},
      {{"axis",
        m.random().Chance(50) ? -1 : m.random().Between(-RankOf(indices) - 1, RankOf(indices))}});
}

// Of fed numbers its length is not known before the run, and differs from one to the next.
Value* DrawRange(Maker& m, const std::string& op) {
  const DType dtype = m.AnyDType(DTypeSet{DType::kF32, DType::kI64, DType::kI32});
  if (m.random().Chance(40)) {
    std::vector<Tensor> limits;
    for (size_t run = 0; run < m.runs(); ++run)
      limits.push_back(Tensor::Scalar<int64_t>(m.random().Between(-1, 7)));
    return m.Op(op, {m.IntScalar(0, 0), m.Fed(DType::kI64, {}, limits), m.IntScalar(1, 0)});
  }
  Value* x = m.random().Chance(40) ? m.Pick([&](const Value* v) { return v->type().rank() > 0; })
                                   : nullptr;
  if (x != nullptr)
    return m.Op(op,
                {m.IntScalar(0, 0), m.Op("Size", {x}), m.IntScalar(m.random().Between(1, 3), 0)});
  return m.Op(op,
              {m.Scalar(dtype, 0), m.Scalar(dtype, static_cast<double>(m.random().Between(0, 9))),
               m.Scalar(dtype, m.random().Of({1.0, 2.0}))});
}

Value* DrawTopK(Maker& m, const std::string& op) {
  Value* x = m.KnownOperand(kNumericTypes, 1, 4);
  if (x == nullptr) return nullptr;
  const int64_t axis = m.random().Below(RankOf(x)), most = *m.Least(DimOf(x, axis));
  std::vector<Tensor> counts;
  for (size_t run = 0; run < m.runs(); ++run) {
    const int64_t k = m.random().Between(m.random().Chance(10) ? 0 : 1, most);
    counts.push_back(Tensor::FromSpan<int64_t>({1}, {k}));
  }
  Value* k = m.random().Chance(60) ? m.Constant(counts[0]) : m.Fed(DType::kI64, {1}, counts);
  const std::vector<Value*> both =
      m.OpN(op, {x, k}, 2, {{"axis", axis}, {"largest", m.random().Of({0, 1})}});
  m.Add(both[1]);
  return both[0];
}

Value* DrawShape(Maker& m, const std::string& op) {
  Value* x = m.Operand(kAllTypes, 0, 5);
  AttrList attrs;
  if (m.random().Chance(40)) attrs.push_back({"start", m.random().Between(-2, 2)});
  if (m.random().Chance(30)) attrs.push_back({"end", m.random().Between(-1, 3)});
  return m.Op(op, {x}, attrs);
}
Value* DrawSize(Maker& m, const std::string& op) { return m.Op(op, {m.Operand(kAllTypes)}); }

Value* DrawConstant(Maker& m, const std::string&) {
  const std::optional<Dims> dims = Type::Tensor(DType::kF32, m.AnyShape(0, 3)).StaticDims();
  return dims ? m.Constant(m.Contents(m.AnyDType(kAllTypes), *dims)) : nullptr;
}

Value* DrawConstantOfShape(Maker& m, const std::string& op) {
  AttrList attrs;
  if (m.random().Chance(80))
    attrs.push_back({"value", m.Contents(m.AnyDType(kNumericTypes | kBoolType), {1})});
  return m.Op(op, {m.Extents(m.AnyShape(0, 3))}, attrs);
}

Value* DrawEyeLike(Maker& m, const std::string& op) {
  return m.Op(op, {m.Operand(kNumericTypes, 2, 2)},
              {{"k", m.random().Between(-2, 2)},
               {"dtype", m.AnyDType(DTypeSet{DType::kF32, DType::kI64})}});
}

constexpr Line kLines[] = {
    {"Gather", 9, DrawGather},       {"GatherElements", 3, DrawGatherElements},
    {"GatherND", 3, DrawGatherND},   {"ScatterElements", 3, DrawScatterElements},
    {"ScatterND", 3, DrawScatterND}, {"Compress", 4, DrawCompress},
    {"NonZero", 5, DrawNonZero},     {"OneHot", 3, DrawOneHot},
    {"Range", 5, DrawRange},         {"TopK", 4, DrawTopK},
    {"Shape", 6, DrawShape},         {"Size", 2, DrawSize},
    {"Constant", 3, DrawConstant},   {"ConstantOfShape", 5, DrawConstantOfShape},
    {"EyeLike", 2, DrawEyeLike},
};

}  // namespace

absl::Span<const Line> IndexLines() { return kLines; }

}  // namespace sluice::random
