// Where along an axis the extreme element stands: ArgMax, ArgMin, Hardmax.
#ifndef SLUICE_KERNELS_CPU_ARG_REDUCE_H_
#define SLUICE_KERNELS_CPU_ARG_REDUCE_H_

#include <cstdint>

#include "graph/dtype.h"
#include "kernels/cpu/tile/function.h"
#include "kernels/device/thread_pool.h"

namespace sluice::cpu {

// A contiguous tensor seen as [outer, n, inner]; n >= 1.
struct ArgReducer {
  DType dtype;
  int64_t outer, n, inner;
  bool min = false;   // the smallest instead of the largest
  bool last = false;  // among equal ones the last instead of the first

  // indices[outer, inner]. NaN counts as the extreme one, as in numpy.
  void Run(const void* x, int64_t* indices, ThreadPool* pool) const;

 private:
  template <typename C>
  void Rows(const void* x, int64_t begin, int64_t end, int64_t* indices) const;
  template <typename C>
  void Columns(const void* x, int64_t begin, int64_t end, int64_t* indices) const;
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_ARG_REDUCE_H_
