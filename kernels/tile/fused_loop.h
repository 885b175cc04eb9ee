// FusedLoop as one tile program: the loops of its body are the space, each node becomes its steps.
#ifndef SLUICE_KERNELS_TILE_FUSED_LOOP_H_
#define SLUICE_KERNELS_TILE_FUSED_LOOP_H_

#include "absl/status/statusor.h"
#include "kernels/kernel.h"
#include "kernels/tile/program.h"
#include "ops/loop_space.h"

namespace sluice {

// `loops`: of the body's nodes, with numbers as extents, none of them 0. The program's operands are
// the node's inputs and outputs, by position, as they lie in the context's layouts. Between the
// nodes 16-bit floats stay f32, but with Accuracy::kStrict. Unimplemented with the reason where the
// body is no one program.
absl::StatusOr<TileProgram> LowerFusedLoop(const PrepareContext& context, LoopSpace loops);

}  // namespace sluice

#endif  // SLUICE_KERNELS_TILE_FUSED_LOOP_H_
