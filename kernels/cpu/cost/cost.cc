#include "kernels/cpu/cost/cost.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iterator>

#include "kernels/cpu/simd.h"

namespace sluice::cpu {
namespace {

struct Line {
  const char* isa;
  double flops, l2, l3, memory, memory_all, call, fork, transform;
};
constexpr Line kLines[] = {
#define SLUICE_CPU_COSTS(...) {__VA_ARGS__},
#include "kernels/cpu/cost/cost_table.inc"
#undef SLUICE_CPU_COSTS
};

int64_t CacheBytes(int name, int64_t otherwise) {
  const long bytes = sysconf(name);
  return bytes > 0 ? bytes : otherwise;
}

// That which this core reaches. The C library adds up those of a whole package, and in a virtual
// machine of a package that the machine has a part of.
int64_t LastCacheBytes() {
  const int64_t all = CacheBytes(_SC_LEVEL3_CACHE_SIZE, 16 << 20);
  long kilobytes = 0;
  if (std::FILE* f = std::fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "re")) {
    if (std::fscanf(f, "%ldK", &kilobytes) != 1) kilobytes = 0;
    std::fclose(f);
  }
  return kilobytes > 0 && kilobytes < (all >> 10) ? int64_t{kilobytes} << 10 : all;
}

}  // namespace

const CpuCosts& Costs() {
  static const CpuCosts costs = [] {
    const Line* line = std::begin(kLines);
    for (const Line& l : kLines) {
      if (std::strcmp(l.isa, ChooseIsa()) == 0) line = &l;
    }
    return CpuCosts{line->flops,     line->l2,         line->l3,
                    line->memory,    line->memory_all, line->call,
                    line->fork,      line->transform,  CacheBytes(_SC_LEVEL2_CACHE_SIZE, 1 << 20),
                    LastCacheBytes()};
  }();
  return costs;
}

double MoveNs(double bytes, double set, int threads) {
  const CpuCosts& c = Costs();
  const double n = std::max(1, threads);
  if (set <= static_cast<double>(c.l2_bytes) * n) return bytes / (c.l2 * n);
  if (set <= static_cast<double>(c.l3_bytes)) return bytes / (c.l3 * n);
  return bytes / std::min(c.memory * n, c.memory_all);
}

double ComputeNs(double flops, double share, int threads) {
  return flops / (Costs().flops * share * std::max(1, threads));
}

double StreamedNs(double compute_ns, double bytes, int threads) {
  constexpr double kSeen = 0.3;  // of the shorter one
  // Small weights are taken for a small network's, which stays in the last cache as a whole.
  const double read = MoveNs(bytes, 16 * bytes, threads);
  return std::max(compute_ns, read) + kSeen * std::min(compute_ns, read);
}

double ForkNs(int threads) { return threads > 1 ? Costs().fork : 0; }

}  // namespace sluice::cpu
