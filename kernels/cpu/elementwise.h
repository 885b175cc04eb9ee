// Element-wise ops as steps of a tile program: what their own kernels run, and what a fused loop
// lowers to.
#ifndef SLUICE_KERNELS_CPU_ELEMENTWISE_H_
#define SLUICE_KERNELS_CPU_ELEMENTWISE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "graph/graph.h"
#include "kernels/cpu/tile_program.h"
#include "kernels/kernel.h"

namespace sluice::cpu {

// One operand of a node that is being lowered.
struct TileValue {
  TileProgram::ValueId id = -1;   // -1: absent
  DType dtype = DType::kInvalid;  // as the graph has it: f16 and bf16 are computed in f32
  Tensor constant;                // the contents where known at preparation
};

// Appends the steps of `node`; its result has the compute type of the node's output. Unimplemented
// where the op, or the op in this dtype, has no steps.
absl::StatusOr<TileProgram::ValueId> LowerElementwise(TileProgram& program, const Node& node,
                                                      absl::Span<const TileValue> inputs);

// The next operand of `program`, which runs over `space`: input `i` of the node, broadcast.
// InvalidArgument where its shape does not fit, Unimplemented for strings.
absl::StatusOr<TileValue> ReadOperand(const PrepareContext& context, size_t i, const Dims& space,
                                      TileProgram* program);

// Whether LowerElementwise() knows the op, in some dtype.
bool HasTileSteps(absl::string_view op);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_ELEMENTWISE_H_
