// GroupNormalization and InstanceNormalization: statistics per sample and group of channels.
#include "ops/gradient_util.h"
#include "ops/norm_expansion.h"
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

// `grouped` is the shape [N, groups, rest] for Reshape.
absl::StatusOr<std::vector<Value*>> Expand(GraphBuilder& b, const Node& node,
                                           const std::vector<int64_t>& grouped) {
  const Type& type = node.input(0)->type();
  if (!type.has_shape()) return absl::UnimplementedError("the expansion needs the rank of X");
  Value* axes = b.Ints({-1});
  Value* x = b.Op("Reshape", {Widened(b, node.input(0)), b.Ints(grouped)});
  Value* centred = b.Op("Sub", {x, MeanOver(b, x, axes)});
  Value* inverse =
      InverseSpread(b, MeanOver(b, b.Op("Mul", {centred, centred}), axes), node.Float("epsilon"));
  Value* y = b.Op("Reshape", {b.Op("Mul", {centred, inverse}), ShapeOf(b, node.input(0))},
                  {{"allowzero", 1}});
  y = b.Op("Mul", {CastLike(b, y, type.dtype()), PerChannel(b, node.input(1), type.rank())});
  return std::vector<Value*>{b.Op("Add", {y, PerChannel(b, node.input(2), type.rank())})};
}
absl::StatusOr<std::vector<Value*>> ExpandInstance(GraphBuilder& b, const Node& node) {
  return Expand(b, node, {0, 0, -1});
}
absl::StatusOr<std::vector<Value*>> ExpandGroup(GraphBuilder& b, const Node& node) {
  return Expand(b, node, {0, node.Int("num_groups"), -1});
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
      .Expansion(ExpandInstance)
      .GradientPending()
      .RowWise();
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
      .Expansion(ExpandGroup)
      .GradientPending()
      .RowWise();
}

}  // namespace sluice
