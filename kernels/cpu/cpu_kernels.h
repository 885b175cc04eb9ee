// The CPU's kernels. One line a kernel in kernel_list.inc:
//   SLUICE_CPU_KERNEL(Softmax, "tile", PrepareSoftmax)
// declares  absl::StatusOr<std::unique_ptr<Kernel>> PrepareSoftmax(const PrepareContext&)  in
// namespace sluice::cpu and makes it a candidate for the op, in the order of the lines.
#ifndef SLUICE_KERNELS_CPU_CPU_KERNELS_H_
#define SLUICE_KERNELS_CPU_CPU_KERNELS_H_

#include "kernels/kernel.h"

namespace sluice {

// Built on first use, never destroyed, safe from any thread.
const KernelTable& CpuKernels();

}  // namespace sluice

#endif  // SLUICE_KERNELS_CPU_CPU_KERNELS_H_
