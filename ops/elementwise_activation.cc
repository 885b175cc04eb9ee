// Activation functions. Each declares its expansion as ONNX defines it.
#include <numbers>

#include "graph/text.h"
#include "ops/elementwise_util.h"

namespace sluice {
namespace {

Value* Num(GraphBuilder& b, Value* like, double value) { return b.ScalarLike(like, value); }
Value* Mul(GraphBuilder& b, Value* x, Value* y) { return b.Op("Mul", {x, y}); }
Value* Scale(GraphBuilder& b, Value* x, double factor) { return Mul(b, x, Num(b, x, factor)); }
Value* Plus(GraphBuilder& b, Value* x, double c) { return b.Op("Add", {x, Num(b, x, c)}); }
Value* Exp(GraphBuilder& b, Value* x) { return b.Op("Exp", {x}); }
Value* Sigmoid(GraphBuilder& b, Value* x) { return b.Op("Sigmoid", {x}); }
Value* Below(GraphBuilder& b, Value* x, double c) { return b.Op("Less", {x, Num(b, x, c)}); }
Value* Above(GraphBuilder& b, Value* x, double c) { return b.Op("Greater", {x, Num(b, x, c)}); }
Value* Select(GraphBuilder& b, Value* condition, Value* x, Value* y) {
  return b.Op("Where", {condition, x, y});
}
Value* OneMinusSquare(GraphBuilder& b, Value* x) {
  return b.Op("Sub", {Num(b, x, 1), Mul(b, x, x)});
}

Value* ExpandRelu(GraphBuilder& b, Value* x, const Node&) { return b.Op("Max", {x, Num(b, x, 0)}); }
Value* ReluGradient(GraphBuilder& b, Value* dy, Value*, Value* y, const Node&) {
  return Select(b, Above(b, y, 0), dy, Num(b, dy, 0));
}

Value* ExpandLeakyRelu(GraphBuilder& b, Value* x, const Node& n) {
  return Select(b, Below(b, x, 0), Scale(b, x, n.Float("alpha")), x);
}
Value* LeakyReluGradient(GraphBuilder& b, Value* dy, Value* x, Value*, const Node& n) {
  return Select(b, Below(b, x, 0), Scale(b, dy, n.Float("alpha")), dy);
}

Value* ExpandElu(GraphBuilder& b, Value* x, const Node& n) {
  return Select(b, Below(b, x, 0), Scale(b, Plus(b, Exp(b, x), -1), n.Float("alpha")), x);
}
Value* EluGradient(GraphBuilder& b, Value* dy, Value* x, Value* y, const Node& n) {
  return Select(b, Below(b, x, 0), Mul(b, dy, Plus(b, y, n.Float("alpha"))), dy);
}

Value* ExpandSelu(GraphBuilder& b, Value* x, const Node& n) {
  const double gamma = n.Float("gamma"), alpha = n.Float("alpha");
  Value* below = Scale(b, Plus(b, Exp(b, x), -1), alpha * gamma);
  return Select(b, Above(b, x, 0), Scale(b, x, gamma), below);
}
Value* SeluGradient(GraphBuilder& b, Value* dy, Value* x, Value* y, const Node& n) {
  const double gamma = n.Float("gamma"), alpha = n.Float("alpha");
  return Select(b, Above(b, x, 0), Scale(b, dy, gamma), Mul(b, dy, Plus(b, y, alpha * gamma)));
}

Value* ExpandCelu(GraphBuilder& b, Value* x, const Node& n) {
  const double alpha = n.Float("alpha");
  Value* below = Scale(b, Plus(b, Exp(b, Scale(b, x, 1 / alpha)), -1), alpha);
  return b.Op("Add", {b.Op("Max", {x, Num(b, x, 0)}), b.Op("Min", {below, Num(b, x, 0)})});
}
Value* CeluGradient(GraphBuilder& b, Value* dy, Value* x, Value*, const Node& n) {
  Value* slope = Exp(b, Scale(b, b.Op("Min", {x, Num(b, x, 0)}), 1 / double{n.Float("alpha")}));
  return Mul(b, dy, slope);
}

Value* ExpandThresholdedRelu(GraphBuilder& b, Value* x, const Node& n) {
  return Select(b, Above(b, x, n.Float("alpha")), x, Num(b, x, 0));
}
Value* ThresholdedReluGradient(GraphBuilder& b, Value* dy, Value* x, Value*, const Node& n) {
  return Select(b, Above(b, x, n.Float("alpha")), dy, Num(b, dy, 0));
}

Value* ClampedLine(GraphBuilder& b, Value* x, double slope, double offset) {
  Value* line = Plus(b, Scale(b, x, slope), offset);
  return b.Op("Max", {b.Op("Min", {line, Num(b, x, 1)}), Num(b, x, 0)});
}
Value* ExpandHardSigmoid(GraphBuilder& b, Value* x, const Node& n) {
  return ClampedLine(b, x, n.Float("alpha"), n.Float("beta"));
}
Value* HardSigmoidGradient(GraphBuilder& b, Value* dy, Value*, Value* y, const Node& n) {
  Value* inside = b.Op("And", {Above(b, y, 0), Below(b, y, 1)});
  return Select(b, inside, Scale(b, dy, n.Float("alpha")), Num(b, dy, 0));
}
Value* ExpandHardSwish(GraphBuilder& b, Value* x, const Node&) {
  return Mul(b, x, ClampedLine(b, x, 1.0 / 6, 0.5));
}
Value* HardSwishGradient(GraphBuilder& b, Value* dy, Value* x, Value*, const Node&) {
  Value* inside = Mul(b, dy, Plus(b, Scale(b, x, 1.0 / 3), 0.5));
  Value* rest = Select(b, Below(b, x, 0), Num(b, dy, 0), dy);
  return Select(b, Below(b, b.Op("Abs", {x}), 3), inside, rest);
}

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), which does not overflow.
Value* ExpandSoftplus(GraphBuilder& b, Value* x, const Node&) {
  Value* small = Exp(b, b.Op("Neg", {b.Op("Abs", {x})}));
  return b.Op("Add", {b.Op("Max", {x, Num(b, x, 0)}), b.Op("Log", {Plus(b, small, 1)})});
}
Value* SoftplusGradient(GraphBuilder& b, Value* dy, Value* x, Value*, const Node&) {
  return Mul(b, dy, Sigmoid(b, x));
}

Value* ExpandSoftsign(GraphBuilder& b, Value* x, const Node&) {
  return b.Op("Div", {x, Plus(b, b.Op("Abs", {x}), 1)});
}
Value* SoftsignGradient(GraphBuilder& b, Value* dy, Value* x, Value*, const Node&) {
  Value* scale = Plus(b, b.Op("Abs", {x}), 1);
  return b.Op("Div", {dy, Mul(b, scale, scale)});
}

constexpr double kSqrt2OverPi = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;

Value* NormalCdf(GraphBuilder& b, Value* x) {
  return Scale(b, Plus(b, b.Op("Erf", {Scale(b, x, 1 / std::numbers::sqrt2)}), 1), 0.5);
}
// tanh(sqrt(2/pi) (x + 0.044715 x^3)).
Value* GeluTanh(GraphBuilder& b, Value* x) {
  Value* cubic = Plus(b, Scale(b, Mul(b, x, x), 0.044715), 1);
  return b.Op("Tanh", {Scale(b, Mul(b, x, cubic), kSqrt2OverPi)});
}
Value* ExpandGelu(GraphBuilder& b, Value* x, const Node& n) {
  if (n.String("approximate") == "tanh") {
    return Mul(b, Scale(b, x, 0.5), Plus(b, GeluTanh(b, x), 1));
  }
  return Mul(b, x, NormalCdf(b, x));
}
Value* GeluGradient(GraphBuilder& b, Value* dy, Value* x, Value*, const Node& n) {
  if (n.String("approximate") == "tanh") {
    Value* t = GeluTanh(b, x);
    Value* inner = Scale(b, Plus(b, Scale(b, Mul(b, x, x), 3 * 0.044715), 1), kSqrt2OverPi);
    Value* bend = Mul(b, Mul(b, x, OneMinusSquare(b, t)), inner);
    return Mul(b, dy, Scale(b, b.Op("Add", {Plus(b, t, 1), bend}), 0.5));
  }
  Value* density = Scale(b, Exp(b, Scale(b, Mul(b, x, x), -0.5)), 0.5 * kSqrt2OverPi);
  return Mul(b, dy, b.Op("Add", {NormalCdf(b, x), Mul(b, x, density)}));
}

Value* TanhSoftplus(GraphBuilder& b, Value* x) { return b.Op("Tanh", {b.Op("Softplus", {x})}); }
Value* ExpandMish(GraphBuilder& b, Value* x, const Node&) { return Mul(b, x, TanhSoftplus(b, x)); }
Value* MishGradient(GraphBuilder& b, Value* dy, Value* x, Value*, const Node&) {
  Value* t = TanhSoftplus(b, x);
  Value* bend = Mul(b, Mul(b, x, Sigmoid(b, x)), OneMinusSquare(b, t));
  return Mul(b, dy, b.Op("Add", {t, bend}));
}

Value* ExpandSwish(GraphBuilder& b, Value* x, const Node& n) {
  return Mul(b, x, Sigmoid(b, Scale(b, x, n.Float("alpha"))));
}
Value* SwishGradient(GraphBuilder& b, Value* dy, Value* x, Value* y, const Node& n) {
  const double alpha = n.Float("alpha");
  Value* s = Sigmoid(b, Scale(b, x, alpha));
  Value* bend = Mul(b, Scale(b, y, alpha), b.Op("Sub", {Num(b, s, 1), s}));
  return Mul(b, dy, b.Op("Add", {s, bend}));
}

Value* ExpandShrink(GraphBuilder& b, Value* x, const Node& n) {
  const double lambd = n.Float("lambd"), bias = n.Float("bias");
  Value* above = Select(b, Above(b, x, lambd), Plus(b, x, -bias), Num(b, x, 0));
  return Select(b, Below(b, x, -lambd), Plus(b, x, bias), above);
}
Value* ShrinkGradient(GraphBuilder& b, Value* dy, Value* x, Value*, const Node& n) {
  const double lambd = n.Float("lambd");
  Value* outside = b.Op("Or", {Above(b, x, lambd), Below(b, x, -lambd)});
  return Select(b, outside, dy, Num(b, dy, 0));
}

}  // namespace

SLUICE_DECLARE_OP(Relu) {
  return UnaryOp("Relu", "max(x, 0).", kFloatTypes | kSignedTypes)
      .Expansion(ExpandTo<ExpandRelu>)
      .Gradient(UnaryGradient<ReluGradient>);
}
SLUICE_DECLARE_OP(LeakyRelu) {
  return UnaryOp("LeakyRelu", "x where x >= 0, else alpha * x.")
      .Attr("alpha", 0.01f, "slope below 0")
      .Expansion(ExpandTo<ExpandLeakyRelu>)
      .Gradient(UnaryGradient<LeakyReluGradient>);
}
SLUICE_DECLARE_OP(Elu) {
  return UnaryOp("Elu", "x where x >= 0, else alpha * (e^x - 1).")
      .Attr("alpha", 1.0f, "minus the limit toward -infinity")
      .Expansion(ExpandTo<ExpandElu>)
      .Gradient(UnaryGradient<EluGradient>)
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Selu) {
  return UnaryOp("Selu", "gamma * x where x > 0, else gamma * alpha * (e^x - 1).")
      .Attr("alpha", 1.67326319217681884765625f)
      .Attr("gamma", 1.05070102214813232421875f)
      .Expansion(ExpandTo<ExpandSelu>)
      .Gradient(UnaryGradient<SeluGradient>)
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Celu) {
  return UnaryOp("Celu", "max(x, 0) + min(alpha * (e^(x / alpha) - 1), 0).")
      .Attr("alpha", 1.0f, "minus the limit toward -infinity; not 0")
      .Infer(+[](InferContext& c) {
        if (c.Float("alpha") == 0) return c.Error("alpha is 0; expected another number");
        return SameAsInput(c);
      })
      .Expansion(ExpandTo<ExpandCelu>)
      .Gradient(UnaryGradient<CeluGradient>)
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(ThresholdedRelu) {
  return UnaryOp("ThresholdedRelu", "x where x > alpha, else 0.")
      .Attr("alpha", 1.0f, "the threshold")
      .Expansion(ExpandTo<ExpandThresholdedRelu>)
      .Gradient(UnaryGradient<ThresholdedReluGradient>);
}
SLUICE_DECLARE_OP(HardSigmoid) {
  return UnaryOp("HardSigmoid", "max(0, min(1, alpha * x + beta)).")
      .Attr("alpha", 0.2f, "slope")
      .Attr("beta", 0.5f, "value at 0")
      .Expansion(ExpandTo<ExpandHardSigmoid>)
      .Gradient(UnaryGradient<HardSigmoidGradient>);
}
SLUICE_DECLARE_OP(HardSwish) {
  return UnaryOp("HardSwish", "x * max(0, min(1, x / 6 + 0.5)).")
      .Expansion(ExpandTo<ExpandHardSwish>)
      .Gradient(UnaryGradient<HardSwishGradient>);
}
SLUICE_DECLARE_OP(Softplus) {
  return UnaryOp("Softplus", "log(1 + e^x).")
      .Expansion(ExpandTo<ExpandSoftplus>)
      .Gradient(UnaryGradient<SoftplusGradient>)
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Softsign) {
  return UnaryOp("Softsign", "x / (1 + |x|).", kFloatTypes, "input", "output")
      .Expansion(ExpandTo<ExpandSoftsign>)
      .Gradient(UnaryGradient<SoftsignGradient>);
}
SLUICE_DECLARE_OP(Gelu) {
  return UnaryOp("Gelu", "x times the standard normal distribution function of x.")
      .Attr("approximate", "none", "none: by erf; tanh: the usual estimate by tanh")
      .Infer(+[](InferContext& c) {
        const std::string how = c.String("approximate");
        if (how != "none" && how != "tanh") {
          return c.Error("approximate is ", Shown(how), "; expected none or tanh");
        }
        return SameAsInput(c);
      })
      .Expansion(ExpandTo<ExpandGelu>)
      .Gradient(UnaryGradient<GeluGradient>)
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Mish) {
  return UnaryOp("Mish", "x * tanh(softplus(x)).")
      .Expansion(ExpandTo<ExpandMish>)
      .Gradient(UnaryGradient<MishGradient>)
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Swish) {
  return UnaryOp("Swish", "x * sigmoid(alpha * x).")
      .Attr("alpha", 1.0f)
      .Expansion(ExpandTo<ExpandSwish>)
      .Gradient(UnaryGradient<SwishGradient>)
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Shrink) {
  return UnaryOp("Shrink", "x + bias below -lambd, x - bias above lambd, else 0.", kNumericTypes,
                 "input", "output")
      .Attr("bias", 0.0f)
      .Attr("lambd", 0.5f)
      .Expansion(ExpandTo<ExpandShrink>)
      .Gradient(UnaryGradient<ShrinkGradient>);
}

}  // namespace sluice
