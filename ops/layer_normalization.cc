// LayerNormalization and RMSNormalization: over all axes from `axis` on.
#include "ops/op.h"

namespace sluice {
namespace {

// `type` must stretch to `x` by numpy's rule without stretching x.
absl::Status CheckStretches(const InferContext& c, const char* name, const Type& type,
                            const Type& x) {
  if (!type.is_tensor() || !type.has_shape()) return absl::OkStatus();
  bool fits = type.rank() <= x.rank();
  for (int i = 1; fits && i <= type.rank(); ++i) {
    const Dim& d = type.dim(type.rank() - i);
    fits = !ProvablyDifferent(d, 1) || !ProvablyDifferent(d, x.dim(x.rank() - i));
  }
  if (fits) return absl::OkStatus();
  return c.Error(name, " ", type.ToString(), " does not broadcast to X ", x.ToString());
}

absl::Status StashType(const InferContext& c, DType* dtype) {
  const int64_t stash = c.Int("stash_type");  // TensorProto's numbers
  if (stash != 1 && stash != 16) {
    return c.Error("stash_type is ", stash, "; expected 1 (f32) or 16 (bf16)");
  }
  *dtype = stash == 1 ? DType::kF32 : DType::kBF16;
  return absl::OkStatus();
}

absl::Status InferLayerNormalization(InferContext& c) {
  const Type& x = c.InputType(0);
  DType stash;
  if (absl::Status s = StashType(c, &stash); !s.ok()) return s;
  c.SetOutput(0, x);
  c.SetOutput(1, Type::Tensor(stash));
  c.SetOutput(2, Type::Tensor(stash));
  if (!x.is_tensor() || !x.has_shape()) return absl::OkStatus();
  absl::StatusOr<int> axis = c.Axis(c.Int("axis"), x.rank());
  if (!axis.ok()) return axis.status();
  if (absl::Status s = CheckStretches(c, "Scale", c.InputType(1), x); !s.ok()) return s;
  if (absl::Status s = CheckStretches(c, "B", c.InputType(2), x); !s.ok()) return s;
  Shape rows = x.shape();
  std::fill(rows.begin() + *axis, rows.end(), Dim(1));
  c.SetOutput(1, Type::Tensor(stash, rows));
  c.SetOutput(2, Type::Tensor(stash, std::move(rows)));
  return absl::OkStatus();
}

absl::Status InferRMSNormalization(InferContext& c) {
  const Type& x = c.InputType(0);
  DType stash;
  if (absl::Status s = StashType(c, &stash); !s.ok()) return s;
  const DType dtype = c.InputType(1).is_tensor() ? c.InputType(1).dtype() : DType::kInvalid;
  if (dtype == DType::kInvalid) return absl::OkStatus();
  c.SetOutput(0, Type::Tensor(dtype));
  if (!x.is_tensor() || !x.has_shape()) return absl::OkStatus();
  if (absl::StatusOr<int> axis = c.Axis(c.Int("axis"), x.rank()); !axis.ok()) return axis.status();
  if (absl::Status s = CheckStretches(c, "scale", c.InputType(1), x); !s.ok()) return s;
  c.SetOutput(0, Type::Tensor(dtype, x.shape()));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(LayerNormalization) {
  return Op("LayerNormalization")
      .Doc(
          "(X - mean) / sqrt(variance + epsilon) * Scale + B, with mean and variance over the "
          "axes from `axis` on.")
      .Input("X", "T")
      .Input("Scale", "T")
      .OptionalInput("B", "T")
      .Output("Y", "T")
      .OptionalOutput("Mean", "U")
      .OptionalOutput("InvStdDev", "U")
      .Types("T", kFloatTypes)
      .Types("U", {DType::kF32, DType::kBF16})
      .Attr("axis", -1)
      .Attr("epsilon", 1e-5f)
      .Attr("stash_type", 1, "dtype of Mean and InvStdDev: 1 is f32, 16 is bf16")
      .Infer(InferLayerNormalization)
      .GradientPending();
}

SLUICE_DECLARE_OP(RMSNormalization) {
  return Op("RMSNormalization")
      .Doc(
          "X / sqrt(mean of squares + epsilon) * scale, with the mean over the axes from `axis` "
          "on.")
      .Input("X", "T")
      .Input("scale", "V")
      .Output("Y", "V")
      .Types("T", kFloatTypes)
      .Types("V", kFloatTypes)
      .Attr("axis", -1)
      .Attr("epsilon", 1e-5f)
      .Attr("stash_type", 1, "precision of the statistics: 1 is f32, 16 is bf16")
      .Infer(InferRMSNormalization)
      .GradientPending();
}

}  // namespace sluice
