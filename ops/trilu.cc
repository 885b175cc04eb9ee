#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferTrilu(InferContext& c) {
  const Type &x = c.InputType(0), &k = c.InputType(1);
  if (x.is_tensor() && x.has_shape() && x.rank() < 2) {
    return c.Error("the input is ", x.ToString(), "; expected rank 2 or more");
  }
  if (k.has_static_shape() && *k.Elements() != Dim(1)) {
    return c.Error("k is ", k.ToString(), "; expected a scalar");
  }
  c.SetOutput(0, x);
  return absl::OkStatus();
}

absl::Status TriluGradient(GradientContext& c) {
  c.SetInputGrad(0, c.builder().Op("Trilu", {c.output_grad(), c.input(1)},
                                   {{"upper", c.node().Int("upper")}}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Trilu) {
  return Op("Trilu")
      .Doc("The upper (or lower) triangle of each matrix with the diagonal `k`, zeros elsewhere.")
      .Input("input", "T")
      .OptionalInput("k", "i64")
      .Output("output", "T")
      .Types("T", kAllTypes)
      .Attr("upper", 1)
      .Infer(InferTrilu)
      .Gradient(TriluGradient)
      .Costs(ElementCost::kMove);
}

}  // namespace sluice
