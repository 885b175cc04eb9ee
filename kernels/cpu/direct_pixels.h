// Some pixels of a convolution by the definition: for those few that a faster algorithm, which sums
// what does not belong together and takes it away again, cannot give.
#ifndef SLUICE_KERNELS_CPU_DIRECT_PIXELS_H_
#define SLUICE_KERNELS_CPU_DIRECT_PIXELS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/cpu/conv_problem.h"

namespace sluice::cpu {

// Floats of scratch for `pixels` at a time.
int64_t DirectPixelsFloats(const ConvProblem& p, int64_t pixels);

// The sums at `positions` (flat, of the result's spatial extents) of features [first, first +
// features), without bias and steps: that of position i to results[i][0 .. features). `x`: one
// image or volume, channels last; `w`: the f32 filters [M, C, k...], wherever they lie. One group.
void DirectPixels(const ConvProblem& p, const float* x, const void* w,
                  absl::Span<const int64_t> positions, int64_t first, int64_t features,
                  float* scratch, float* const* results);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_DIRECT_PIXELS_H_
