#include "kernels/cpu/grouped_conv_pixels.h"

#include <algorithm>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/grouped_conv_pixels.cc"
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

// Number c of each group, spread over the group's lanes.
struct OneGroup {
  OneGroup(const GroupedPixels&, int64_t c) : c_(c) {}
  HWY_INLINE VF operator()(const float* pixel) const { return hn::Set(DF(), pixel[c_]); }
  int64_t c_;
};
struct ManyGroups {
  ManyGroups(const GroupedPixels& p, int64_t c)
      : lanes_(hn::SetTableIndices(DF(), p.spread + c * kLanes)) {}
  HWY_INLINE VF operator()(const float* pixel) const {
    return hn::TableLookupLanes(hn::LoadU(DF(), pixel), lanes_);
  }
  decltype(hn::SetTableIndices(DF(), static_cast<const int32_t*>(nullptr))) lanes_;
};

// Three taps over pixels that lie side by side: each input pixel is spread once for all of them.
template <int kPixels, class Spread>
HWY_INLINE void ThreeTaps(const GroupedPixels& p, VF (&sum)[kPixels]) {
  const DF d;
  const float* w = p.w;
  for (int64_t ky = 0; ky < p.kernel_y; ++ky) {
    const float* line = p.x + ky * p.tap_y;
    for (int64_t c = 0; c < p.channels; ++c, w += 3 * kLanes) {
      const Spread spread(p, c);
      const VF w0 = hn::LoadU(d, w), w1 = hn::LoadU(d, w + kLanes),
               w2 = hn::LoadU(d, w + 2 * kLanes);
      for (int i = 0; i < kPixels + 2; ++i) {
        const VF x = spread(line + i * p.step);
        if (i < kPixels) sum[i] = hn::MulAdd(x, w0, sum[i]);
        if (i >= 1 && i <= kPixels) sum[i - 1] = hn::MulAdd(x, w1, sum[i - 1]);
        if (i >= 2) sum[i - 2] = hn::MulAdd(x, w2, sum[i - 2]);
      }
    }
  }
}

template <int kPixels, class Spread>
HWY_INLINE void AnyTaps(const GroupedPixels& p, VF (&sum)[kPixels]) {
  const DF d;
  const float* w = p.w;
  for (int64_t ky = 0; ky < p.kernel_y; ++ky) {
    const float* line = p.x + ky * p.tap_y;
    for (int64_t c = 0; c < p.channels; ++c) {
      const Spread spread(p, c);
      for (int64_t kx = 0; kx < p.kernel_x; ++kx, w += kLanes) {
        const VF factor = hn::LoadU(d, w);
        const float* x = line + kx * p.tap_x;
        for (int i = 0; i < kPixels; ++i)
          sum[i] = hn::MulAdd(spread(x + i * p.step), factor, sum[i]);
      }
    }
  }
}

template <int kPixels>
void Run(const GroupedPixels& p) {
  const DF d;
  const bool whole = p.features == kLanes;
  HWY_ALIGN float some[kLanes] = {};
  if (!whole && p.bias != nullptr) std::copy_n(p.bias, p.features, some);
  const VF start = whole && p.bias != nullptr ? hn::LoadU(d, p.bias) : hn::Load(d, some);
  VF sum[kPixels];
  for (int i = 0; i < kPixels; ++i) sum[i] = start;
  const bool three = p.kernel_x == 3 && p.step == p.tap_x;
  if (p.spread == nullptr) {
    three ? ThreeTaps<kPixels, OneGroup>(p, sum) : AnyTaps<kPixels, OneGroup>(p, sum);
  } else {
    three ? ThreeTaps<kPixels, ManyGroups>(p, sum) : AnyTaps<kPixels, ManyGroups>(p, sum);
  }
  const VF low = hn::Set(d, p.low), high = hn::Set(d, p.high);
  for (int i = 0; i < kPixels; ++i) {
    // x86's minimum and maximum give their second operand where one is NaN.
    const VF y = hn::Min(high, hn::Max(low, sum[i]));
    if (whole) {
      hn::StoreU(y, d, p.y + i * p.y_pixel);
    } else {
      hn::Store(y, d, some);
      std::copy_n(some, p.features, p.y + i * p.y_pixel);
    }
  }
}

void Copy(const PixelCopy& c) {
  const DF d;
  const float* from = c.from;
  float* to = c.to;
  if (c.count == kLanes && c.width == kLanes) {
    for (int64_t i = 0; i < c.pixels; ++i, from += c.from_pixel, to += kLanes)
      hn::StoreU(hn::LoadU(d, from), d, to);
    return;
  }
  const int64_t whole = c.count / kLanes * kLanes;
  for (int64_t i = 0; i < c.pixels; ++i, from += c.from_pixel, to += c.width) {
    for (int64_t j = 0; j < whole; j += kLanes) hn::StoreU(hn::LoadU(d, from + j), d, to + j);
    for (int64_t j = whole; j < c.count; ++j) to[j] = from[j];
    for (int64_t j = c.count; j < c.width; ++j) to[j] = 0;
  }
}

template <int... kPixels>
GroupedConv AllGrouped(std::integer_sequence<int, kPixels...>) {
  return {kLanes, Copy, {nullptr, Run<kPixels + 1>...}};
}
GroupedConv FindGrouped() {
  return AllGrouped(std::make_integer_sequence<int, GroupedConv::kMaxPixels>());
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {
HWY_EXPORT(FindGrouped);
const GroupedConv& FindGroupedConv() {
  static const GroupedConv best = HWY_DYNAMIC_DISPATCH(FindGrouped)();
  return best;
}
}  // namespace sluice::cpu
#endif  // HWY_ONCE
