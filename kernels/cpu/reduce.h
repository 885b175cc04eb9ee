// Reductions as steps of a tile program: what their own kernels run, and what a fused loop lowers
// to.
#ifndef SLUICE_KERNELS_CPU_REDUCE_H_
#define SLUICE_KERNELS_CPU_REDUCE_H_

#include "graph/graph.h"
#include "kernels/cpu/tile_program.h"

namespace sluice::cpu {

// Appends a Reduce* node of `value` over the program's reduced extents, `count` elements together.
// The result has the value's dtype.
TileProgram::ValueId LowerReduction(TileProgram& program, const Node& node,
                                    TileProgram::ValueId value, int64_t count);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_REDUCE_H_
