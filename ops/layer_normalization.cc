// LayerNormalization and RMSNormalization: over all axes from `axis` on.
#include "ops/infer_util.h"
#include "ops/norm_expansion.h"
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

// The axes from `axis` to the last. A negative axis needs no rank.
absl::StatusOr<Value*> RowAxes(GraphBuilder& b, const Node& node) {
  const int64_t axis = node.Int("axis");
  if (axis < 0) return b.Ints(AxisRange(axis, 0));
  if (!node.input(0)->type().has_shape()) {
    return absl::UnimplementedError("the expansion needs the rank of X for an axis >= 0");
  }
  return b.Ints(AxisRange(axis, node.input(0)->type().rank()));
}

absl::StatusOr<std::vector<Value*>> ExpandLayerNormalization(GraphBuilder& b, const Node& node) {
  absl::StatusOr<Value*> axes = RowAxes(b, node);
  if (!axes.ok()) return axes.status();
  const DType dtype = node.input(0)->type().dtype();
  Value* x = Widened(b, node.input(0));
  Value* mean = MeanOver(b, x, *axes);
  Value* centred = b.Op("Sub", {x, mean});
  Value* inverse =
      InverseSpread(b, MeanOver(b, b.Op("Mul", {centred, centred}), *axes), node.Float("epsilon"));
  Value* y = CastLike(b, b.Op("Mul", {centred, inverse}), dtype);
  y = b.Op("Mul", {y, node.input(1)});
  if (node.input(2) != nullptr) y = b.Op("Add", {y, node.input(2)});
  std::vector<Value*> outputs = {y, mean, inverse};
  const DType stash = node.Int("stash_type") == 1 ? DType::kF32 : DType::kBF16;
  for (size_t i = 1; i < 3; ++i) outputs[i] = CastLike(b, outputs[i], stash);
  outputs.resize(node.num_outputs());
  return outputs;
}

absl::StatusOr<std::vector<Value*>> ExpandRMSNormalization(GraphBuilder& b, const Node& node) {
  absl::StatusOr<Value*> axes = RowAxes(b, node);
  if (!axes.ok()) return axes.status();
  Value* x = Widened(b, node.input(0));
  Value* inverse = InverseSpread(b, MeanOver(b, b.Op("Mul", {x, x}), *axes), node.Float("epsilon"));
  Value* y = CastLike(b, b.Op("Mul", {x, inverse}), node.input(1)->type().dtype());
  return std::vector<Value*>{b.Op("Mul", {y, node.input(1)})};
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
      .Expansion(ExpandLayerNormalization)
      .GradientPending()
      .RowWise(AxisIsInner)
      .InLoops(LoopRole::kNormalize);
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
      .Expansion(ExpandRMSNormalization)
      .GradientPending()
      .RowWise(AxisIsInner)
      .InLoops(LoopRole::kNormalize);
}

}  // namespace sluice
