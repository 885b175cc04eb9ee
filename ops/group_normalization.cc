// GroupNormalization and InstanceNormalization: statistics per sample and group of channels.
#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferPerChannel(InferContext& c, absl::string_view scale, absl::string_view bias) {
  const Type& x = c.InputType(0);
  c.SetOutput(0, x);
  if (!x.is_tensor() || !x.has_shape()) return absl::OkStatus();
  if (x.rank() < 2) return c.Error("the input must be [N, C, ...], not ", x.ToString());
  for (size_t i = 1; i < 3; ++i) {
    const Type& type = c.InputType(i);
    if (!type.is_tensor() || !type.has_shape()) continue;
    if (type.rank() != 1 || ProvablyDifferent(type.dim(0), x.dim(1))) {
      return c.Error(i == 1 ? scale : bias, " must be [", x.dim(1).ToString(),
                     "], one element a channel, not ", type.ToString());
    }
  }
  return absl::OkStatus();
}

absl::Status InferInstance(InferContext& c) { return InferPerChannel(c, "scale", "B"); }

absl::Status InferGroup(InferContext& c) {
  const int64_t groups = c.Int("num_groups");
  if (groups < 1) return c.Error("num_groups is ", groups, "; expected at least 1");
  const Type& x = c.InputType(0);
  if (x.is_tensor() && x.has_shape() && x.rank() >= 2 && x.dim(1).is_number() &&
      x.dim(1).number() % groups != 0) {
    return c.Error("num_groups ", groups, " does not divide the ", x.dim(1).number(), " channels");
  }
  return InferPerChannel(c, "scale", "bias");
}

}  // namespace

SLUICE_DECLARE_OP(InstanceNormalization) {
  return Op("InstanceNormalization")
      .Doc(
          "scale * (x - mean) / sqrt(variance + epsilon) + B, with mean and variance per sample "
          "and channel.")
      .Input("input", "T")
      .Input("scale", "T")
      .Input("B", "T")
      .Output("output", "T")
      .Types("T", kFloatTypes)
      .Attr("epsilon", 1e-5f)
      .Infer(InferInstance)
      .GradientPending();
}

SLUICE_DECLARE_OP(GroupNormalization) {
  return Op("GroupNormalization")
      .Doc(
          "scale * (X - mean) / sqrt(variance + epsilon) + bias, with mean and variance per "
          "sample and group of channels.")
      .Input("X", "T")
      .Input("scale", "T")
      .Input("bias", "T")
      .Output("Y", "T")
      .Types("T", kFloatTypes)
      .RequiredAttr("num_groups", AttrKind::kInt)
      .Attr("epsilon", 1e-5f)
      .Attr("stash_type", 1, "precision of the statistics: 1 is f32")
      .Infer(InferGroup)
      .GradientPending();
}

}  // namespace sluice
