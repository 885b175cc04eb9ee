#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferLrn(InferContext& c) {
  const Type& x = c.InputType(0);
  if (c.Int("size") < 1) return c.Error("size is ", c.Int("size"), "; expected at least 1");
  if (x.is_tensor() && x.has_shape() && x.rank() < 2) {
    return c.Error("X must be [N, C, ...], not ", x.ToString());
  }
  c.SetOutput(0, x);
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(LRN) {
  return Op("LRN")
      .Doc("x / (bias + alpha / size * sum of squares over `size` neighbouring channels) ^ beta.")
      .Input("X", "T")
      .Output("Y", "T")
      .Types("T", kFloatTypes)
      .RequiredAttr("size", AttrKind::kInt)
      .Attr("alpha", 1e-4f)
      .Attr("beta", 0.75f)
      .Attr("bias", 1.0f)
      .Infer(InferLrn)
      .GradientPending()
      .RowWise();
}

}  // namespace sluice
