// Reductions, norms and what else looks along axes.
#include <algorithm>

#include "ops/op.h"
#include "tests/random/lines.h"

namespace sluice::random {
namespace {

int64_t RankOf(const Value* v) { return v->type().rank(); }
const Dim& DimOf(const Value* v, int64_t axis) { return v->type().dim(static_cast<int>(axis)); }

int64_t AnyAxis(Maker& m, const Value* x) { return m.random().Between(-RankOf(x), RankOf(x) - 1); }

Value* Reduce(Maker& m, const std::string& op) {
  Random& r = m.random();
  Value* x = m.Operand(StandardOps().Find(op)->FindTypeVar("T")->dtypes, 0, 5);
  if (op == "ReduceMean" && r.Chance(30)) x = m.Input(DType::kI64, m.AnyShape(1, 3));
  if (x->type().dtype() == DType::kString) return nullptr;
  const AttrList attrs = {{"keepdims", r.Of({0, 1})}, {"noop_with_empty_axes", r.Chance(10)}};
  if (RankOf(x) == 0 || r.Chance(12)) return m.Op(op, {x}, attrs);
  std::vector<int64_t> axes;
  const bool negative = r.Chance(40);
  for (int64_t i = 0; i < RankOf(x); ++i) {
    if (r.Chance(i + 1 == RankOf(x) ? 60 : 30)) axes.push_back(negative ? i - RankOf(x) : i);
  }
  return m.Op(op, {x, m.Ints(axes, 6)}, attrs);
}

Value* Arg(Maker& m, const std::string& op) {
  Value* x = m.KnownOperand(kNumericTypes, 1, 4);
  if (x == nullptr) return nullptr;
  return m.Op(op, {x},
              {{"axis", AnyAxis(m, x)},
               {"keepdims", m.random().Of({0, 1})},
               {"select_last_index", m.random().Chance(20)}});
}

Value* DrawCumSum(Maker& m, const std::string& op) {
  Value* x = m.Operand(DTypeSet{DType::kF32, DType::kF64, DType::kI64, DType::kI32}, 1, 4);
  return m.Op(op, {x, m.IntScalar(AnyAxis(m, x))},
              {{"exclusive", m.random().Chance(25)}, {"reverse", m.random().Chance(25)}});
}

Value* AlongAxis(Maker& m, const std::string& op) {
  Value* x = m.Operand(kFloatTypes, 1, 4);
  return m.Op(op, {x}, {{"axis", m.random().Chance(60) ? -1 : AnyAxis(m, x)}});
}

Value* DrawLpNormalization(Maker& m, const std::string& op) {
  Value* x = m.Operand(kFloatTypes, 1, 4);
  return m.Op(op, {x}, {{"axis", AnyAxis(m, x)}, {"p", m.random().Of({1, 2})}});
}

float Epsilon(Maker& m) { return m.random().Of({1e-5f, 1e-3f, 0.01f}); }

Value* DrawBatchNormalization(Maker& m, const std::string& op) {
  Value* x = m.Operand(kFloatTypes, 2, 5);
  const Shape channels = {DimOf(x, 1)};
  const DType d = x->type().dtype();
  Value* variance = m.Like(d, channels);
  if (variance != nullptr && m.random().Chance(90)) variance = m.Op("Abs", {variance});
  return m.Op(op, {x, m.Like(d, channels), m.Like(d, channels), m.Like(d, channels), variance},
              {{"epsilon", Epsilon(m)}});
}

Value* DrawLayerNormalization(Maker& m, const std::string& op) {
  Value* x = m.Operand(kFloatTypes, 1, 4);
  const int64_t axis = m.random().Chance(70) ? RankOf(x) - 1 : m.random().Below(RankOf(x));
  const Shape shape(x->type().shape().begin() + axis, x->type().shape().end());
  const DType d = x->type().dtype();
  const AttrList attrs = {{"axis", axis - (m.random().Chance(40) ? RankOf(x) : 0)},
                          {"epsilon", Epsilon(m)}};
  if (op == "RMSNormalization") return m.Op(op, {x, m.Like(d, shape)}, attrs);
  Value* bias = m.random().Chance(30) ? nullptr : m.Like(d, shape);
  if (m.random().Chance(85)) return m.Op(op, {x, m.Like(d, shape), bias}, attrs);
  const std::vector<Value*> all = m.OpN(op, {x, m.Like(d, shape), bias}, 3, attrs);
  m.Add(all[1]);
  m.Add(all[2]);
  return all[0];
}

Value* DrawInstanceNormalization(Maker& m, const std::string& op) {
  Value* x = m.KnownOperand(kFloatTypes, 3, 5);
  if (x == nullptr) return nullptr;
  const DType d = x->type().dtype();
  return m.Op(op, {x, m.Like(d, {DimOf(x, 1)}), m.Like(d, {DimOf(x, 1)})},
              {{"epsilon", Epsilon(m)}});
}

Value* DrawGroupNormalization(Maker& m, const std::string& op) {
  const int64_t groups = m.random().Of<int64_t>({1, 2, 4});
  Value* x = m.Pick([&](const Value* v) {
    return v->type().rank() >= 3 && IsFloat(v->type().dtype()) && v->type().dim(1).is_number() &&
           v->type().dim(1).number() > 0 && v->type().dim(1).number() % groups == 0;
  });
  if (x == nullptr) x = m.Input(m.AnyDType(kFloatTypes), {m.AnyDim(), groups * 2, 3, m.AnyDim()});
  const DType d = x->type().dtype();
  return m.Op(op, {x, m.Like(d, {DimOf(x, 1)}), m.Like(d, {DimOf(x, 1)})},
              {{"num_groups", groups}, {"epsilon", Epsilon(m)}});
}

Value* DrawMeanVariance(Maker& m, const std::string& op) {
  Value* x = m.Operand(kFloatTypes, 4, 4);
  if (m.random().Chance(60)) return m.Op(op, {x});
  return m.Op(op, {x}, {{"axes", std::vector<int64_t>{m.random().Below(4)}}});
}

Value* DrawLrn(Maker& m, const std::string& op) {
  Value* x = m.Operand(kFloatTypes, 3, 4);
  return m.Op(op, {x}, {{"size", m.random().Of({1, 3, 5})}, {"alpha", 0.1f}});
}

Value* DrawEinsum(Maker& m, const std::string& op) {
  Random& r = m.random();
  const DType d = m.AnyDType(DTypeSet{DType::kF32, DType::kF64, DType::kI64});
  const Dim i = m.AnyDim(), j = m.AnyDim(), k = m.AnyDim(), b = m.AnyDim();
  switch (r.Below(6)) {
    case 0:
      return m.Op(op, {m.Like(d, {i, j})}, {{"equation", "ij->ji"}});
    case 1:
      return m.Op(op, {m.Like(d, {i, k}), m.Like(d, {k, j})}, {{"equation", "ik,kj->ij"}});
    case 2:
      return m.Op(op, {m.Like(d, {b, i, k}), m.Like(d, {b, k, j})}, {{"equation", "bik,bkj->bij"}});
    case 3:
      return m.Op(op, {m.Like(d, {b, i, k}), m.Like(d, {j, k})}, {{"equation", "...k,jk->...j"}});
    case 4:
      return m.Op(op, {m.Like(d, {i, i})}, {{"equation", "ii->i"}});
    default:
      return m.Op(op, {m.Like(d, {i, j}), m.Like(d, {j}), m.Like(d, {i})},
                  {{"equation", "ij,j,i->i"}});
  }
}

constexpr Line kLines[] = {
    {"ReduceSum", 6, Reduce},
    {"ReduceMean", 8, Reduce},
    {"ReduceMax", 5, Reduce},
    {"ReduceMin", 4, Reduce},
    {"ReduceProd", 3, Reduce},
    {"ReduceL1", 2, Reduce},
    {"ReduceL2", 3, Reduce},
    {"ReduceLogSum", 2, Reduce},
    {"ReduceLogSumExp", 2, Reduce},
    {"ReduceSumSquare", 2, Reduce},
    {"ArgMax", 3, Arg},
    {"ArgMin", 2, Arg},
    {"CumSum", 3, DrawCumSum},
    {"Softmax", 7, AlongAxis},
    {"LogSoftmax", 3, AlongAxis},
    {"Hardmax", 2, AlongAxis},
    {"BatchNormalization", 4, DrawBatchNormalization},
    {"LayerNormalization", 6, DrawLayerNormalization},
    {"RMSNormalization", 4, DrawLayerNormalization},
    {"InstanceNormalization", 3, DrawInstanceNormalization},
    {"GroupNormalization", 3, DrawGroupNormalization},
    {"LpNormalization", 2, DrawLpNormalization},
    {"MeanVarianceNormalization", 2, DrawMeanVariance},
    {"LRN", 2, DrawLrn},
    {"Einsum", 5, DrawEinsum},
};

}  // namespace

absl::Span<const Line> ReductionLines() { return kLines; }

}  // namespace sluice::random
