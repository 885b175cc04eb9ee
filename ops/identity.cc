#include "ops/infer_util.h"
#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferSame(InferContext& c) {
  c.SetOutput(0, c.InputType(0));
  return absl::OkStatus();
}

absl::Status SameGradient(GradientContext& g) {
  g.SetInputGrad(0, g.output_grad());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Value*>> ExpandSame(GraphBuilder& b, const Node& node) {
  return std::vector<Value*>{b.Op("Identity", {node.input(0)})};
}

}  // namespace

SLUICE_DECLARE_OP(Identity) {
  return Op("Identity")
      .Doc("Its input, unchanged: a tensor, a sequence or an optional.")
      .Input("input", "")
      .Output("output", "")
      .Infer(+[](InferContext& c) {
        c.SetOutput(0, c.InputType(0));
        if (std::optional<Shape> dims = SmallInputDims(c, 0)) c.SetOutputDims(0, *dims);
        return absl::OkStatus();
      })
      .Gradient(SameGradient)
      .Costs(ElementCost::kMove)
      .InLoops(LoopRole::kView)
      .InAnyAxisOrder(AnyAxisOrder::kAllInputs);
}

SLUICE_DECLARE_OP(StopGradient) {
  return Op("StopGradient", "sluice")
      .Doc("Its input, unchanged. For gradients it is a constant.")
      .Types("T", kAllTypes)
      .Input("input", "T")
      .Output("output", "T")
      .RowWise()
      .Infer(InferSame)
      .ExpandAlways(ExpandSame)
      .NotDifferentiable("it stops gradients")
      .Costs(ElementCost::kMove);
}

SLUICE_DECLARE_OP(GradientSeed) {
  return Op("GradientSeed", "sluice")
      .Doc("Its input, unchanged: the gradient of a loss by itself, where AddGradients() begins.")
      .Types("T", kFloatTypes)
      .Input("input", "T")
      .Output("output", "T")
      .RowWise()
      .Infer(InferSame)
      .ExpandAlways(ExpandSame)
      .Gradient(SameGradient)
      .Costs(ElementCost::kMove);
}

SLUICE_DECLARE_OP(GradientOf) {
  return Op("GradientOf", "sluice")
      .Doc("Its input, unchanged: the whole gradient of a variable, where AddGradients() ends.")
      .Types("T", kFloatTypes)
      .Input("input", "T")
      .Output("output", "T")
      .RequiredAttr("variable", AttrKind::kString, "The variable's name.")
      .Infer(InferSame)
      .ExpandAlways(ExpandSame)
      .Gradient(SameGradient)
      .Costs(ElementCost::kMove);
}

}  // namespace sluice
