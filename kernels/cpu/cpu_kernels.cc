#include "kernels/cpu/cpu_kernels.h"

#include "kernels/cpu/simd.h"

namespace sluice {
namespace cpu {
#define SLUICE_CPU_KERNEL(op, name, prepare) \
  absl::StatusOr<std::unique_ptr<Kernel>> prepare(const PrepareContext& context);
#include "kernels/cpu/kernel_list.inc"
#undef SLUICE_CPU_KERNEL
}  // namespace cpu

const KernelTable& CpuKernels() {
  static constexpr KernelCandidate kCandidates[] = {
#define SLUICE_CPU_KERNEL(op, name, prepare) {#op, name, cpu::prepare},
#include "kernels/cpu/kernel_list.inc"
#undef SLUICE_CPU_KERNEL
  };
  static const KernelTable* const table = [] {
    cpu::ChooseIsa();
    return new KernelTable(kCandidates);
  }();
  return *table;
}

}  // namespace sluice
