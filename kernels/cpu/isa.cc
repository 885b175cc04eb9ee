#include <cstdlib>
#include <cstring>

#include "kernels/cpu/simd.h"
// After simd.h, which sets the targets.
#include "hwy/highway.h"

namespace sluice::cpu {

const char* ChooseIsa() {
  static const char* const isa = [] {
    struct Level {
      const char* name;
      int64_t target;
    };
    constexpr Level kLevels[] = {{"avx512", HWY_AVX3}, {"avx2", HWY_AVX2}, {"sse4", HWY_SSE4}};
    const char* wanted = std::getenv("SLUICE_CPU_ISA");
    const int64_t supported = hwy::SupportedTargets();
    bool allowed = wanted == nullptr;
    int64_t disabled = HWY_AVX3_DL;
    const char* chosen = "sse4";
    for (const Level& level : kLevels) {
      allowed = allowed || std::strcmp(wanted, level.name) == 0;
      if (allowed && (supported & level.target) != 0) {
        chosen = level.name;
        break;
      }
      if (level.target != HWY_SSE4) disabled |= level.target;
    }
    hwy::DisableTargets(disabled);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return chosen;
  }();
  return isa;
}

}  // namespace sluice::cpu
