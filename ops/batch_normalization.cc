#include "ops/op.h"

namespace sluice {
namespace {

// The channels of X [N, C, ...]; a lone axis is N, with C = 1.
std::optional<Dim> Channels(const Type& x) {
  if (!x.is_tensor() || !x.has_shape()) return std::nullopt;
  return x.rank() > 1 ? x.dim(1) : Dim(1);
}

absl::Status InferBatchNormalization(InferContext& c) {
  const Type& x = c.InputType(0);
  if (x.is_tensor() && x.has_shape() && x.rank() == 0) {
    return c.Error("X needs a batch axis; it is a scalar");
  }
  std::optional<Dim> channels = Channels(x);
  static constexpr const char* kNames[] = {"X", "scale", "B", "input_mean", "input_var"};
  for (size_t i = 1; i < 5; ++i) {
    const Type& type = c.InputType(i);
    if (!type.is_tensor() || !type.has_shape()) continue;
    if (type.rank() != 1) return c.Error(kNames[i], " must have rank 1, not ", type.ToString());
    if (!channels.has_value()) channels = type.dim(0);
    if (ProvablyDifferent(*channels, type.dim(0))) {
      return c.Error(kNames[i], " has ", type.dim(0).ToString(), " elements, but X ", x.ToString(),
                     " has ", channels->ToString(), " channels");
    }
  }
  const bool training = c.Int("training_mode") != 0;
  if (!training && c.num_outputs() > 1) {
    return c.Error("running_mean and running_var exist in training_mode only");
  }
  c.SetOutput(0, x);
  for (size_t i = 1; i < 3; ++i) {
    const Type& stat = c.InputType(3);
    if (!stat.is_tensor()) continue;
    c.SetOutput(i, channels.has_value() ? Type::Tensor(stat.dtype(), Shape{*channels})
                                        : Type::Tensor(stat.dtype()));
  }
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(BatchNormalization) {
  return Op("BatchNormalization")
      .Doc(
          "(X - mean) / sqrt(var + epsilon) * scale + B per channel; mean and variance are given, "
          "or, in training_mode, the batch's own.")
      .Input("X", "T")
      .Input("scale", "T1")
      .Input("B", "T1")
      .Input("input_mean", "T2")
      .Input("input_var", "T2")
      .Output("Y", "T")
      .OptionalOutput("running_mean", "T2")
      .OptionalOutput("running_var", "T2")
      .Types("T", kFloatTypes)
      .Types("T1", kFloatTypes)
      .Types("T2", kFloatTypes)
      .Attr("epsilon", 1e-5f)
      .Attr("momentum", 0.9f, "weight of the old running value")
      .Attr("training_mode", 0)
      .Infer(InferBatchNormalization)
      .GradientPending();
}

}  // namespace sluice
