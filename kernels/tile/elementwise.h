// Element-wise ops as steps of a tile program: what their own kernels run, and what a fused loop
// lowers to. One line an op in elementwise_list.inc.
#ifndef SLUICE_KERNELS_TILE_ELEMENTWISE_H_
#define SLUICE_KERNELS_TILE_ELEMENTWISE_H_

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "graph/graph.h"
#include "kernels/tile/program.h"

namespace sluice {

// One operand of a node that is being lowered.
struct TileValue {
  TileProgram::ValueId id = -1;   // -1: absent
  DType dtype = DType::kInvalid;  // as the graph has it: f16 and bf16 are computed in f32
  Tensor constant;                // the contents where known at preparation
};

// Appends the steps of `node`; its result has the compute type of the node's output. Unimplemented
// where the op has no steps.
absl::StatusOr<TileProgram::ValueId> LowerElementwise(TileProgram& program, const Node& node,
                                                      absl::Span<const TileValue> inputs);

// Whether LowerElementwise() knows the op.
bool HasTileSteps(absl::string_view op);

}  // namespace sluice

#endif  // SLUICE_KERNELS_TILE_ELEMENTWISE_H_
