// Softmax and LogSoftmax along one axis, as tile programs.
#include "kernels/cpu/tile/program_kernel.h"
#include "kernels/tile/norm.h"

namespace sluice::cpu {
namespace {

// The space [outer, axis, inner] of a contiguous tensor.
struct AxisSpace {
  Dims space, strides;
};

AxisSpace AlongAxis(const PrepareContext& context) {
  const Dims dims = context.input_dims(0);
  const int rank = static_cast<int>(dims.size());
  const int64_t given = context.node.Int("axis");
  const int axis = static_cast<int>(given < 0 ? given + rank : given);
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < axis; ++i) outer *= dims[i];
  for (int i = axis + 1; i < rank; ++i) inner *= dims[i];
  return {{outer, dims[axis], inner}, {dims[axis] * inner, inner, 1}};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareSoftmax(const PrepareContext& context) {
  const AxisSpace s = AlongAxis(context);
  TileProgram p(s.space, {1, 2});
  const auto x = p.Input(context.input_dtype(0), s.strides);
  p.Output(SoftmaxSteps(p, x), context.output_dtype(0), s.strides);
  return MakeProgramKernel(p, {0}, context);
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareLogSoftmax(const PrepareContext& context) {
  const AxisSpace s = AlongAxis(context);
  TileProgram p(s.space, {1, 2});
  const auto x = p.Input(context.input_dtype(0), s.strides);
  p.Output(LogSoftmaxSteps(p, x), context.output_dtype(0), s.strides);
  return MakeProgramKernel(p, {0}, context);
}

}  // namespace sluice::cpu
