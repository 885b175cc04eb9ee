// The SIMD targets of the CPU kernels: SSE4, AVX2 and AVX-512, chosen at run time. Include this
// before any Highway header (foreach_target.h too), in every file that uses Highway.
//
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE "kernels/cpu/this_file.cc"
//   #include "kernels/cpu/simd.h"
//   #include "hwy/foreach_target.h"  // IWYU pragma: keep
//   #include "hwy/highway.h"
//
// In a namespace between HWY_BEFORE_NAMESPACE() and HWY_AFTER_NAMESPACE() plain loops are compiled
// for each target as well, and vectorise.
#ifndef SLUICE_KERNELS_CPU_SIMD_H_
#define SLUICE_KERNELS_CPU_SIMD_H_

#ifndef HWY_DISABLED_TARGETS
#define HWY_BASELINE_TARGETS HWY_SSE4
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL | HWY_SCALAR | HWY_EMU128)
#endif

// In front of a loop whose iteration i reads and writes element i alone: vectorises without checks
// for overlap, so that a result may take its operand's place.
// Loops that cannot vectorise (division of integers, libm) are left scalar.
#define SLUICE_VECTORIZE _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed"

namespace sluice::cpu {

// "sse4", "avx2" or "avx512": what HWY_DYNAMIC_DISPATCH runs. The best that this machine has,
// unless the environment's SLUICE_CPU_ISA names a lesser one. Decided once, at the first call,
// which CpuKernels() makes before any kernel is prepared.
const char* ChooseIsa();

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_SIMD_H_
