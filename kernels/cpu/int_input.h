// Small integer inputs (shapes, axes, pads, ...) and the outputs whose extents they decide.
#ifndef SLUICE_KERNELS_CPU_INT_INPUT_H_
#define SLUICE_KERNELS_CPU_INT_INPUT_H_

#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "kernels/kernel.h"

namespace sluice::cpu {

using IntList = absl::InlinedVector<int64_t, 8>;

// A list of i64 or i32 that is an input: known at preparation where constant, else read at launch.
class IntInput {
 public:
  IntInput() = default;  // absent
  IntInput(const PrepareContext& context, size_t i);

  bool present() const { return present_; }
  bool open() const { return count_ < 0; }  // its length comes with each launch
  // Absent inputs are as good as constant ones.
  bool constant() const { return !present_ || constant_.valid(); }
  int64_t count() const { return count_; }
  // Precondition: constant().
  IntList Constant() const { return ReadFrom(constant_.raw()); }
  IntList Read(const LaunchContext& context) const {
    return ReadFrom(constant_.valid() || !present_ ? constant_.raw() : context.inputs[index_]);
  }

 private:
  IntList ReadFrom(const void* data) const;
  bool present_ = false;
  size_t index_ = 0;
  DType dtype_ = DType::kI64;
  int64_t count_ = 0;
  Tensor constant_;
};

// The extents that output i was planned with; empty where only the data knows them.
std::optional<Dims> PlannedDims(const PrepareContext& context, size_t i = 0);

// The memory of output i for extents `dims` that were found at launch: what the plan gave, where it
// was planned for just these, or fresh.
absl::StatusOr<void*> OutputMemory(const LaunchContext& context, size_t i,
                                   const std::optional<Dims>& planned,
                                   absl::Span<const int64_t> dims);

// As absl::InvalidArgumentError, from pieces.
template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

// `axis` made non-negative; InvalidArgument outside [-rank, rank).
absl::StatusOr<int> NormalAxis(int64_t axis, int rank);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_INT_INPUT_H_
