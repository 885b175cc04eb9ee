// Convolutions with few features a group: sums for pixels side by side of one line of the result.
//
// A vector of results takes the features of one group, or of as many groups as fit it. In the first
// case each input number is spread over the vector; in the second a permutation spreads each number
// over the lanes of its group, and no lane multiplies by zero, as it would in a dense product.
#ifndef SLUICE_KERNELS_CPU_GROUPED_CONV_PIXELS_H_
#define SLUICE_KERNELS_CPU_GROUPED_CONV_PIXELS_H_

#include <cstdint>

namespace sluice::cpu {

struct GroupedPixels {
  const float* x;  // the first tap of the first pixel
  // Elements from a pixel of the result to the next one, and from tap to tap: in the input.
  int64_t step, tap_x, tap_y;
  int64_t channels;            // of a group
  int64_t kernel_y, kernel_x;  // taps
  const float* w;              // [kernel_y][channels][kernel_x][lanes]
  const int32_t* spread;       // [channels][lanes]: from which lane; null: one group, spread whole
  const float* bias;           // null: none
  float low, high;             // the result is clamped; NaN stays
  float* y;
  int64_t y_pixel;   // elements from pixel to pixel
  int64_t features;  // of the vector that are written
};

// `pixels` pixels of `count` numbers, `from_pixel` elements apart, side by side in `to`, with
// `width` numbers each: zeros follow.
struct PixelCopy {
  const float* from;
  int64_t from_pixel, pixels, count, width;
  float* to;
};

// The best for this machine. A call of run[n] computes `pixels` in [1, kMaxPixels]. `x` may be read
// up to `lanes` elements past a pixel's first one where `spread` is given.
struct GroupedConv {
  static constexpr int64_t kMaxPixels = 8;
  int64_t lanes;
  void (*copy)(const PixelCopy&);
  void (*run[kMaxPixels + 1])(const GroupedPixels&);
};
const GroupedConv& FindGroupedConv();

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_GROUPED_CONV_PIXELS_H_
