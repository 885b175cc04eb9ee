// What the kernels of element-wise ops share.
#ifndef SLUICE_KERNELS_CPU_ELEMENTWISE_H_
#define SLUICE_KERNELS_CPU_ELEMENTWISE_H_

#include "absl/status/statusor.h"
#include "kernels/kernel.h"
#include "kernels/tile/elementwise.h"

namespace sluice::cpu {

// The next operand of `program`, which runs over `space`: input `i` of the node, broadcast.
// InvalidArgument where its shape does not fit, Unimplemented for strings.
absl::StatusOr<TileValue> ReadOperand(const PrepareContext& context, size_t i, const Dims& space,
                                      TileProgram* program);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_ELEMENTWISE_H_
