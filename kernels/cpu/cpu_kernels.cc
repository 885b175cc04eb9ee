#include "kernels/cpu/cpu_kernels.h"

#include "absl/strings/str_cat.h"
#include "kernels/cpu/quantized.h"
#include "kernels/cpu/simd.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace sluice {
namespace cpu {
#define SLUICE_CPU_KERNEL(op, name, prepare) \
  absl::StatusOr<std::unique_ptr<Kernel>> prepare(const PrepareContext& context);
#define SLUICE_CPU_KERNEL_OPEN(op, name, prepare) SLUICE_CPU_KERNEL(op, name, prepare)
#define SLUICE_CPU_KERNEL_COST(op, name, prepare, estimate) \
  SLUICE_CPU_KERNEL(op, name, prepare)                      \
  absl::StatusOr<double> estimate(const PrepareContext& context);
#include "kernels/cpu/kernel_list.inc"
#undef SLUICE_CPU_KERNEL
#undef SLUICE_CPU_KERNEL_OPEN
#undef SLUICE_CPU_KERNEL_COST
}  // namespace cpu

absl::Status CheckCpu() {
  if (__builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("sse4.2")) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "this processor lacks SSE4.1 or SSE4.2, which Sluice's kernels need: processors since 2008 "
      "(Intel) and 2011 (AMD) have both");
}

const KernelTable& CpuKernels() {
  static constexpr KernelCandidate kCandidates[] = {
#define SLUICE_CPU_KERNEL(op, name, prepare) {#op, name, cpu::prepare},
#define SLUICE_CPU_KERNEL_OPEN(op, name, prepare) {#op, name, cpu::prepare, nullptr, true},
#define SLUICE_CPU_KERNEL_COST(op, name, prepare, estimate) \
  {#op, name, cpu::prepare, cpu::estimate},
#include "kernels/cpu/kernel_list.inc"
#undef SLUICE_CPU_KERNEL
#undef SLUICE_CPU_KERNEL_OPEN
#undef SLUICE_CPU_KERNEL_COST
  };
  static const KernelTable* const table = [] {
    cpu::ChooseIsa();
    return new KernelTable(kCandidates);
  }();
  return *table;
}

std::string CpuKernelsVersion() {
  const dnnl_version_t* v = dnnl_version();
  return absl::StrCat("1 ", cpu::ChooseIsa(), " onednn ", v->major, ".", v->minor, ".", v->patch,
                      " ", static_cast<int>(dnnl::get_effective_cpu_isa()));
}

absl::Status CpuTakes(const Node& node) {
  if (!CpuKernels().Has(node.op_name())) {
    return absl::UnimplementedError(absl::StrCat("the CPU has no kernel for ", node.op_name()));
  }
  if (node.Is("QuantizedConv") || node.Is("QuantizedMatMul")) return cpu::CheckQuantized(node);
  return absl::OkStatus();
}

}  // namespace sluice
