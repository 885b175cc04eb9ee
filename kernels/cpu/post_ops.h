// The steps of a fused convolution or pool, with what their operands are.
#ifndef SLUICE_KERNELS_CPU_POST_OPS_H_
#define SLUICE_KERNELS_CPU_POST_OPS_H_

#include <vector>

#include "absl/status/status.h"
#include "graph/layout.h"
#include "graph/tensor.h"
#include "kernels/kernel.h"
#include "ops/fused.h"

namespace sluice::cpu {

struct PostOps {
  std::vector<PostOp> steps;
  std::vector<Dims> operands;  // of binary steps, padded to the result's rank
  std::vector<Layout> operand_layouts;

  // `first`: the node's first operand; `out`: the result's extents.
  absl::Status Read(const PrepareContext& context, size_t first, const Dims& out);
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_POST_OPS_H_
