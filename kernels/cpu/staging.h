// Staging: inputs and the output of a kernel that computes in another dtype than its own (f16 and
// bf16 in f32) pass through scratch memory.
#ifndef SLUICE_KERNELS_CPU_STAGING_H_
#define SLUICE_KERNELS_CPU_STAGING_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "graph/tensor.h"
#include "kernels/cpu/tile/function.h"
#include "kernels/kernel.h"

namespace sluice::cpu {

// Hands out offsets into a kernel's scratch, each 64-byte aligned.
class ScratchLayout {
 public:
  size_t Take(size_t bytes) {
    const size_t offset = bytes_;
    bytes_ += (bytes + 63) / 64 * 64;
    return offset;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

inline void ConvertParallel(TileFn convert, const void* from, size_t from_size, void* to,
                            size_t to_size, int64_t n, ThreadPool* pool) {
  auto body = [&](int64_t begin, int64_t end) {
    const void* in[1] = {static_cast<const char*>(from) + begin * from_size};
    convert(in, static_cast<char*>(to) + begin * to_size, static_cast<size_t>(end - begin), {});
  };
  if (pool == nullptr) {
    body(0, n);
  } else {
    pool->ParallelFor(n, 1 << 14, body);
  }
}

// A constant in another dtype, at preparation.
inline absl::StatusOr<Tensor> ConvertTensor(const Tensor& t, DType to) {
  if (t.dtype() == to) return t;
  absl::StatusOr<Tensor> out = Tensor::Allocate(to, t.dims());
  if (!out.ok()) return out;
  const void* in[1] = {t.raw()};
  FindConversion(t.dtype(), to)(in, out->mutable_raw(), static_cast<size_t>(t.elements()), {});
  return out;
}

inline int64_t Product(absl::Span<const int64_t> dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_STAGING_H_
