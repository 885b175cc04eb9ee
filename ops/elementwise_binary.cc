// Binary arithmetic, logic and comparison, all broadcast by numpy's rule. Integer arithmetic also
// works on what is known of the contents: that is how shapes are computed in models.
#include "graph/text.h"
#include "ops/elementwise_util.h"

namespace sluice {
namespace {

// The contents follow through integer arithmetic in the dtypes of shapes.
template <DimFn kOp>
absl::Status InferArithmetic(InferContext& c) {
  if (absl::Status s = BroadcastInfer(c); !s.ok()) return s;
  const DType dtype = InputDType(c, 0);
  if (dtype != DType::kI64 && dtype != DType::kI32) return absl::OkStatus();
  std::optional<Shape> dims = CombineKnownDims(c, kOp);
  if (!dims.has_value()) return absl::OkStatus();
  for (Dim& d : *dims) {  // what i32 would wrap is not followed
    if (dtype == DType::kI32 && d.is_number() && d.number() != static_cast<int32_t>(d.number())) {
      d = Dim::Unknown();
    }
  }
  c.SetOutputDims(0, *std::move(dims));
  return absl::OkStatus();
}

// Toward zero, where floor division is the same.
Dim TruncDiv(const Dim& a, const Dim& b) {
  if (a.is_number() && b.is_number()) {
    if (b.number() == 0 || (b.number() == -1 && a.number() == INT64_MIN)) return Dim::Unknown();
    return a.number() / b.number();
  }
  return a.ProvablyNonNegative() && b.ProvablyPositive() ? FloorDiv(a, b) : Dim::Unknown();
}
Dim PositiveMod(const Dim& a, const Dim& b) {
  return a.ProvablyNonNegative() && b.ProvablyPositive() ? Mod(a, b) : Dim::Unknown();
}
Dim EqualDims(const Dim& a, const Dim& b) {
  if (a == b) return 1;
  return ProvablyDifferent(a, b) ? Dim(0) : Dim::Unknown();
}
Dim LessDims(const Dim& a, const Dim& b) {
  if ((b - a).ProvablyPositive()) return 1;
  return (a - b).ProvablyNonNegative() ? Dim(0) : Dim::Unknown();
}
Dim NotDim(const Dim& a) { return a.is_unknown() ? a : Dim(1) - a; }

template <DimFn kOp>
absl::Status InferComparison(InferContext& c) {
  if (absl::Status s = BroadcastInferBool(c); !s.ok()) return s;
  if (std::optional<Shape> dims = CombineKnownDims(c, kOp)) c.SetOutputDims(0, *std::move(dims));
  return absl::OkStatus();
}

Op Comparison(absl::string_view name, absl::string_view doc, InferFn infer,
              DTypeSet types = kNumericTypes) {
  return Op(name)
      .Doc(doc)
      .Input("A", "T")
      .Input("B", "T")
      .Output("C", "bool")
      .Types("T", types)
      .Infer(infer)
      .Elementwise()
      .NotDifferentiable("its result is a truth value");
}

Op Logic(absl::string_view name, absl::string_view doc, InferFn infer = BroadcastInfer) {
  return BinaryOp(name, doc, kBoolType, infer)
      .Commutative()
      .NotDifferentiable("its result is a truth value");
}

Op Bitwise(absl::string_view name, absl::string_view doc) {
  return BinaryOp(name, doc, kIntTypes)
      .Commutative()
      .NotDifferentiable("it works on the bits of integers");
}

// -dy * (a - c) / b: minus the whole number of times that b went into a.
absl::Status ModGradient(GradientContext& g) {
  GraphBuilder& b = g.builder();
  Value* dy = g.output_grad();
  g.SetBroadcastInputGrad(0, dy);
  Value* times = b.Op("Div", {b.Op("Sub", {g.input(0), g.output()}), g.input(1)});
  g.SetBroadcastInputGrad(1, b.Op("Neg", {b.Op("Mul", {dy, b.Op("Round", {times})})}));
  return b.status();
}

absl::Status PowGradient(GradientContext& g) {
  GraphBuilder& b = g.builder();
  Value *x = g.input(0), *n = g.input(1), *dz = g.output_grad();
  Value* exponent = n;
  if (n->type().dtype() != x->type().dtype()) {
    exponent = b.Op("Cast", {n}, {{"to", x->type().dtype()}});
  }
  Value* one_less = b.Op("Sub", {exponent, b.ScalarLike(exponent, 1)});
  Value* slope = b.Op("Mul", {exponent, b.Op("Pow", {x, one_less})});
  // 0 * x^-1 is 0, also at x = 0.
  Value* zero = b.ScalarLike(x, 0);
  slope = b.Op("Where", {b.Op("Equal", {exponent, zero}), zero, slope});
  g.SetBroadcastInputGrad(0, b.Op("Mul", {dz, slope}));
  if (!IsFloat(n->type().dtype())) return b.status();
  // z log x, and 0 where x is not positive: there z is 0 or has no real derivative.
  Value* positive = b.Op("Greater", {x, zero});
  Value* log = b.Op("Log", {b.Op("Where", {positive, x, b.ScalarLike(x, 1)})});
  Value* dn = b.Op("Mul", {dz, b.Op("Mul", {g.output(), log})});
  if (n->type().dtype() != x->type().dtype()) {
    dn = b.Op("Cast", {dn}, {{"to", n->type().dtype()}});
  }
  g.SetBroadcastInputGrad(1, b.Op("Where", {positive, dn, b.ScalarLike(dn, 0)}));
  return b.status();
}

}  // namespace

SLUICE_DECLARE_OP(Add) {
  return BinaryOp("Add", "a + b.", kNumericTypes,
                  InferArithmetic<+[](const Dim& a, const Dim& b) { return a + b; }>)
      .Commutative()
      .Gradient(+[](GradientContext& g) {
        g.SetBroadcastInputGrad(0, g.output_grad());
        g.SetBroadcastInputGrad(1, g.output_grad());
        return g.builder().status();
      });
}
SLUICE_DECLARE_OP(Sub) {
  return BinaryOp("Sub", "a - b.", kNumericTypes,
                  InferArithmetic<+[](const Dim& a, const Dim& b) { return a - b; }>)
      .Gradient(+[](GradientContext& g) {
        g.SetBroadcastInputGrad(0, g.output_grad());
        g.SetBroadcastInputGrad(1, g.builder().Op("Neg", {g.output_grad()}));
        return g.builder().status();
      });
}
SLUICE_DECLARE_OP(Mul) {
  return BinaryOp("Mul", "a * b.", kNumericTypes,
                  InferArithmetic<+[](const Dim& a, const Dim& b) { return a * b; }>)
      .Commutative()
      .Gradient(+[](GradientContext& g) {
        GraphBuilder& b = g.builder();
        g.SetBroadcastInputGrad(0, b.Op("Mul", {g.output_grad(), g.input(1)}));
        g.SetBroadcastInputGrad(1, b.Op("Mul", {g.output_grad(), g.input(0)}));
        return b.status();
      });
}
SLUICE_DECLARE_OP(Div) {
  return BinaryOp("Div", "a / b; of integers toward zero, and 0 where b is 0.", kNumericTypes,
                  InferArithmetic<TruncDiv>)
      .Gradient(+[](GradientContext& g) {
        GraphBuilder& b = g.builder();
        Value* da = b.Op("Div", {g.output_grad(), g.input(1)});
        g.SetBroadcastInputGrad(0, da);
        g.SetBroadcastInputGrad(1, b.Op("Neg", {b.Op("Mul", {da, g.output()})}));
        return b.status();
      });
}
SLUICE_DECLARE_OP(Mod) {
  return BinaryOp("Mod",
                  "The remainder of a / b, with the sign of b, or of a with `fmod`; of integers 0 "
                  "where b is 0.",
                  kNumericTypes, InferArithmetic<PositiveMod>)
      .Attr("fmod", 0, "1: the remainder of C's fmod, of a division toward zero")
      .Gradient(ModGradient)
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Pow) {
  return Op("Pow")
      .Doc("x to the power y; an integer x with a fractional y is computed in f64.")
      .Input("X", "T")
      .Input("Y", "T1")
      .Output("Z", "T")
      .Types("T", kFloatTypes | kIndexTypes)
      .Types("T1", kNumericTypes)
      .Infer(BroadcastInfer)
      .Elementwise()
      .Gradient(PowGradient)
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(And) {
  return Logic("And", "True where both are.",
               InferComparison<+[](const Dim& a, const Dim& b) { return a * b; }>);
}
SLUICE_DECLARE_OP(Or) {
  return Logic("Or", "True where either is.",
               InferComparison<+[](const Dim& a, const Dim& b) { return a + b - a * b; }>);
}
SLUICE_DECLARE_OP(Xor) { return Logic("Xor", "True where exactly one is."); }
SLUICE_DECLARE_OP(BitwiseAnd) { return Bitwise("BitwiseAnd", "The bits that both have."); }
SLUICE_DECLARE_OP(BitwiseOr) { return Bitwise("BitwiseOr", "The bits that either has."); }
SLUICE_DECLARE_OP(BitwiseXor) {
  return Bitwise("BitwiseXor", "The bits that exactly one of the two has.");
}
SLUICE_DECLARE_OP(BitShift) {
  return BinaryOp("BitShift", "x shifted by y bits; 0 from the type's width on.", kUnsignedTypes)
      .RequiredAttr("direction", AttrKind::kString, "LEFT (toward higher values) or RIGHT")
      .Infer(+[](InferContext& c) {
        const std::string direction = c.String("direction");
        if (direction != "LEFT" && direction != "RIGHT") {
          return c.Error("direction is ", Shown(direction), "; expected LEFT or RIGHT");
        }
        return BroadcastInfer(c);
      })
      .NotDifferentiable("it works on the bits of integers");
}
SLUICE_DECLARE_OP(Equal) {
  return Comparison("Equal", "a == b.", InferComparison<EqualDims>, kAllTypes).Commutative();
}
SLUICE_DECLARE_OP(Less) { return Comparison("Less", "a < b.", InferComparison<LessDims>); }
SLUICE_DECLARE_OP(Greater) {
  return Comparison("Greater", "a > b.",
                    InferComparison<+[](const Dim& a, const Dim& b) { return LessDims(b, a); }>);
}
SLUICE_DECLARE_OP(LessOrEqual) {
  return Comparison(
             "LessOrEqual", "a <= b.",
             InferComparison<+[](const Dim& a, const Dim& b) { return NotDim(LessDims(b, a)); }>)
      .Expansion(SLUICE_EXPANSION(
          b.Op("Or", {b.Op("Less", {x, node.input(1)}), b.Op("Equal", {x, node.input(1)})})));
}
SLUICE_DECLARE_OP(GreaterOrEqual) {
  return Comparison(
             "GreaterOrEqual", "a >= b.",
             InferComparison<+[](const Dim& a, const Dim& b) { return NotDim(LessDims(a, b)); }>)
      .Expansion(SLUICE_EXPANSION(
          b.Op("Or", {b.Op("Greater", {x, node.input(1)}), b.Op("Equal", {x, node.input(1)})})));
}
SLUICE_DECLARE_OP(PRelu) {
  return Op("PRelu")
      .Doc("x where x >= 0, else slope * x; the slope broadcasts to x.")
      .Input("X", "T")
      .Input("slope", "T")
      .Output("Y", "T")
      .Types("T", kFloatTypes | DTypeSet{DType::kI32, DType::kI64, DType::kU32, DType::kU64})
      .Infer(SameAsInput)
      .Elementwise()
      .Expansion(SLUICE_EXPANSION(b.Op(
          "Where", {b.Op("Less", {x, b.ScalarLike(x, 0)}), b.Op("Mul", {node.input(1), x}), x})))
      .Gradient(+[](GradientContext& g) {
        GraphBuilder& b = g.builder();
        Value *x = g.input(0), *dy = g.output_grad();
        Value* zero = b.ScalarLike(x, 0);
        Value* below = b.Op("Less", {x, zero});
        g.SetInputGrad(0, b.Op("Where", {below, b.Op("Mul", {dy, g.input(1)}), dy}));
        g.SetBroadcastInputGrad(1, b.Op("Where", {below, b.Op("Mul", {dy, x}), zero}));
        return b.status();
      });
}

}  // namespace sluice
