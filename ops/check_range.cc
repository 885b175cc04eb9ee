#include "ops/gradient.h"
#include "ops/infer_util.h"
#include "ops/op.h"

namespace sluice {
namespace {

absl::Status CheckRangeGradient(GradientContext& c) {
  c.SetInputGrad(0, c.output_grad());
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(CheckRange) {
  return Op("CheckRange", "sluice")
      .Doc("The input itself; an error where an element is not from `low` to `high`, or is NaN.")
      .Input("input", "T")
      .Output("output", "T")
      .Types("T", kFloatTypes)
      .Attr("low", 0.0f)
      .Attr("high", 1.0f)
      .Attr("what", "", "what the message calls it")
      .Infer(SameAsInput)
      .Gradient(CheckRangeGradient);
}

}  // namespace sluice
