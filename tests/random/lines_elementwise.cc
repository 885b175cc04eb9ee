// Element-wise ops.
#include "ops/op.h"
#include "tests/random/lines.h"

namespace sluice::random {
namespace {

DTypeSet TypesOf(const std::string& op) { return StandardOps().Find(op)->FindTypeVar("T")->dtypes; }

// Attributes that are plain numbers, by chance other than their defaults.
AttrList FloatAttrs(Maker& m, const std::string& op) {
  AttrList attrs;
  for (const AttrDef& def : StandardOps().Find(op)->attrs) {
    if (def.kind == AttrKind::kFloat && m.random().Chance(50))
      attrs.push_back({def.name, m.random().Of({0.1f, 0.25f, 0.5f, 1.0f, 1.5f})});
  }
  return attrs;
}

Value* Unary(Maker& m, const std::string& op) {
  return m.Op(op, {m.Operand(TypesOf(op))}, FloatAttrs(m, op));
}

Value* DrawGelu(Maker& m, const std::string& op) {
  return m.Op(op, {m.Operand(kFloatTypes)},
              {{"approximate", m.random().Of<const char*>({"none", "tanh"})}});
}

Value* DrawIsInf(Maker& m, const std::string& op) {
  return m.Op(op, {m.Operand(TypesOf("Sigmoid"))},
              {{"detect_negative", m.random().Of({0, 1})}, {"detect_positive", 1}});
}

Value* DrawIsNaN(Maker& m, const std::string& op) { return m.Op(op, {m.Operand(kFloatTypes)}); }

Value* Two(Maker& m, const std::string& op, DTypeSet types, const AttrList& attrs = {}) {
  Value* x = m.Operand(types);
  Value* y = x == nullptr ? nullptr : m.Broadcasting(x);
  if (m.random().Chance(30)) std::swap(x, y);
  return m.Op(op, {x, y}, attrs);
}

Value* Binary(Maker& m, const std::string& op) { return Two(m, op, TypesOf(op)); }
Value* Logic(Maker& m, const std::string& op) { return Two(m, op, kBoolType); }

Value* DrawMod(Maker& m, const std::string& op) {
  if (m.random().Chance(40)) return Two(m, op, kFloatTypes, {{"fmod", 1}});
  return Two(m, op, kIntTypes, {{"fmod", m.random().Of({0, 1})}});
}

Value* DrawShift(Maker& m, const std::string& op) {
  return Two(m, op, kUnsignedTypes, {{"direction", m.random().Of<const char*>({"LEFT", "RIGHT"})}});
}

Value* DrawPow(Maker& m, const std::string& op) {
  if (m.random().Chance(25)) {
    Value* x = m.Operand(kIndexTypes);
    return m.Op(op, {x, m.Scalar(x->type().dtype(), m.random().Of({0.0, 1.0, 2.0, 3.0}))});
  }
  Value* x = m.Operand(kFloatTypes);
  if (m.random().Chance(25)) {  // odd, and with more digits than an f32 has
    const DType d = m.random().Of({DType::kI32, DType::kI64, DType::kF64});
    Value* y = m.Scalar(d, m.random().Of({16777217.0, 100000001.0}));
    return m.Op(op, {m.Op("Sign", {x}), y});
  }
  if (m.random().Chance(25)) return m.Op(op, {x, m.Broadcasting(x)});
  return m.Op(
      op, {x, m.Scalar(m.random().Chance(80) ? x->type().dtype() : DType::kF32,
                       m.random().Of({0.0, 0.5, 0.5, 0.5, 1.0, 2.0, 3.0, -1.0, -0.5, 1.5, -2.0}))});
}

Value* DrawPRelu(Maker& m, const std::string& op) {
  Value* x = m.Operand(TypesOf(op));
  return m.Op(op, {x, m.Broadcasting(x, /*stretches=*/false)});
}

Value* DrawWhere(Maker& m, const std::string& op) {
  Value* x = m.Operand(kAllTypes);
  Value* y = m.Broadcasting(x);
  Value* condition = m.Broadcasting(DType::kBool, x->type().shape());
  if (m.random().Chance(50)) std::swap(x, y);
  return m.Op(op, {condition, x, y});
}

Value* Variadic(Maker& m, const std::string& op) {
  Value* x = m.Operand(TypesOf(op));
  std::vector<Value*> inputs = {x};
  if (m.random().Chance(2)) {
    inputs.resize(static_cast<size_t>(m.random().Between(120, 140)), x);
    if (Value* y = m.Broadcasting(x, false)) inputs[inputs.size() / 2] = y;
  } else {
    for (int64_t i = m.random().Below(4); i > 0; --i) inputs.push_back(m.Broadcasting(x));
  }
  m.random().Shuffle(&inputs);
  return m.Op(op, inputs);
}

Value* DrawClip(Maker& m, const std::string& op) {
  Value* x = m.Operand(kNumericTypes);
  const DType d = x->type().dtype();
  const bool positive = IsUnsignedInt(d);
  Value* low = m.random().Chance(20) ? nullptr
               : m.random().Chance(15)
                   ? m.Like(d, {})
                   : m.Scalar(d, positive ? 1 : m.random().Of({-1.0, 0.0, 1.0}));
  Value* high = m.random().Chance(20)   ? nullptr
                : m.random().Chance(15) ? m.Like(d, {})
                                        : m.Scalar(d, m.random().Of({6.0, 1.0, 2.0}));
  return m.Op(op, {x, low, high});
}

// Into integers only what they can hold: anything else is for each machine to say.
Value* Castable(Maker& m, Value* x, DType to) {
  if (x == nullptr || !IsFloat(x->type().dtype()) || !IsInt(to)) return x;
  return m.Tamed(x, IsUnsignedInt(to) ? 0 : -100, 100);
}

DType Target(Maker& m, const Value* x) {
  return m.AnyDType(x->type().dtype() == DType::kString ? kStringType : kNumericTypes | kBoolType);
}

Value* DrawCast(Maker& m, const std::string& op) {
  Value* x = m.Operand(kAllTypes);
  const DType to = Target(m, x);
  return m.Op(op, {Castable(m, x, to)}, {{"to", to}});
}

Value* DrawCastLike(Maker& m, const std::string& op) {
  Value* x = m.Operand(kAllTypes);
  const DType to = Target(m, x);
  return m.Op(op, {Castable(m, x, to), m.Like(to, {m.AnyDim()})});
}

constexpr Line kLines[] = {
    {"Abs", 6, Unary},
    {"Neg", 6, Unary},
    {"Sign", 3, Unary},
    {"Floor", 3, Unary},
    {"Ceil", 3, Unary},
    {"Round", 3, Unary},
    {"Sqrt", 6, Unary},
    {"Reciprocal", 5, Unary},
    {"Exp", 5, Unary},
    {"Log", 5, Unary},
    {"Sin", 3, Unary},
    {"Cos", 3, Unary},
    {"Tan", 2, Unary},
    {"Asin", 2, Unary},
    {"Acos", 2, Unary},
    {"Atan", 2, Unary},
    {"Sinh", 2, Unary},
    {"Cosh", 2, Unary},
    {"Tanh", 6, Unary},
    {"Asinh", 2, Unary},
    {"Acosh", 2, Unary},
    {"Atanh", 2, Unary},
    {"Erf", 5, Unary},
    {"Sigmoid", 6, Unary},
    {"Not", 3, Unary},
    {"BitwiseNot", 2, Unary},
    {"IsNaN", 2, DrawIsNaN},
    {"IsInf", 2, DrawIsInf},
    {"Relu", 8, Unary},
    {"LeakyRelu", 5, Unary},
    {"Elu", 4, Unary},
    {"Selu", 4, Unary},
    {"Celu", 4, Unary},
    {"ThresholdedRelu", 3, Unary},
    {"HardSigmoid", 4, Unary},
    {"HardSwish", 4, Unary},
    {"Softplus", 4, Unary},
    {"Softsign", 3, Unary},
    {"Gelu", 4, DrawGelu},
    {"Mish", 3, Unary},
    {"Swish", 4, Unary},
    {"Shrink", 2, Unary},
    {"Add", 12, Binary},
    {"Sub", 10, Binary},
    {"Mul", 12, Binary},
    {"Div", 8, Binary},
    {"Mod", 3, DrawMod},
    {"Pow", 6, DrawPow},
    {"And", 3, Logic},
    {"Or", 3, Logic},
    {"Xor", 2, Logic},
    {"BitwiseAnd", 2, Binary},
    {"BitwiseOr", 2, Binary},
    {"BitwiseXor", 2, Binary},
    {"BitShift", 2, DrawShift},
    {"Equal", 3, Binary},
    {"Less", 4, Binary},
    {"Greater", 4, Binary},
    {"LessOrEqual", 3, Binary},
    {"GreaterOrEqual", 3, Binary},
    {"PRelu", 4, DrawPRelu},
    {"Max", 6, Variadic},
    {"Min", 6, Variadic},
    {"Sum", 5, Variadic},
    {"Mean", 3, Variadic},
    {"Where", 6, DrawWhere},
    {"Clip", 6, DrawClip},
    {"Cast", 6, DrawCast},
    {"CastLike", 2, DrawCastLike},
};

}  // namespace

absl::Span<const Line> ElementwiseLines() { return kLines; }

}  // namespace sluice::random
