// StridedCopy: copies a box of elements from one strided array to another: the one machine behind
// Transpose, Slice, Expand, Tile, Concat, Split, Pad, DepthToSpace and every fill.
//
// Construction drops extents of 1, orders the axes as the destination lies, merges those that lie
// together, widens elements where short runs are contiguous, and then picks an inner loop: memcpy
// runs, fills, blocked transposes in registers, weaving of few rows, or a strided loop. It moves
// bytes, so it knows the size of an element and not its dtype; strings are copied as objects.
//
// Immutable once made; Run() allocates nothing and may be called by many threads.
#ifndef SLUICE_KERNELS_CPU_LAYOUT_STRIDED_COPY_H_
#define SLUICE_KERNELS_CPU_LAYOUT_STRIDED_COPY_H_

#include <cstdint>
#include <cstring>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "graph/dtype.h"
#include "graph/layout.h"
#include "graph/tensor.h"
#include "kernels/device/thread_pool.h"

namespace sluice::cpu {

// The product of some extents; saturates, as those beside an extent of 0 may be any number.
int64_t Product(absl::Span<const int64_t> extents);

class StridedCopy {
 public:
  StridedCopy() = default;  // copies nothing
  // Strides are in elements. Source strides may be 0 (repeat) or negative; destination strides are
  // positive and place no two elements on one spot.
  StridedCopy(DType dtype, absl::Span<const int64_t> extents, absl::Span<const int64_t> src_strides,
              absl::Span<const int64_t> dst_strides);

  // `src` and `dst` point to the elements of index (0, ..., 0) and do not overlap.
  void Run(const void* src, void* dst, ThreadPool* pool) const;

  absl::string_view kind() const;  // for reports: "runs", "transpose 4x4 blocks", ...

  // Two innermost axes of a block; offsets in bytes. Public for the inner loops of the .cc file.
  struct Box {
    int64_t n1, src1, dst1;
    int64_t n0, src0, dst0;
    size_t size;  // bytes of an element
  };
  using Loop = void (*)(const char* src, char* dst, const Box& box);

 private:
  struct Axis {
    int64_t extent, src, dst;  // strides in bytes
  };
  enum class Kind : uint8_t { kNothing, kRuns, kFill, kTranspose, kWeave, kStrided };

  void ChooseLoop(bool strings);
  void RunUnits(const char* src, char* dst, int64_t begin, int64_t end) const;

  Kind kind_ = Kind::kNothing;
  size_t size_ = 1;
  Loop loop_ = nullptr;
  absl::InlinedVector<Axis, 6> outer_;  // outermost first
  Axis axis1_{1, 0, 0}, axis0_{1, 0, 0};
  // Work is cut into units of block1 x block0 of the two inner axes.
  int64_t block1_ = 1, block0_ = 1, blocks1_ = 1, blocks0_ = 1, units_ = 0;
};

// dst[0, n) = *value.
void FillElements(DType dtype, void* dst, int64_t n, const void* value, ThreadPool* pool);
// dst[0, n) = src[0, n).
void CopyElements(DType dtype, const void* src, void* dst, int64_t n, ThreadPool* pool);
// The zero of a dtype: 0, false or the empty string.
const void* ZeroElement(DType dtype);

// memcpy for runs that are mostly short: a few overlapping moves instead of a call.
inline void CopyRun(char* dst, const char* src, size_t n) {
  auto pair = [&]<size_t N>() {  // N < n <= 2N
    char head[N], tail[N];
    std::memcpy(head, src, N);
    std::memcpy(tail, src + n - N, N);
    std::memcpy(dst, head, N);
    std::memcpy(dst + n - N, tail, N);
  };
  if (n > 64) {
    std::memcpy(dst, src, n);
  } else if (n > 32) {
    pair.operator()<32>();
  } else if (n > 16) {
    pair.operator()<16>();
  } else if (n >= 8) {
    pair.operator()<8>();
  } else if (n >= 4) {
    pair.operator()<4>();
  } else if (n >= 2) {
    pair.operator()<2>();
  } else if (n == 1) {
    *dst = *src;
  }
}

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_LAYOUT_STRIDED_COPY_H_
