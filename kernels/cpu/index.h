// Checked indices into an axis: i32 or i64, negative ones from the end.
#ifndef SLUICE_KERNELS_CPU_INDEX_H_
#define SLUICE_KERNELS_CPU_INDEX_H_

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sluice::cpu {

// `index` made non-negative, or -1 where it is out of [-extent, extent).
inline int64_t NormalIndex(int64_t index, int64_t extent) {
  if (index < 0) index += extent;
  return index >= 0 && index < extent ? index : -1;
}

inline absl::Status IndexError(int64_t index, int64_t extent, int axis) {
  return absl::OutOfRangeError(absl::StrCat("index ", index, " is out of range for extent ", extent,
                                            " of axis ", axis, "; expected ", -extent, " to ",
                                            extent - 1));
}

// The position of one bad index among those that parallel tasks meet: the first.
class BadIndex {
 public:
  void Report(int64_t position) {
    int64_t seen = position_.load(std::memory_order_relaxed);
    while (position < seen && !position_.compare_exchange_weak(seen, position)) {
    }
  }
  bool found() const { return position() != INT64_MAX; }
  int64_t position() const { return position_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> position_{INT64_MAX};
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_INDEX_H_
