#include "kernels/cpu/tile/program_kernel.h"
#include "kernels/tile/norm.h"

namespace sluice::cpu {
namespace {

// The space [N, groups, channels of a group, elements of a channel].
absl::StatusOr<std::unique_ptr<Kernel>> Prepare(const PrepareContext& context, int64_t groups) {
  const Dims dims = context.input_dims(0);
  const int64_t channels = dims[1];
  if (channels % groups != 0) {
    return absl::InvalidArgumentError("num_groups does not divide the channels");
  }
  int64_t inner = 1;
  for (size_t i = 2; i < dims.size(); ++i) inner *= dims[i];
  const int64_t each = channels / groups;
  const Dims space = {dims[0], groups, each, inner};
  const Dims per_channel = {0, each, 1, 0};

  TileProgram p(space, {2, 4});
  const NormSteps n{p, each * inner, NormType({context.input_dtype(0)})};
  const Dims strides = BroadcastStrides(space, space);
  const auto x = n.Input(context.input_dtype(0), strides);
  const auto centred = n.Sub(x, n.Mean(x));
  const auto inverse = n.InverseSpread(n.MeanSquare(centred), context.node.Float("epsilon"));
  const auto scale = n.Input(context.input_dtype(1), per_channel);
  const auto bias = n.Input(context.input_dtype(2), per_channel);
  // With one channel a group all of the parameters are one number a row.
  const auto y =
      each == 1 ? n.Mul(centred, n.Mul(inverse, scale)) : n.Mul(n.Mul(centred, inverse), scale);
  p.Output(n.Add(y, bias), context.output_dtype(0), strides);
  return MakeProgramKernel(p, {0, 1, 2}, context);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareInstanceNormalization(
    const PrepareContext& context) {
  return Prepare(context, std::max<int64_t>(context.input_dims(0)[1], 1));
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareGroupNormalization(const PrepareContext& context) {
  return Prepare(context, context.node.Int("num_groups"));
}

}  // namespace sluice::cpu
