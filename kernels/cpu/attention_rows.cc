#include "kernels/cpu/attention_rows.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_rows.cc"
#include "kernels/cpu/simd.h"
// simd.h stands first: it sets the targets.
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;

float MaxF32(float* x, int64_t n, const float* added, const uint8_t* keep, float never,
             float maximum) {
  const F d;
  const hn::Rebind<int32_t, F> di;
  const hn::Rebind<uint8_t, F> bytes;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto off = hn::Set(d, never);
  auto a = hn::Set(d, maximum), b = a;
  auto masked = [&](int64_t i) {
    auto v = hn::LoadU(d, x + i);
    if (added != nullptr) v = hn::Add(v, hn::LoadU(d, added + i));
    if (keep != nullptr) {
      const auto k = hn::PromoteTo(di, hn::LoadU(bytes, keep + i));
      v = hn::IfThenElse(hn::RebindMask(d, hn::Ne(k, hn::Zero(di))), v, off);
    }
    if (added != nullptr || keep != nullptr) hn::StoreU(v, d, x + i);
    return v;
  };
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    a = hn::Max(masked(i), a);
    b = hn::Max(masked(i + lanes), b);
  }
  if (i + lanes <= n) {
    a = hn::Max(masked(i), a);
    i += lanes;
  }
  maximum = hn::GetLane(hn::MaxOfLanes(d, hn::Max(a, b)));
  for (; i < n; ++i) {
    if (added != nullptr) x[i] += added[i];
    if (keep != nullptr && keep[i] == 0) x[i] = never;
    maximum = x[i] > maximum ? x[i] : maximum;
  }
  return maximum;
}

// e^x for x <= 0: 2^n e^r with |r| <= ln(2) / 2, e^r by the polynomial of Cephes' expf.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Exp(D d, V x) {
  const hn::Rebind<int32_t, D> di;
  const auto n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504088896341f)));
  auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  auto p = hn::MulAdd(hn::Set(d, 1.9875691500e-4f), r, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
  p = hn::MulAdd(p, hn::Mul(r, r), hn::Add(r, hn::Set(d, 1.0f)));
  const auto bits = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.3f)), hn::Mul(p, hn::BitCast(d, bits)));
}

float ExpSumF32(float* x, int64_t n, float shift) {
  const F d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto s = hn::Set(d, shift);
  auto a = hn::Zero(d), b = a;
  auto step = [&](int64_t i) {
    const auto e = Exp(d, hn::Sub(hn::LoadU(d, x + i), s));
    hn::StoreU(e, d, x + i);
    return e;
  };
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    a = hn::Add(a, step(i));
    b = hn::Add(b, step(i + lanes));
  }
  if (i + lanes <= n) {
    a = hn::Add(a, step(i));
    i += lanes;
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(a, b)));
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) {
    x[i] = hn::GetLane(Exp(one, hn::Set(one, x[i] - shift)));
    sum += x[i];
  }
  return sum;
}

template <typename T>
HWY_INLINE void Scale(const T* x, int64_t n, T factor, T* out) {
  SLUICE_VECTORIZE
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * factor;
}
void ScaleF32(const float* x, int64_t n, float factor, float* out) { Scale(x, n, factor, out); }
void ScaleF64(const double* x, int64_t n, double factor, double* out) { Scale(x, n, factor, out); }

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {
HWY_EXPORT(MaxF32);
HWY_EXPORT(ExpSumF32);
HWY_EXPORT(ScaleF32);
HWY_EXPORT(ScaleF64);

template <>
float MaskedMax(float* x, int64_t n, const float* added, const uint8_t* keep, float never,
                float maximum) {
  return HWY_DYNAMIC_DISPATCH(MaxF32)(x, n, added, keep, never, maximum);
}
template <>
double MaskedMax(double* x, int64_t n, const double* added, const uint8_t* keep, double never,
                 double maximum) {
  for (int64_t i = 0; i < n; ++i) {
    if (added != nullptr) x[i] += added[i];
    if (keep != nullptr && keep[i] == 0) x[i] = never;
    maximum = x[i] > maximum ? x[i] : maximum;
  }
  return maximum;
}

template <>
float ExpSum(float* x, int64_t n, float shift) {
  return HWY_DYNAMIC_DISPATCH(ExpSumF32)(x, n, shift);
}
template <>
double ExpSum(double* x, int64_t n, double shift) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] = std::exp(x[i] - shift);
  return sum;
}

template <>
void ScaleRow(const float* x, int64_t n, float factor, float* out) {
  HWY_DYNAMIC_DISPATCH(ScaleF32)(x, n, factor, out);
}
template <>
void ScaleRow(const double* x, int64_t n, double factor, double* out) {
  HWY_DYNAMIC_DISPATCH(ScaleF64)(x, n, factor, out);
}

}  // namespace sluice::cpu
#endif  // HWY_ONCE
