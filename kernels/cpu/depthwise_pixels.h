// Depthwise convolutions of channels-last images: each channel by itself, a vector of channels at a
// time, for pixels side by side of one line of the result.
#ifndef SLUICE_KERNELS_CPU_DEPTHWISE_PIXELS_H_
#define SLUICE_KERNELS_CPU_DEPTHWISE_PIXELS_H_

#include <cstdint>

namespace sluice::cpu {

struct DepthwisePixels {
  // lines[ky][first + i]: the channels of the input pixel i columns behind the first result's first
  // tap, in the line under tap ky. Pixels of the padding are zeros like any others.
  const float* const* const* lines;
  int64_t first;
  int64_t kernel_y, kernel_x, stride, dilation;  // stride and dilation: along the line
  int64_t channels;                              // at least `lanes`
  // [vector][kernel_y][kernel_x][lanes]; the last vector overlaps the one before it.
  const float* w;
  const float* bias;  // null: none
  float low, high;    // the result is clamped; NaN stays
  float* y;           // pixels lie `channels` elements apart
  // Read into the cache meanwhile: so many elements for each vector of channels. Null: nothing.
  const float* next;
  int64_t next_elements;
};

// The best for this machine. run[n] computes n pixels.
struct Depthwise {
  static constexpr int64_t kMaxPixels = 8;
  int64_t lanes;
  void (*run[kMaxPixels + 1])(const DepthwisePixels&);
};
const Depthwise& FindDepthwise();

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_DEPTHWISE_PIXELS_H_
