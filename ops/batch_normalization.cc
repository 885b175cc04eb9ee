#include "ops/norm_expansion.h"
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

absl::StatusOr<std::vector<Value*>> ExpandBatchNormalization(GraphBuilder& b, const Node& node) {
  const Type& type = node.input(0)->type();
  if (!type.has_shape()) return absl::UnimplementedError("the expansion needs the rank of X");
  const int rank = type.rank();
  // Everything in the widest dtype of the inputs, f32 at least.
  DType wide = DType::kF32;
  for (const Value* v : node.inputs()) {
    if (v->type().dtype() == DType::kF64) wide = DType::kF64;
  }
  std::vector<Value*> in;
  for (Value* v : node.inputs()) in.push_back(CastLike(b, v, wide));
  Value *mean = in[3], *variance = in[4];
  std::vector<Value*> outputs = {nullptr};
  if (node.Int("training_mode") != 0) {
    std::vector<int64_t> axes = AxisRange(2, rank);
    axes.push_back(0);
    const auto average = [&](Value* v) {
      Value* m = b.Op("ReduceMean", {v, b.Ints(axes)}, {{"keepdims", 0}});
      return rank > 1 ? m : b.Op("Unsqueeze", {m, b.Ints({0})});
    };
    mean = average(in[0]);
    Value* d = b.Op("Sub", {in[0], PerChannel(b, mean, rank)});
    variance = average(b.Op("Mul", {d, d}));
    const double momentum = node.Float("momentum");
    for (size_t i = 1; i < node.num_outputs(); ++i) {
      Value* old_part = b.Op("Mul", {in[i + 2], b.ScalarLike(mean, momentum)});
      Value* new_part = b.Op("Mul", {i == 1 ? mean : variance, b.ScalarLike(mean, 1 - momentum)});
      outputs.push_back(
          CastLike(b, b.Op("Add", {old_part, new_part}), node.input(3)->type().dtype()));
    }
  }
  Value* factor = b.Op("Mul", {in[1], InverseSpread(b, variance, node.Float("epsilon"))});
  Value* y =
      b.Op("Mul", {b.Op("Sub", {in[0], PerChannel(b, mean, rank)}), PerChannel(b, factor, rank)});
  y = b.Op("Add", {y, PerChannel(b, in[2], rank)});
  outputs[0] = CastLike(b, y, type.dtype());
  return outputs;
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
      .Expansion(ExpandBatchNormalization)
      .GradientPending()
      .RowWise(+[](const Node& node) { return node.Int("training_mode") == 0; });
}

}  // namespace sluice
