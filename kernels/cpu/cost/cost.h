// What work costs on this machine, for the estimates by which kernels are chosen.
//
// The rates are those of the instruction set in use, fitted by tools/fit_costs (cost_table.inc);
// cache sizes are this machine's. Only ratios between candidates matter for a choice, so that one
// table a set serves machines of different clocks. Estimates assume what a network's layer meets:
// its activations in the cache that holds them, its weights last read a whole inference ago.
#ifndef SLUICE_KERNELS_CPU_COST_COST_H_
#define SLUICE_KERNELS_CPU_COST_COST_H_

#include <cstdint>

namespace sluice::cpu {

// One thread's rates, in units a nanosecond.
struct CpuCosts {
  double flops;           // f32, a multiply-add is 2: a good product kernel out of the L2 cache
  double l2, l3, memory;  // bytes
  double memory_all;      // bytes, all threads together
  double call;            // ns that a oneDNN primitive takes before it computes
  double fork;            // ns to hand work to the pool and wait for it
  double transform;       // ns for an element of a tile in Winograd's transforms
  int64_t l2_bytes, l3_bytes;
};
const CpuCosts& Costs();

// Nanoseconds in which `threads` read or write `bytes` that lie in the cache holding a working set
// of `set` bytes.
double MoveNs(double bytes, double set, int threads);
// Nanoseconds for `flops` at `share` of the best rate.
double ComputeNs(double flops, double share, int threads);
// Computing while weights of `bytes` are read for the first time since the last inference: the
// longer of the two hides most of the other.
double StreamedNs(double compute_ns, double bytes, int threads);
// What starting `threads` costs: 0 for one.
double ForkNs(int threads);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_COST_COST_H_
