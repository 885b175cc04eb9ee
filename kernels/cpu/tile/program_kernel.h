// A kernel that is one tile program: what element-wise ops, softmax, norms and fused loops are.
#ifndef SLUICE_KERNELS_CPU_TILE_PROGRAM_KERNEL_H_
#define SLUICE_KERNELS_CPU_TILE_PROGRAM_KERNEL_H_

#include <memory>
#include <vector>

#include "kernels/cpu/tile/plan.h"
#include "kernels/kernel.h"

namespace sluice::cpu {

// `program` reads node inputs `inputs` and writes all outputs of the node, in order. At most 8
// inputs and 4 outputs. Where the program's space is empty, outputs that have elements all the same
// (statistics over nothing) are filled with NaN.
absl::StatusOr<std::unique_ptr<Kernel>> MakeProgramKernel(const TileProgram& program,
                                                          std::vector<int> inputs,
                                                          const PrepareContext& context);

// `program` reads all inputs of the node, by position.
absl::StatusOr<std::unique_ptr<Kernel>> MakeProgramKernel(const TileProgram& program, int threads);

// `dims` seen from a reduction: [outer..., reduced..., inner...], with neighbours merged and
// extents of 1 left out. inner is there only where the last kept axes follow all reduced ones.
struct ReduceView {
  Dims space;
  TileProgram::Range reduced;
  Dims in;   // strides of the contiguous input
  Dims out;  // strides of the contiguous result; 0 along reduced extents
  int64_t outer = 1, count = 1, inner = 1;  // products of the three groups
};
ReduceView MakeReduceView(absl::Span<const int64_t> dims, const std::vector<bool>& is_reduced);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_TILE_PROGRAM_KERNEL_H_
