#include <array>

#include "kernels/cpu/tile/program_kernel.h"
#include "kernels/tile/norm.h"

namespace sluice::cpu {
namespace {

// X [N, C, ...] with the channels outermost: what is kept, before what is averaged.
struct ChannelSpace {
  int64_t batch, channels, inner;

  explicit ChannelSpace(const Dims& dims)
      : batch(dims[0]), channels(dims.size() > 1 ? dims[1] : 1), inner(1) {
    for (size_t i = 2; i < dims.size(); ++i) inner *= dims[i];
  }
  Dims space() const { return {channels, batch, inner}; }
  Dims strides() const { return {inner, channels * inner, 1}; }
};

// Given statistics become one factor and one offset a channel, which are then applied in one pass.
class BatchNormKernel : public Kernel {
 public:
  BatchNormKernel(TilePlan fold, TilePlan apply, int64_t channels, DType dtype)
      : fold_(std::move(fold)),
        apply_(std::move(apply)),
        vector_bytes_((channels * ByteSize(dtype) + 63) / 64 * 64) {}

  absl::Status Launch(const LaunchContext& c) const override {
    char* scratch = static_cast<char*>(c.scratch);
    char* rest = scratch + 2 * vector_bytes_;
    const std::array<void*, 2> folded = {scratch, scratch + vector_bytes_};
    fold_.Run(c.inputs.subspan(1), folded, rest, c.pool);
    const std::array<const void*, 3> in = {c.inputs[0], folded[0], folded[1]};
    apply_.Run(in, c.outputs.first(1), rest, c.pool);
    return absl::OkStatus();
  }
  std::string Description() const override { return apply_.ToString(); }
  size_t scratch_bytes() const override {
    return 2 * vector_bytes_ + std::max(fold_.scratch_bytes(), apply_.scratch_bytes());
  }
  std::vector<std::pair<int, int>> in_place() const override {
    std::vector<std::pair<int, int>> pairs;
    for (const auto& pair : apply_.in_place()) {
      if (pair.second == 0) pairs.push_back(pair);
    }
    return pairs;
  }

 private:
  const TilePlan fold_, apply_;
  const size_t vector_bytes_;
};

absl::StatusOr<std::unique_ptr<Kernel>> PrepareGiven(const PrepareContext& context, DType dtype) {
  const ChannelSpace s(context.input_dims(0));
  TileProgram fold({s.channels});
  {
    const NormSteps n{fold, 1, dtype};
    const auto scale = n.Input(context.input_dtype(1), {1});
    const auto bias = n.Input(context.input_dtype(2), {1});
    const auto mean = n.Input(context.input_dtype(3), {1});
    const auto variance = n.Input(context.input_dtype(4), {1});
    const auto factor = n.Mul(scale, n.InverseSpread(variance, context.node.Float("epsilon")));
    fold.Output(factor, dtype, {1});
    fold.Output(n.Sub(bias, n.Mul(mean, factor)), dtype, {1});
  }
  TileProgram apply({s.batch, s.channels, s.inner});
  {
    const NormSteps n{apply, 1, dtype};
    const Dims strides = {s.channels * s.inner, s.inner, 1};
    const auto x = n.Input(context.input_dtype(0), strides);
    const auto factor = n.Input(dtype, {0, 1, 0});
    const auto offset = n.Input(dtype, {0, 1, 0});
    apply.Output(n.Add(n.Mul(x, factor), offset), context.output_dtype(0), strides);
  }
  absl::StatusOr<TilePlan> first = TilePlan::Make(fold, context.threads);
  if (!first.ok()) return first.status();
  absl::StatusOr<TilePlan> second = TilePlan::Make(apply, context.threads);
  if (!second.ok()) return second.status();
  return std::make_unique<BatchNormKernel>(*std::move(first), *std::move(second), s.channels,
                                           dtype);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareBatchNormalization(const PrepareContext& context) {
  const DType dtype =
      NormType({context.input_dtype(0), context.input_dtype(1), context.input_dtype(3)});
  const ChannelSpace s(context.input_dims(0));
  const bool empty = s.batch * s.channels * s.inner == 0;
  if (context.node.Int("training_mode") == 0 && !empty) return PrepareGiven(context, dtype);

  TileProgram p(s.space(), {1, 3});
  const NormSteps n{p, s.batch * s.inner, dtype};
  const Dims per_channel = {1, 0, 0};
  const auto x = n.Input(context.input_dtype(0), s.strides());
  const auto scale = n.Input(context.input_dtype(1), per_channel);
  const auto bias = n.Input(context.input_dtype(2), per_channel);
  const auto old_mean = n.Input(context.input_dtype(3), per_channel);
  const auto old_variance = n.Input(context.input_dtype(4), per_channel);
  const auto mean = n.Mean(x);
  const auto centred = n.Sub(x, mean);
  const auto variance = n.MeanSquare(centred);
  const auto factor = n.Mul(scale, n.InverseSpread(variance, context.node.Float("epsilon")));
  p.Output(n.Add(n.Mul(centred, factor), bias), context.output_dtype(0), s.strides());
  const double momentum = context.node.Float("momentum");
  const auto blend = [&](auto old_value, auto new_value) {
    return n.Add(n.Mul(old_value, n.Number(momentum)), n.Mul(new_value, n.Number(1 - momentum)));
  };
  if (context.HasOutput(1)) p.Output(blend(old_mean, mean), context.output_dtype(1), per_channel);
  if (context.HasOutput(2)) {
    p.Output(blend(old_variance, variance), context.output_dtype(2), per_channel);
  }
  return MakeProgramKernel(p, {0, 1, 2, 3, 4}, context);
}

}  // namespace sluice::cpu
