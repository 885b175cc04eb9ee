// Resize, one axis at a time: the extents, and where each output position samples the input.
#ifndef SLUICE_KERNELS_CPU_RESIZE_AXIS_H_
#define SLUICE_KERNELS_CPU_RESIZE_AXIS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/graph.h"

namespace sluice::cpu {

// Resize's attributes.
struct ResizeMode {
  enum class Interpolation : uint8_t { kNearest, kLinear, kCubic } interpolation;
  enum class Coordinates : uint8_t {
    kHalfPixel,
    kHalfPixelSymmetric,
    kPytorchHalfPixel,
    kAlignCorners,
    kAsymmetric,
    kCropAndResize
  } coordinates;
  enum class Nearest : uint8_t { kPreferFloor, kPreferCeil, kFloor, kCeil } nearest;
  bool antialias, exclude_outside;
  float cubic_a, extrapolation;
  std::string policy;  // keep_aspect_ratio_policy
  std::vector<int> axes;

  static absl::StatusOr<ResizeMode> Of(const Node& node, int rank);
};

struct ResizeAxis {
  int64_t in = 1, out = 1;
  double scale = 1;
  double width = 1;  // the output's extent before it is made whole
  double roi_begin = 0, roi_end = 1;

  bool identity() const;
};

// One entry an axis of `in`. Exactly one of `scales` and `sizes` is not empty; `roi` may be.
absl::StatusOr<std::vector<ResizeAxis>> ResizeAxes(const ResizeMode& mode,
                                                   absl::Span<const int64_t> in,
                                                   absl::Span<const double> roi,
                                                   absl::Span<const double> scales,
                                                   absl::Span<const int64_t> sizes);

// The source index of each output position; MappedCopy::kFill outside, under crop and resize.
std::vector<int64_t> NearestMap(const ResizeMode& mode, const ResizeAxis& axis);

// Output position i is bias[i] + sum over k of weights[i * taps + k] * in[first[i] + k]; indices
// are clamped into the input beforehand. Where the filter reaches over an end or not so far
// (`partial`, rising) taps stand beside it, with weight 0: what lies there does not count, be it
// infinite.
struct ResizeTaps {
  int64_t taps = 0;
  std::vector<int64_t> first, partial;
  std::vector<double> weights, bias;
};
absl::StatusOr<ResizeTaps> InterpolationTaps(const ResizeMode& mode, const ResizeAxis& axis);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_RESIZE_AXIS_H_
