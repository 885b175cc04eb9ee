#include "kernels/cpu/resize_axis.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/mapped_copy.h"
#include "ops/resize.h"

namespace sluice::cpu {
namespace {

using Coordinates = ResizeMode::Coordinates;
using Interpolation = ResizeMode::Interpolation;

struct Position {
  double x;
  bool outside;  // under crop and resize
};

// Where output position `i` lies in the input.
Position Locate(const ResizeMode& mode, const ResizeAxis& axis, int64_t i) {
  const double y = static_cast<double>(i), last = static_cast<double>(axis.in - 1);
  double x = 0;
  switch (mode.coordinates) {
    case Coordinates::kHalfPixel:
      x = (y + 0.5) / axis.scale - 0.5;
      break;
    case Coordinates::kHalfPixelSymmetric: {
      const double adjustment = static_cast<double>(axis.out) / axis.width;
      x = static_cast<double>(axis.in) / 2 * (1 - adjustment) + (y + 0.5) / axis.scale - 0.5;
      break;
    }
    case Coordinates::kPytorchHalfPixel:
      x = axis.width > 1 ? (y + 0.5) / axis.scale - 0.5 : 0;
      break;
    case Coordinates::kAlignCorners:
      x = axis.width > 1 ? y * last / (axis.width - 1) : 0;
      break;
    case Coordinates::kAsymmetric:
      x = y / axis.scale;
      break;
    case Coordinates::kCropAndResize:
      x = axis.width > 1 ? axis.roi_begin * last +
                               y * (axis.roi_end - axis.roi_begin) * last / (axis.width - 1)
                         : 0.5 * (axis.roi_begin + axis.roi_end) * last;
      if (!(x >= 0 && x <= last)) return {0, true};  // NaN too
      break;
  }
  if (!std::isfinite(x)) x = 0;
  // Far outside is as good as just outside, and fits an index.
  return {
      std::clamp(x, -4.0 - static_cast<double>(axis.in), 4.0 + 2 * static_cast<double>(axis.in)),
      false};
}

double CubicWeight(double a, double x) {
  x = std::abs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

}  // namespace

bool ResizeAxis::identity() const {
  return in == out && std::abs(scale - 1) < 1e-9 && std::abs(roi_begin) < 1e-9 &&
         std::abs(roi_end - 1) < 1e-9;
}

absl::StatusOr<ResizeMode> ResizeMode::Of(const Node& node, int rank) {
  ResizeMode mode;
  const std::string m = node.String("mode"), n = node.String("nearest_mode");
  mode.interpolation = m == "linear"  ? Interpolation::kLinear
                       : m == "cubic" ? Interpolation::kCubic
                                      : Interpolation::kNearest;
  mode.nearest = n == "round_prefer_ceil" ? Nearest::kPreferCeil
                 : n == "floor"           ? Nearest::kFloor
                 : n == "ceil"            ? Nearest::kCeil
                                          : Nearest::kPreferFloor;
  const std::string c = node.String("coordinate_transformation_mode");
  mode.coordinates = c == "half_pixel_symmetric" ? Coordinates::kHalfPixelSymmetric
                     : c == "pytorch_half_pixel" ? Coordinates::kPytorchHalfPixel
                     : c == "align_corners"      ? Coordinates::kAlignCorners
                     : c == "asymmetric"         ? Coordinates::kAsymmetric
                     : c == "tf_crop_and_resize" ? Coordinates::kCropAndResize
                                                 : Coordinates::kHalfPixel;
  mode.antialias = node.Int("antialias") != 0;
  mode.exclude_outside = node.Int("exclude_outside") != 0;
  mode.cubic_a = node.Float("cubic_coeff_a");
  mode.extrapolation = node.Float("extrapolation_value");
  mode.policy = node.String("keep_aspect_ratio_policy");
  if (node.FindAttr("axes") == nullptr) {
    for (int i = 0; i < rank; ++i) mode.axes.push_back(i);
    return mode;
  }
  for (int64_t given : node.Ints("axes")) {
    absl::StatusOr<int> axis = NormalAxis(given, rank);
    if (!axis.ok()) return axis.status();
    if (std::count(mode.axes.begin(), mode.axes.end(), *axis) > 0) {
      return Invalid("axis ", given, " is given twice");
    }
    mode.axes.push_back(*axis);
  }
  return mode;
}

absl::StatusOr<std::vector<ResizeAxis>> ResizeAxes(const ResizeMode& mode,
                                                   absl::Span<const int64_t> in,
                                                   absl::Span<const double> roi,
                                                   absl::Span<const double> scales,
                                                   absl::Span<const int64_t> sizes) {
  const size_t n = mode.axes.size();
  const bool by_scales = sizes.empty();
  if ((by_scales ? scales.size() : sizes.size()) != n) {
    return Invalid(by_scales ? "scales" : "sizes", " has ",
                   by_scales ? scales.size() : sizes.size(), " elements for ", n, " axes");
  }
  std::vector<ResizeAxis> axes(in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    axes[i].in = axes[i].out = in[i];
    axes[i].width = static_cast<double>(in[i]);
  }
  const bool crop = mode.coordinates == Coordinates::kCropAndResize;
  if (crop && roi.size() != 2 * n) {
    return Invalid("roi has ", roi.size(), " elements; expected a start and an end for each of ", n,
                   " axes");
  }
  std::optional<double> common;  // the scale of all axes, where the aspect ratio is kept
  for (size_t i = 0; i < n && !by_scales; ++i) {
    if (sizes[i] < 0) return Invalid("sizes[", i, "] is ", sizes[i], "; expected 0 or more");
    if (mode.policy == "stretch") continue;
    const int64_t extent = in[mode.axes[i]];
    if (extent == 0) return Invalid("axis ", mode.axes[i], " is empty: it has no aspect ratio");
    const double s = static_cast<double>(sizes[i]) / static_cast<double>(extent);
    common = !common.has_value()           ? s
             : mode.policy == "not_larger" ? std::min(*common, s)
                                           : std::max(*common, s);
  }
  for (size_t i = 0; i < n; ++i) {
    ResizeAxis& axis = axes[mode.axes[i]];
    std::optional<int64_t> out;
    if (by_scales) {
      axis.scale = scales[i];
      if (!(axis.scale > 0) || !std::isfinite(axis.scale)) {
        return Invalid("scales[", i, "] is ", axis.scale, "; expected a number above 0");
      }
      out = ScaledExtent(axis.in, static_cast<float>(axis.scale));
      axis.width = axis.scale * static_cast<double>(axis.in);
    } else if (common.has_value()) {
      axis.scale = *common;
      out = RoundedExtent(axis.in, *common);
      axis.width = out.has_value() ? static_cast<double>(*out) : 0;
    } else {
      out = sizes[i];
      axis.scale = axis.in > 0 ? static_cast<double>(*out) / static_cast<double>(axis.in) : 1;
      axis.width = static_cast<double>(*out);
    }
    if (!out.has_value())
      return Invalid("extent ", axis.in, " times ", axis.scale, " is too large");
    axis.out = *out;
    if (axis.in == 0 && axis.out > 0) {
      return Invalid("axis ", mode.axes[i], " is empty and cannot become ", axis.out, " long");
    }
    if (crop) {
      axis.roi_begin = roi[i];
      axis.roi_end = roi[n + i];
    }
  }
  return axes;
}

std::vector<int64_t> NearestMap(const ResizeMode& mode, const ResizeAxis& axis) {
  std::vector<int64_t> map(static_cast<size_t>(axis.out));
  for (int64_t i = 0; i < axis.out; ++i) {
    if (axis.identity()) {
      map[i] = i;
      continue;
    }
    const auto [x, outside] = Locate(mode, axis, i);
    double nearest = 0;
    switch (mode.nearest) {
      case ResizeMode::Nearest::kPreferFloor:
        nearest = std::ceil(x - 0.5);
        break;
      case ResizeMode::Nearest::kPreferCeil:
        nearest = std::floor(x + 0.5);
        break;
      case ResizeMode::Nearest::kFloor:
        nearest = std::floor(x);
        break;
      case ResizeMode::Nearest::kCeil:
        nearest = std::ceil(x);
        break;
    }
    map[i] = outside ? MappedCopy::kFill
                     : std::clamp<int64_t>(static_cast<int64_t>(nearest), 0, axis.in - 1);
  }
  return map;
}

absl::StatusOr<ResizeTaps> InterpolationTaps(const ResizeMode& mode, const ResizeAxis& axis) {
  const bool cubic = mode.interpolation == Interpolation::kCubic;
  // Downsampling with antialias stretches the filter, so that it covers what is left out.
  const double shrink = mode.antialias ? std::min(axis.scale, 1.0) : 1.0;
  const double reach = (cubic ? 2 : 1) / shrink;
  if (!(reach < 0x1p31)) return Invalid("scale ", axis.scale, " is too small to filter");
  const int64_t start = static_cast<int64_t>(std::floor(-reach)) + 1;
  const int64_t count = 2 - 2 * start;

  ResizeTaps taps;
  taps.taps = std::min(count, axis.in);
  taps.first.resize(axis.out);
  taps.weights.assign(static_cast<size_t>(axis.out * taps.taps), 0);
  taps.bias.assign(axis.out, 0);
  std::vector<double> w(count);
  for (int64_t i = 0; i < axis.out; ++i) {
    const auto [x, outside] = Locate(mode, axis, i);
    if (outside) {
      taps.bias[i] = mode.extrapolation;
      taps.partial.push_back(i);
      continue;
    }
    // Taps stand around (base, base + 1]; a whole x is the right one of the pair.
    const int64_t base = static_cast<int64_t>(std::ceil(x)) - 1;
    const double ratio = x - static_cast<double>(base);
    double sum = 0;
    for (int64_t k = 0; k < count; ++k) {
      const double distance = (static_cast<double>(start + k) - ratio) * shrink;
      w[k] = cubic ? CubicWeight(mode.cubic_a, distance) : std::max(0.0, 1 - std::abs(distance));
      const int64_t at = base + start + k;
      if (mode.exclude_outside && (at < 0 || at >= axis.in)) w[k] = 0;
      sum += w[k];
    }
    if (sum == 0 || (shrink == 1.0 && !mode.exclude_outside)) sum = 1;  // they sum to 1 by nature
    taps.first[i] = std::clamp<int64_t>(base + start, 0, axis.in - taps.taps);
    // A stretched filter may end before its last tap.
    if (taps.first[i] != base + start || shrink != 1.0) taps.partial.push_back(i);
    for (int64_t k = 0; k < count; ++k) {
      const int64_t at = std::clamp<int64_t>(base + start + k, 0, axis.in - 1) - taps.first[i];
      taps.weights[i * taps.taps + at] += w[k] / sum;
    }
  }
  return taps;
}

}  // namespace sluice::cpu
