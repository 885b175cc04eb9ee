// What comes behind the sums of our own convolutions with channels-last results. The bias and a
// first clamp are the kernel's own, in registers; the other steps run on what it has just written.
#ifndef SLUICE_KERNELS_CPU_CONV_EPILOGUE_H_
#define SLUICE_KERNELS_CPU_CONV_EPILOGUE_H_

#include <cmath>
#include <vector>

#include "absl/status/status.h"
#include "kernels/cpu/conv_problem.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/kernel.h"

namespace sluice::cpu {

class ConvEpilogue {
 public:
  static constexpr size_t kMaxOperands = 16;

  // Unimplemented with the reason where Make() or the kernel's own code would not take the node:
  // anything but f32, constant filters and extents above 0; operands that lie otherwise than the
  // result.
  static absl::Status Check(const PrepareContext& context, const ConvProblem& p);

  // `whole_pixels`: the kernel finishes all features of a pixel together. `plain`: the steps are
  // run by All() on a result that has been brought back to plain order.
  absl::Status Make(const ConvProblem& p, bool whole_pixels, bool plain);

  // Of the kernel, behind the bias: NaN stays NaN.
  float low() const { return low_; }
  float high() const { return high_; }

  bool empty() const { return rest_.empty(); }

  // The data of one launch.
  struct Operands {
    const float* bias;  // null: none
    const void* data[kMaxOperands];
    size_t count;
    absl::Span<const void* const> span() const { return {data, count}; }
  };
  Operands Bind(const LaunchContext& context) const;

  // Line `row` (an index over images and all spatial axes but the last), which begins at `line`:
  // features [from, from + count) of pixels [first, last).
  void Line(int64_t row, int64_t first, int64_t last, int64_t from, int64_t count, float* line,
            const Operands& operands) const;
  // The plain result.
  void All(float* y, const Operands& operands, ThreadPool* pool) const;

 private:
  float low_ = -INFINITY, high_ = INFINITY;
  int bias_ = -1;
  int64_t width_ = 0, features_ = 0;
  bool lines_ = true;  // the rows of `rest_` are lines of the image, not pixels
  Epilogue rest_{DType::kF32, {1}};
  std::vector<int> operands_;
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_CONV_EPILOGUE_H_
