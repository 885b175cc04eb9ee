#include "kernels/cpu/depthwise_pixels.h"

#include <algorithm>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/depthwise_pixels.cc"
#include "kernels/cpu/simd.h"
// After simd.h, which sets the targets.
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;
constexpr int64_t kLanes = hn::MaxLanes(DF());
constexpr int64_t kLine = 64 / sizeof(float);

// Each input pixel is read once for all taps and results that it is part of.
template <int kPixels, int kTaps, int kStride>
HWY_INLINE void Line(const float* const* pixels, int64_t channel, const float* w,
                     VF (&sum)[kPixels]) {
  const DF d;
  VF factors[kTaps];
  for (int t = 0; t < kTaps; ++t) factors[t] = hn::LoadU(d, w + t * kLanes);
  // Unrolled, so that the sums stay in registers.
#pragma clang loop unroll(full)
  for (int i = 0; i < (kPixels - 1) * kStride + kTaps; ++i) {
    const VF x = hn::LoadU(d, pixels[i] + channel);
#pragma clang loop unroll(full)
    for (int t = 0; t < kTaps; ++t) {
      const int at = i - t;
      if (at >= 0 && at % kStride == 0 && at / kStride < kPixels)
        sum[at / kStride] = hn::MulAdd(x, factors[t], sum[at / kStride]);
    }
  }
}

template <int kPixels>
HWY_INLINE void AnyLine(const DepthwisePixels& p, const float* const* pixels, int64_t channel,
                        const float* w, VF (&sum)[kPixels]) {
  const DF d;
  for (int64_t t = 0; t < p.kernel_x; ++t) {
    const VF factor = hn::LoadU(d, w + t * kLanes);
    const float* const* from = pixels + t * p.dilation;
    for (int i = 0; i < kPixels; ++i)
      sum[i] = hn::MulAdd(hn::LoadU(d, from[i * p.stride] + channel), factor, sum[i]);
  }
}

template <int kPixels, class Body>
HWY_INLINE void ForVectors(const DepthwisePixels& p, const Body& line) {
  const DF d;
  const VF low = hn::Set(d, p.low), high = hn::Set(d, p.high);
  const float* next = p.next;
  const float* w = p.w;
  for (int64_t at = 0; at < p.channels; at += kLanes) {
    const int64_t channel = std::min(at, p.channels - kLanes);
    for (int64_t i = 0; next != nullptr && i < p.next_elements; i += kLine)
      __builtin_prefetch(next + i, 0, 2);
    if (next != nullptr) next += p.next_elements;
    VF sum[kPixels];
    const VF start = p.bias == nullptr ? hn::Zero(d) : hn::LoadU(d, p.bias + channel);
    for (int i = 0; i < kPixels; ++i) sum[i] = start;
    for (int64_t ky = 0; ky < p.kernel_y; ++ky, w += p.kernel_x * kLanes)
      line(p.lines[ky] + p.first, channel, w, sum);
    // x86's minimum and maximum give their second operand where one is NaN.
    for (int i = 0; i < kPixels; ++i) {
      hn::StoreU(hn::Min(high, hn::Max(low, sum[i])), d, p.y + i * p.channels + channel);
    }
  }
}

template <int kPixels>
void Run(const DepthwisePixels& p) {
  const auto run = [&]<int kTaps, int kStride>() HWY_ATTR {
    ForVectors<kPixels>(
        p, [](const float* const* pixels, int64_t channel, const float* w, VF(&sum)[kPixels])
               HWY_ATTR { Line<kPixels, kTaps, kStride>(pixels, channel, w, sum); });
  };
  const int64_t kind = p.dilation == 1 && p.stride <= 2 ? p.kernel_x * 10 + p.stride : 0;
  switch (kind) {
    case 31:
      return run.template operator()<3, 1>();
    case 32:
      return run.template operator()<3, 2>();
    case 51:
      return run.template operator()<5, 1>();
    case 52:
      return run.template operator()<5, 2>();
    case 71:
      return run.template operator()<7, 1>();
    default:
      ForVectors<kPixels>(
          p, [&](const float* const* pixels, int64_t channel, const float* w, VF(&sum)[kPixels])
                 HWY_ATTR { AnyLine<kPixels>(p, pixels, channel, w, sum); });
  }
}

template <int... kPixels>
Depthwise AllPixels(std::integer_sequence<int, kPixels...>) {
  return {kLanes, {nullptr, Run<kPixels + 1>...}};
}
Depthwise FindPixels() {
  return AllPixels(std::make_integer_sequence<int, Depthwise::kMaxPixels>());
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {
HWY_EXPORT(FindPixels);
const Depthwise& FindDepthwise() {
  static const Depthwise best = HWY_DYNAMIC_DISPATCH(FindPixels)();
  return best;
}
}  // namespace sluice::cpu
#endif  // HWY_ONCE
