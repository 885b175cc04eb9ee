#include "kernels/cpu/winograd_transform.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/winograd_transform.cc"
#include "kernels/cpu/simd.h"
// After simd.h, which sets the targets.
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr double kHalf = 0.70710678118654752440;   // sqrt(1/2), a point
constexpr double kRoot = 1.41421356237309504880;   // sqrt(2), a point
constexpr double kHalf3 = 0.35355339059327376220;  // their cubes
constexpr double kRoot3 = 2.82842712474619009760;

// One axis of each transform.
struct Tile2 {
  static constexpr int kOut = 2, kIn = 4;
  template <class D, class V>
  static HWY_INLINE void Input(D, const V (&x)[4], V (&y)[4]) {
    y[0] = hn::Sub(x[0], x[2]);
    y[1] = hn::Add(x[1], x[2]);
    y[2] = hn::Sub(x[2], x[1]);
    y[3] = hn::Sub(x[1], x[3]);
  }
  template <class D, class V>
  static HWY_INLINE void Output(D, const V (&x)[4], V (&y)[2]) {
    y[0] = hn::Add(x[0], hn::Add(x[1], x[2]));
    y[1] = hn::Sub(hn::Sub(x[1], x[2]), x[3]);
  }
  template <class D, class V>
  static HWY_INLINE void Filter(D d, V g0, V g1, V g2, V (&u)[4]) {
    const V half = hn::Set(d, 0.5), even = hn::Add(g0, g2);
    u[0] = g0;
    u[1] = hn::Mul(half, hn::Add(even, g1));
    u[2] = hn::Mul(half, hn::Sub(even, g1));
    u[3] = g2;
  }
};

struct Tile4 {
  static constexpr int kOut = 4, kIn = 6;
  template <class D, class V>
  static HWY_INLINE void Input(D d, const V (&x)[6], V (&y)[6]) {
    const V half = hn::Set(d, static_cast<float>(kHalf)),
            root = hn::Set(d, static_cast<float>(kRoot));
    const V five_halves = hn::Set(d, 2.5f);
    const V even1 = hn::NegMulAdd(hn::Set(d, 2.0f), x[2], x[4]);
    const V even2 = hn::NegMulAdd(hn::Set(d, 0.5f), x[2], x[4]);
    const V odd1 = hn::MulSub(half, x[3], hn::Mul(root, x[1]));
    const V odd2 = hn::MulSub(root, x[3], hn::Mul(half, x[1]));
    y[0] = hn::NegMulAdd(five_halves, x[2], hn::Add(x[0], x[4]));
    y[1] = hn::Add(even1, odd1);
    y[2] = hn::Sub(even1, odd1);
    y[3] = hn::Add(even2, odd2);
    y[4] = hn::Sub(even2, odd2);
    y[5] = hn::NegMulAdd(five_halves, x[3], hn::Add(x[1], x[5]));
  }
  template <class D, class V>
  static HWY_INLINE void Output(D d, const V (&x)[6], V (&y)[4]) {
    const V s1 = hn::Add(x[1], x[2]), d1 = hn::Sub(x[1], x[2]);
    const V s2 = hn::Add(x[3], x[4]), d2 = hn::Sub(x[3], x[4]);
    const auto set = [&](double v) { return hn::Set(d, static_cast<float>(v)); };
    y[0] = hn::Add(x[0], hn::Add(s1, s2));
    y[1] = hn::MulAdd(set(kHalf), d1, hn::Mul(set(kRoot), d2));
    y[2] = hn::MulAdd(set(0.5), s1, hn::Add(s2, s2));
    y[3] = hn::MulAdd(set(kHalf3), d1, hn::MulAdd(set(kRoot3), d2, x[5]));
  }
  template <class D, class V>
  static HWY_INLINE void Filter(D d, V g0, V g1, V g2, V (&u)[6]) {
    const V third = hn::Set(d, -1 / 1.5), sixth = hn::Set(d, 1 / 6.0);
    const V even1 = hn::MulAdd(hn::Set(d, 0.5), g2, g0), odd1 = hn::Mul(hn::Set(d, kHalf), g1);
    const V even2 = hn::Add(hn::Add(g2, g2), g0), odd2 = hn::Mul(hn::Set(d, kRoot), g1);
    u[0] = g0;
    u[1] = hn::Mul(third, hn::Add(even1, odd1));
    u[2] = hn::Mul(third, hn::Sub(even1, odd1));
    u[3] = hn::Mul(sixth, hn::Add(even2, odd2));
    u[4] = hn::Mul(sixth, hn::Sub(even2, odd2));
    u[5] = g2;
  }
};

template <class Tile, class D>
HWY_INLINE void InputVector(D d, const float* const* pixels, int64_t c, float* HWY_RESTRICT v,
                            int64_t stride) {
  using V = hn::Vec<D>;
  constexpr int n = Tile::kIn;
  V t[n][n];
  for (int j = 0; j < n; ++j) {
    V x[n], y[n];
    for (int i = 0; i < n; ++i) x[i] = hn::LoadU(d, pixels[i * n + j] + c);
    Tile::Input(d, x, y);
    for (int i = 0; i < n; ++i) t[i][j] = y[i];
  }
  for (int i = 0; i < n; ++i) {
    V y[n];
    Tile::Input(d, t[i], y);
    for (int j = 0; j < n; ++j) hn::StoreU(y[j], d, v + (i * n + j) * stride + c);
  }
}

// True where all are finite: then their sum is, if it is not beyond the largest number.
template <class Tile, class D>
HWY_INLINE bool OutputVector(D d, const float* HWY_RESTRICT m, int64_t stride, int64_t k,
                             const float* bias, float low, float high, float* const* pixels) {
  using V = hn::Vec<D>;
  constexpr int n = Tile::kIn, out = Tile::kOut;
  V t[out][n];
  for (int j = 0; j < n; ++j) {
    V x[n], y[out];
    for (int i = 0; i < n; ++i) x[i] = hn::LoadU(d, m + (i * n + j) * stride + k);
    Tile::Output(d, x, y);
    for (int i = 0; i < out; ++i) t[i][j] = y[i];
  }
  const V add = bias == nullptr ? hn::Zero(d) : hn::LoadU(d, bias + k);
  const V lo = hn::Set(d, low), hi = hn::Set(d, high);
  V all = hn::Zero(d);
  for (int i = 0; i < out; ++i) {
    V y[out];
    Tile::Output(d, t[i], y);
    for (int j = 0; j < out; ++j) {
      // x86's minimum and maximum give their second operand where one is NaN.
      const V clamped = hn::Min(hi, hn::Max(lo, hn::Add(y[j], add)));
      hn::StoreU(clamped, d, pixels[i * out + j] + k);
      all = hn::Add(all, y[j]);
    }
  }
  return hn::AllTrue(d, hn::IsFinite(all));
}

// body(d, i) for vectors that cover [0, n); the last one overlaps the one before it.
template <class Body>
HWY_INLINE void ForVectors(int64_t n, const Body& body) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  if (n < lanes) {
    const hn::CappedTag<float, 1> one;
    for (int64_t i = 0; i < n; ++i) body(one, i);
    return;
  }
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(d, i);
  if (i < n) body(d, n - lanes);
}

template <class Tile>
void Input(const float* const* pixels, int64_t channels, float* v, int64_t stride) {
  ForVectors(channels,
             [&](auto d, int64_t c) HWY_ATTR { InputVector<Tile>(d, pixels, c, v, stride); });
}

template <class Tile>
bool Output(const float* m, int64_t stride, int64_t features, const float* bias, float low,
            float high, float* const* pixels) {
  bool finite = true;
  ForVectors(features, [&](auto d, int64_t k) HWY_ATTR {
    finite &= OutputVector<Tile>(d, m, stride, k, bias, low, high, pixels);
  });
  return finite;
}

// A vector of filters at a time.
template <class Tile>
void Filters(const float* w, int64_t w_stride, int64_t count, float* u, int64_t u_stride) {
  constexpr int n = Tile::kIn;
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> half;
  using V = hn::Vec<decltype(d)>;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  for (int64_t first = 0; first < count; first += kLanes) {
    const int64_t filters = std::min(kLanes, count - first);
    HWY_ALIGN float g[9][kLanes] = {};
    for (int64_t i = 0; i < filters; ++i) {
      for (int tap = 0; tap < 9; ++tap) g[tap][i] = w[(first + i) * w_stride + tap];
    }
    V t[3][n];
    for (int j = 0; j < 3; ++j) {
      const auto tap = [&](int i)
                           HWY_ATTR { return hn::PromoteTo(d, hn::Load(half, g[3 * i + j])); };
      Tile::Filter(d, tap(0), tap(1), tap(2), t[j]);
    }
    for (int i = 0; i < n; ++i) {
      V row[n];
      Tile::Filter(d, t[0][i], t[1][i], t[2][i], row);
      for (int j = 0; j < n; ++j) {
        const auto result = hn::DemoteTo(half, row[j]);
        float* out = u + (i * n + j) * u_stride + first;
        if (filters == kLanes) {
          hn::StoreU(result, half, out);
        } else {
          HWY_ALIGN float some[kLanes];
          hn::Store(result, half, some);
          std::copy_n(some, filters, out);
        }
      }
    }
  }
}

WinogradTransform Find(int tile) {
  if (tile == 2) return {Input<Tile2>, Output<Tile2>, Filters<Tile2>};
  return {Input<Tile4>, Output<Tile4>, Filters<Tile4>};
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {
HWY_EXPORT(Find);
WinogradTransform FindWinograd(int tile) { return HWY_DYNAMIC_DISPATCH(Find)(tile); }
}  // namespace sluice::cpu
#endif  // HWY_ONCE
