// Unary arithmetic. The gradients are the textbook's, written with y where that saves work.
#include <numbers>

#include "ops/elementwise_util.h"

namespace sluice {
namespace {

Value* Square(GraphBuilder& b, Value* x) { return b.Op("Mul", {x, x}); }
// x * factor.
Value* Scale(GraphBuilder& b, Value* x, double factor) {
  return b.Op("Mul", {x, b.ScalarLike(x, factor)});
}
// c + sign * x^2.
Value* PlusSquare(GraphBuilder& b, double c, Value* x) {
  return b.Op("Add", {b.ScalarLike(x, c), Square(b, x)});
}
Value* MinusSquare(GraphBuilder& b, double c, Value* x) {
  return b.Op("Sub", {b.ScalarLike(x, c), Square(b, x)});
}
Value* Sqrt(GraphBuilder& b, Value* x) { return b.Op("Sqrt", {x}); }

absl::Status InferNeg(InferContext& c) {
  if (absl::Status s = SameAsInput(c); !s.ok()) return s;
  if (std::optional<Shape> dims = SmallInputDims(c, 0); dims && InputDType(c, 0) == DType::kI64) {
    for (Dim& d : *dims) d = d.is_unknown() ? d : Dim(0) - d;
    c.SetOutputDims(0, *dims);
  }
  return absl::OkStatus();
}

absl::Status InferAbs(InferContext& c) {
  if (absl::Status s = SameAsInput(c); !s.ok()) return s;
  if (std::optional<Shape> dims = SmallInputDims(c, 0)) {
    for (Dim& d : *dims) {
      if (d.is_unknown() || d.ProvablyNonNegative()) continue;
      d = d.is_number() ? Dim(0) - d : Dim::Unknown();
    }
    c.SetOutputDims(0, *dims);
  }
  return absl::OkStatus();
}

absl::Status InferNot(InferContext& c) {
  if (absl::Status s = SameAsInput(c); !s.ok()) return s;
  if (std::optional<Shape> dims = SmallInputDims(c, 0)) {
    for (Dim& d : *dims) d = d.is_number() ? Dim(d.number() == 0) : Dim::Unknown();
    c.SetOutputDims(0, *dims);
  }
  return absl::OkStatus();
}

absl::Status InferPredicate(InferContext& c) {
  c.SetOutput(0, TensorType(DType::kBool, InputShape(c, 0)));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Abs) {
  return UnaryOp("Abs", "|x|; the lowest signed integer stays itself.", kNumericTypes)
      .Infer(InferAbs)
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Mul", {dy, b.Op("Sign", {x})})));
}
SLUICE_DECLARE_OP(Neg) {
  return UnaryOp("Neg", "-x.", kFloatTypes | kSignedTypes)
      .Infer(InferNeg)
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Neg", {dy})));
}
SLUICE_DECLARE_OP(Sign) {
  return UnaryOp("Sign", "-1, 0 or 1; NaN stays NaN.", kNumericTypes, "input", "output")
      .Gradient(ZeroGradient);
}
SLUICE_DECLARE_OP(Floor) {
  return UnaryOp("Floor", "The largest integer <= x.").Gradient(ZeroGradient);
}
SLUICE_DECLARE_OP(Ceil) {
  return UnaryOp("Ceil", "The smallest integer >= x.").Gradient(ZeroGradient);
}
SLUICE_DECLARE_OP(Round) {
  return UnaryOp("Round", "The nearest integer; halves go to the even one.").Gradient(ZeroGradient);
}
SLUICE_DECLARE_OP(Sqrt) {
  return UnaryOp("Sqrt", "The square root; NaN below 0.")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Div", {Scale(b, dy, 0.5), y})));
}
SLUICE_DECLARE_OP(Reciprocal) {
  return UnaryOp("Reciprocal", "1 / x.")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Neg", {b.Op("Mul", {dy, Square(b, y)})})));
}
SLUICE_DECLARE_OP(Exp) {
  return UnaryOp("Exp", "e to the x.", kFloatTypes, "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Mul", {dy, y})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Log) {
  return UnaryOp("Log", "The natural logarithm; NaN below 0.", kFloatTypes, "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Div", {dy, x})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Sin) {
  return UnaryOp("Sin", "The sine of x in radians.", kFloatTypes, "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Mul", {dy, b.Op("Cos", {x})})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Cos) {
  return UnaryOp("Cos", "The cosine of x in radians.", kFloatTypes, "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Neg", {b.Op("Mul", {dy, b.Op("Sin", {x})})})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Tan) {
  return UnaryOp("Tan", "The tangent of x in radians.", kFloatTypes, "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Mul", {dy, PlusSquare(b, 1, y)})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Asin) {
  return UnaryOp("Asin", "The inverse sine; NaN outside [-1, 1].", kFloatTypes, "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Div", {dy, Sqrt(b, MinusSquare(b, 1, x))})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Acos) {
  return UnaryOp("Acos", "The inverse cosine; NaN outside [-1, 1].", kFloatTypes, "input", "output")
      .Gradient(
          SLUICE_UNARY_GRADIENT(b.Op("Neg", {b.Op("Div", {dy, Sqrt(b, MinusSquare(b, 1, x))})})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Atan) {
  return UnaryOp("Atan", "The inverse tangent.", kFloatTypes, "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Div", {dy, PlusSquare(b, 1, x)})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Sinh) {
  return UnaryOp("Sinh", "The hyperbolic sine.", kFloatTypes, "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Mul", {dy, b.Op("Cosh", {x})})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Cosh) {
  return UnaryOp("Cosh", "The hyperbolic cosine.", kFloatTypes, "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Mul", {dy, b.Op("Sinh", {x})})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Tanh) {
  return UnaryOp("Tanh", "The hyperbolic tangent.", kFloatTypes, "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Mul", {dy, MinusSquare(b, 1, y)})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Asinh) {
  return UnaryOp("Asinh", "The inverse hyperbolic sine.", kFloatTypes, "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Div", {dy, Sqrt(b, PlusSquare(b, 1, x))})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Acosh) {
  return UnaryOp("Acosh", "The inverse hyperbolic cosine; NaN below 1.", kFloatTypes, "input",
                 "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Div", {dy, Sqrt(b, PlusSquare(b, -1, x))})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Atanh) {
  return UnaryOp("Atanh", "The inverse hyperbolic tangent; NaN outside [-1, 1].", kFloatTypes,
                 "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(b.Op("Div", {dy, MinusSquare(b, 1, x)})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Erf) {
  return UnaryOp("Erf", "The error function.", kFloatTypes, "input", "output")
      .Gradient(SLUICE_UNARY_GRADIENT(
          b.Op("Mul", {dy, Scale(b, b.Op("Exp", {b.Op("Neg", {Square(b, x)})}),
                                 2 * std::numbers::inv_sqrtpi)})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Sigmoid) {
  return UnaryOp("Sigmoid", "1 / (1 + e^-x).")
      .Gradient(SLUICE_UNARY_GRADIENT(
          b.Op("Mul", {dy, b.Op("Mul", {y, b.Op("Sub", {b.ScalarLike(y, 1), y})})})))
      .Costs(ElementCost::kHeavy);
}
SLUICE_DECLARE_OP(Not) {
  return UnaryOp("Not", "True where x is false.", kBoolType)
      .Infer(InferNot)
      .NotDifferentiable("its result is a truth value");
}
SLUICE_DECLARE_OP(BitwiseNot) {
  return UnaryOp("BitwiseNot", "Every bit flipped.", kIntTypes)
      .NotDifferentiable("it works on the bits of integers");
}
SLUICE_DECLARE_OP(IsNaN) {
  return Op("IsNaN")
      .Doc("True where x is not a number.")
      .Input("X", "T1")
      .Output("Y", "bool")
      .Types("T1", kFloatTypes)
      .Infer(InferPredicate)
      .Elementwise()
      .NotDifferentiable("its result is a truth value");
}
SLUICE_DECLARE_OP(IsInf) {
  return Op("IsInf")
      .Doc("True where x is an infinity of a sign that is looked for.")
      .Input("X", "T1")
      .Output("Y", "bool")
      .Types("T1", kFloatTypes)
      .Attr("detect_negative", 1, "whether -infinity counts")
      .Attr("detect_positive", 1, "whether +infinity counts")
      .Infer(InferPredicate)
      .Elementwise()
      .NotDifferentiable("its result is a truth value");
}

}  // namespace sluice
