// What draws, and what numbers are made of.
#include "tests/random/lines.h"

namespace sluice::random {
namespace {

constexpr DTypeSet kDrawn = {DType::kF32, DType::kF64};

AttrList Distribution(Maker& m, const std::string& op) {
  AttrList attrs;
  if (m.random().Chance(30)) attrs.push_back({"seed", static_cast<float>(m.random().Below(4))});
  if (m.random().Chance(50)) return attrs;
  const bool normal = op.find("Normal") != std::string::npos;
  attrs.push_back({normal ? "mean" : "low", -1.0f});
  attrs.push_back({normal ? "scale" : "high", 1.5f});
  return attrs;
}

Value* DrawRandom(Maker& m, const std::string& op) {
  std::vector<int64_t> shape;
  for (int i = m.random().Between(0, 3); i > 0; --i) shape.push_back(m.random().Between(1, 9));
  AttrList attrs = Distribution(m, op);
  attrs.push_back({"shape", std::move(shape)});
  attrs.push_back({"dtype", m.AnyDType(kFloatTypes)});
  return m.Op(op, {}, attrs);
}

Value* DrawLike(Maker& m, const std::string& op) {
  AttrList attrs = Distribution(m, op);
  attrs.push_back({"dtype", m.AnyDType(kFloatTypes)});
  return m.Op(op, {m.Operand(kNumericTypes)}, attrs);
}

Value* DrawBernoulli(Maker& m, const std::string& op) {
  Value* p = m.Tamed(m.Operand(kFloatTypes), 0, 1);
  return m.Op(op, {p}, {{"dtype", m.AnyDType(kNumericTypes)}});
}

Value* DrawMultinomial(Maker& m, const std::string& op) {
  Value* x = m.Tamed(m.KnownOperand(kFloatTypes, 2, 2), -4, 4);
  return m.Op(op, {x}, {{"sample_size", static_cast<int64_t>(m.random().Between(1, 5))}});
}

// Numbers of a key, of which `op` is a part.
Value* DrawFromKey(Maker& m, const std::string& op) {
  Value* key = m.Op("RandomKey", {});
  if (op == "FoldKey" || m.random().Chance(30))
    key = m.Op("FoldKey", {key, m.IntScalar(m.random().Below(9))});
  const AttrList attrs = {{"dtype", m.AnyDType(kDrawn)},
                          {"stream", static_cast<int64_t>(m.random().Below(3))}};
  const std::string numbers = op == "PhiloxNormal" ? op : "PhiloxUniform";
  if (m.random().Chance(50)) return m.Op(numbers, {key, nullptr, m.Operand(kNumericTypes)}, attrs);
  return m.Op(numbers, {key, m.Ints({m.random().Between(1, 20), 3})}, attrs);
}

Value* DrawCheckRange(Maker& m, const std::string& op) {
  return m.Op(op, {m.Tamed(m.Operand(kFloatTypes), 0, 1)}, {{"low", -0.5f}, {"high", 1.5f}});
}

constexpr Line kLines[] = {
    {"RandomNormal", 1, DrawRandom},   {"RandomUniform", 1, DrawRandom},
    {"RandomNormalLike", 2, DrawLike}, {"RandomUniformLike", 2, DrawLike},
    {"Bernoulli", 1, DrawBernoulli},   {"Multinomial", 1, DrawMultinomial},
    {"RandomKey", 1, DrawFromKey},     {"FoldKey", 1, DrawFromKey},
    {"PhiloxUniform", 1, DrawFromKey}, {"PhiloxNormal", 1, DrawFromKey},
    {"CheckRange", 1, DrawCheckRange},
};

}  // namespace

absl::Span<const Line> RandomLines() { return kLines; }

}  // namespace sluice::random
