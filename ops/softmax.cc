// Softmax, LogSoftmax and Hardmax along one axis.
#include "ops/infer_util.h"
#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferAlongAxis(InferContext& c) {
  const Type& x = c.InputType(0);
  if (x.is_tensor() && x.has_shape()) {
    if (absl::StatusOr<int> axis = c.Axis(c.Int("axis"), x.rank()); !axis.ok()) {
      return axis.status();
    }
  }
  c.SetOutput(0, x);
  return absl::OkStatus();
}

// x less its largest element along the axis, and the sum of the exponentials of that.
std::pair<Value*, Value*> Centred(GraphBuilder& b, const Node& node) {
  Value* axis = b.Ints({node.Int("axis")});
  Value* centred = b.Op("Sub", {node.input(0), b.Op("ReduceMax", {node.input(0), axis})});
  return {centred, b.Op("ReduceSum", {b.Op("Exp", {centred}), axis})};
}

absl::StatusOr<std::vector<Value*>> ExpandSoftmax(GraphBuilder& b, const Node& node) {
  const auto [centred, sum] = Centred(b, node);
  return std::vector<Value*>{b.Op("Div", {b.Op("Exp", {centred}), sum})};
}

absl::StatusOr<std::vector<Value*>> ExpandLogSoftmax(GraphBuilder& b, const Node& node) {
  const auto [centred, sum] = Centred(b, node);
  return std::vector<Value*>{b.Op("Sub", {centred, b.Op("Log", {sum})})};
}

Value* SumAlongAxis(GradientContext& c, Value* v) {
  GraphBuilder& b = c.builder();
  return b.Op("ReduceSum", {v, b.Ints({c.node().Int("axis")})}, {{"keepdims", 1}});
}

// dx = y (g - sum(g y))
absl::Status SoftmaxGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  Value* weighted = b.Op("Mul", {c.output_grad(), c.output()});
  Value* centred = b.Op("Sub", {c.output_grad(), SumAlongAxis(c, weighted)});
  c.SetInputGrad(0, b.Op("Mul", {centred, c.output()}));
  return absl::OkStatus();
}

// dx = g - softmax(x) sum(g)
absl::Status LogSoftmaxGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  Value* share = b.Op("Mul", {b.Op("Exp", {c.output()}), SumAlongAxis(c, c.output_grad())});
  c.SetInputGrad(0, b.Op("Sub", {c.output_grad(), share}));
  return absl::OkStatus();
}

Op AlongAxis(absl::string_view name, absl::string_view doc) {
  return Op(name)
      .Doc(doc)
      .Input("input", "T")
      .Output("output", "T")
      .Types("T", kFloatTypes)
      .Attr("axis", -1)
      .Infer(InferAlongAxis)
      .RowWise(AxisIsInner);
}

}  // namespace

SLUICE_DECLARE_OP(Softmax) {
  return AlongAxis("Softmax", "exp(x - max x) / sum exp(x - max x) along `axis`.")
      .Expansion(ExpandSoftmax)
      .Gradient(SoftmaxGradient)
      .InLoops(LoopRole::kNormalize)
      .Costs(ElementCost::kHeavy)
      .InAnyAxisOrder(AnyAxisOrder::kFirstInput);
}
SLUICE_DECLARE_OP(LogSoftmax) {
  return AlongAxis("LogSoftmax", "x - max x - log sum exp(x - max x) along `axis`.")
      .Expansion(ExpandLogSoftmax)
      .Gradient(LogSoftmaxGradient)
      .InLoops(LoopRole::kNormalize)
      .Costs(ElementCost::kHeavy)
      .InAnyAxisOrder(AnyAxisOrder::kFirstInput);
}
SLUICE_DECLARE_OP(Hardmax) {
  return AlongAxis("Hardmax", "1 at the first largest element along `axis`, 0 elsewhere.")
      .NotDifferentiable("it is piecewise constant");
}

}  // namespace sluice
