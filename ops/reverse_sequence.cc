#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferReverseSequence(InferContext& c) {
  const Type &x = c.InputType(0), &lengths = c.InputType(1);
  const int64_t batch = c.Int("batch_axis"), time = c.Int("time_axis");
  if (batch < 0 || batch > 1 || time < 0 || time > 1 || batch == time) {
    return c.Error("batch_axis ", batch, " and time_axis ", time, " must be 0 and 1, or 1 and 0");
  }
  if (x.is_tensor() && x.has_shape()) {
    if (x.rank() < 2) return c.Error("the input is ", x.ToString(), "; expected rank 2 or more");
    if (lengths.is_tensor() && lengths.has_shape() &&
        (lengths.rank() != 1 ||
         ProvablyDifferent(lengths.dim(0), x.dim(static_cast<int>(batch))))) {
      return c.Error("sequence_lens is ", lengths.ToString(), "; expected one length for each of ",
                     x.dim(static_cast<int>(batch)).ToString(), " batch entries");
    }
  }
  c.SetOutput(0, x);
  return absl::OkStatus();
}

absl::Status ReverseSequenceGradient(GradientContext& c) {
  c.SetInputGrad(0, c.builder().Op("ReverseSequence", {c.output_grad(), c.input(1)},
                                   {{"batch_axis", c.node().Int("batch_axis")},
                                    {"time_axis", c.node().Int("time_axis")}}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(ReverseSequence) {
  return Op("ReverseSequence")
      .Doc("Reverses the first sequence_lens[b] steps of each batch entry b; later steps stay.")
      .Input("input", "T")
      .Input("sequence_lens", "i64")
      .Output("Y", "T")
      .Types("T", kAllTypes)
      .Attr("batch_axis", 1)
      .Attr("time_axis", 0)
      .Infer(InferReverseSequence)
      .Gradient(ReverseSequenceGradient)
      .Costs(ElementCost::kMove);
}

}  // namespace sluice
