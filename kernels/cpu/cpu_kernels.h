// The CPU's kernels. One line a kernel in kernel_list.inc:
//   SLUICE_CPU_KERNEL(Softmax, "tile", PrepareSoftmax)
// declares  absl::StatusOr<std::unique_ptr<Kernel>> PrepareSoftmax(const PrepareContext&)  in
// namespace sluice::cpu and makes it a candidate for the op, in the order of the lines.
//   SLUICE_CPU_KERNEL_COST(Conv, "onednn", PrepareDnnlConv, EstimateDnnlConv)
// declares  absl::StatusOr<double> EstimateDnnlConv(const PrepareContext&)  too: candidates with
// an estimate are asked cheapest first. `cost.h` has this machine's speeds to estimate with.
#ifndef SLUICE_KERNELS_CPU_CPU_KERNELS_H_
#define SLUICE_KERNELS_CPU_CPU_KERNELS_H_

#include "kernels/kernel.h"

namespace sluice {

// FailedPrecondition where the processor lacks what every kernel may use: SSE4.1, SSE4.2 and what
// came before them.
absl::Status CheckCpu();

// Built on first use, never destroyed, safe from any thread.
const KernelTable& CpuKernels();

// What the speed and the packed forms of kernels depend on besides their context: the instruction
// set in use, and the versions of this library's kernels and of oneDNN.
std::string CpuKernelsVersion();

// OK, or Unimplemented with the reason why no kernel takes the node, whatever its extents are.
absl::Status CpuTakes(const Node& node);

}  // namespace sluice

#endif  // SLUICE_KERNELS_CPU_CPU_KERNELS_H_
