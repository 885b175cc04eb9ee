#include "ops/infer_util.h"
#include "ops/op.h"

namespace sluice {

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
      .Gradient(+[](GradientContext& g) {
        g.SetInputGrad(0, g.output_grad());
        return absl::OkStatus();
      });
}

}  // namespace sluice
