#include "kernels/cpu/direct_pixels.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/gemm/gemm.h"

namespace sluice::cpu {
namespace {

constexpr int64_t kFeatures = 16;  // at a time

}  // namespace

int64_t DirectPixelsFloats(const ConvProblem& p, int64_t pixels) {
  return pixels * p.depth() + kFeatures * p.depth() + pixels * kFeatures;
}

void DirectPixels(const ConvProblem& p, const float* x, const void* w,
                  absl::Span<const int64_t> positions, int64_t first, int64_t features,
                  float* scratch, float* const* results) {
  const Window& window = p.window;
  const int64_t depth = p.depth(), taps = p.taps(), channels = p.channels;
  const int64_t count = static_cast<int64_t>(positions.size());
  float* const windows = scratch;  // [count, depth], a window's terms as a filter's
  float* const filters = windows + count * depth;
  float* const sums = filters + kFeatures * depth;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      int64_t rest = positions[i], rest_of_tap = tap, pixel = 0, scale = 1;
      bool inside = true;
      for (int axis = window.rank() - 1; axis >= 0; --axis) {
        const int64_t at = rest % p.out[axis] * window.strides[axis] - window.pads_begin[axis] +
                           rest_of_tap % window.kernel[axis] * window.dilations[axis];
        rest /= p.out[axis];
        rest_of_tap /= window.kernel[axis];
        inside = inside && at >= 0 && at < p.in[axis];
        pixel += at * scale;
        scale *= p.in[axis];
      }
      float* const to = windows + i * depth + tap;
      for (int64_t c = 0; c < channels; ++c) to[c * taps] = inside ? x[pixel * channels + c] : 0;
    }
  }
  static const GemmFn gemm = FindGemm(DType::kF32);
  for (int64_t f = 0; f < features; f += kFeatures) {
    const int64_t some = std::min(kFeatures, features - f), bytes = depth * int64_t{sizeof(float)};
    std::memcpy(filters, static_cast<const char*>(w) + (first + f) * bytes,
                static_cast<size_t>(some * bytes));
    GemmArgs g{count, some, depth};
    g.a = windows;
    g.a_row = depth;
    g.b = filters;
    g.b_row = 1;
    g.b_col = depth;
    g.c = sums;
    g.c_row = kFeatures;
    gemm(g);
    for (int64_t i = 0; i < count; ++i) std::copy_n(sums + i * kFeatures, some, results[i] + f);
  }
}

}  // namespace sluice::cpu
