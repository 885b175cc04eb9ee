// MappedCopy: out[i0, i1, ...] = in[map0[i0], map1[i1], ...]: reflecting and wrapping pads, nearest
// neighbours. An index of kFill takes a fill value instead.
#ifndef SLUICE_KERNELS_CPU_LAYOUT_MAPPED_COPY_H_
#define SLUICE_KERNELS_CPU_LAYOUT_MAPPED_COPY_H_

#include <vector>

#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {

class MappedCopy {
 public:
  static constexpr int64_t kFill = -1;

  // One map an axis of `in`; each index is kFill or within the axis.
  MappedCopy(DType dtype, absl::Span<const int64_t> in, std::vector<std::vector<int64_t>> maps);

  void Run(const void* src, void* dst, const void* fill, ThreadPool* pool) const;

 private:
  // A stretch of the innermost mapped axis.
  struct Segment {
    enum class Kind : uint8_t { kRun, kFill, kGather } kind;
    int64_t begin, count;  // in the output
  };
  void CutSegments();
  void Row(const char* src, char* dst, const char* fill) const;

  bool strings_;
  int64_t size_;                             // bytes of an element
  int64_t unit_;                             // bytes moved by one step of the innermost mapped axis
  std::vector<std::vector<int64_t>> outer_;  // source offsets in bytes, or kFill
  std::vector<int64_t> inner_;               // the same of the innermost mapped axis
  std::vector<Segment> segments_;
  bool gathers_ = false;
  int64_t rows_ = 1;
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_LAYOUT_MAPPED_COPY_H_
