// The frequent conversions, for each SIMD target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/tile/convert.cc"
#include "kernels/cpu/simd.h"
// simd.h stands first: it sets the targets.
#include <bit>

#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/tile/loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <typename From, typename To>
void ConvertLoop(const void* const* in, void* out, size_t n, const TileParams&) {
  const From* x = static_cast<const From*>(in[0]);
  To* y = static_cast<To*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) y[i] = static_cast<To>(x[i]);
}
template <typename From, typename To>
void SaturateLoop(const void* const* in, void* out, size_t n, const TileParams&) {
  const From* x = static_cast<const From*>(in[0]);
  To* y = static_cast<To*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) y[i] = SaturatingCast<To>(x[i]);
}
template <typename From>
void NonZeroLoop(const void* const* in, void* out, size_t n, const TileParams&) {
  const From* x = static_cast<const From*>(in[0]);
  uint8_t* y = static_cast<uint8_t*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) y[i] = x[i] != From(0);
}

// Without branches, so that it vectorises: a subnormal is normalised by the multiplication.
HWY_INLINE float F16ToF32(uint16_t h) {
  const uint32_t magnitude = h & 0x7fffu;
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  const uint32_t special = magnitude >= 0x7c00u ? 0x7f800000u : 0u;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | special |
                              (static_cast<uint32_t>(h & 0x8000u) << 16));
}
// Rounds to nearest even; subnormals by the rounding of an addition to 0.5, whose ulp is 2^-24.
HWY_INLINE uint16_t F32ToF16(float f) {
  const uint32_t u = std::bit_cast<uint32_t>(f);
  const uint32_t sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
  const uint32_t nan = 0x7e00u | ((a >> 13) & 0x3ffu);
  const uint32_t special = a > 0x7f800000u ? nan : 0x7c00u;
  const uint32_t tiny = std::bit_cast<uint32_t>(std::bit_cast<float>(a) + 0.5f) - 0x3f000000u;
  const uint32_t normal = (a - 0x38000000u + 0xfffu + ((a >> 13) & 1u)) >> 13;
  const uint32_t finite = a < 0x38800000u ? tiny : normal;
  return static_cast<uint16_t>(sign | (a >= 0x477ff000u ? special : finite));
}

void FromF16(const void* const* in, void* out, size_t n, const TileParams&) {
  const uint16_t* x = static_cast<const uint16_t*>(in[0]);
  float* y = static_cast<float*>(out);
  size_t i = 0;
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  const auto* half = reinterpret_cast<const hwy::float16_t*>(x);
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(d16, half + i)), d, y + i);
  }
#endif
  SLUICE_VECTORIZE
  for (size_t k = i; k < n; ++k) y[k] = F16ToF32(x[k]);
}
void ToF16(const void* const* in, void* out, size_t n, const TileParams&) {
  const float* x = static_cast<const float*>(in[0]);
  uint16_t* y = static_cast<uint16_t*>(out);
  size_t i = 0;
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  auto* half = reinterpret_cast<hwy::float16_t*>(y);
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    hn::StoreU(hn::DemoteTo(d16, hn::LoadU(d, x + i)), d16, half + i);
  }
#endif
  SLUICE_VECTORIZE
  for (size_t k = i; k < n; ++k) y[k] = F32ToF16(x[k]);
}
void FromBF16(const void* const* in, void* out, size_t n, const TileParams&) {
  const uint16_t* x = static_cast<const uint16_t*>(in[0]);
  uint32_t* y = static_cast<uint32_t*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) y[i] = static_cast<uint32_t>(x[i]) << 16;
}
void ToBF16(const void* const* in, void* out, size_t n, const TileParams&) {
  const uint32_t* x = static_cast<const uint32_t*>(in[0]);
  uint16_t* y = static_cast<uint16_t*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) {
    const uint32_t u = x[i];
    const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    const uint32_t nan = (u >> 16) | 0x40u;
    y[i] = static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
  }
}

template <typename From, typename To>
void AddConvert(TileFunctionTable& t) {
  t.SetConversion(kDTypeOf<From>, kDTypeOf<To>, ConvertLoop<From, To>);
}
template <typename From, typename To>
void AddSaturate(TileFunctionTable& t) {
  t.SetConversion(kDTypeOf<From>, kDTypeOf<To>, SaturateLoop<From, To>);
}

void AddFrequentConversions(TileFunctionTable& t) {
  t.SetConversion(DType::kF16, DType::kF32, FromF16);
  t.SetConversion(DType::kF32, DType::kF16, ToF16);
  t.SetConversion(DType::kBF16, DType::kF32, FromBF16);
  t.SetConversion(DType::kF32, DType::kBF16, ToBF16);
  AddConvert<float, double>(t);
  AddConvert<double, float>(t);
  AddConvert<int8_t, float>(t);
  AddConvert<uint8_t, float>(t);
  AddConvert<int32_t, float>(t);
  AddConvert<int64_t, float>(t);
  AddConvert<int32_t, int64_t>(t);
  AddConvert<int64_t, int32_t>(t);
  AddConvert<int8_t, int32_t>(t);
  AddConvert<uint8_t, int32_t>(t);
  AddSaturate<float, int8_t>(t);
  AddSaturate<float, uint8_t>(t);
  AddSaturate<float, int32_t>(t);
  AddSaturate<float, int64_t>(t);
  t.SetConversion(DType::kF32, DType::kBool, NonZeroLoop<float>);
  t.SetConversion(DType::kI64, DType::kBool, NonZeroLoop<int64_t>);
  t.SetConversion(DType::kI32, DType::kBool, NonZeroLoop<int32_t>);
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {
HWY_EXPORT(AddFrequentConversions);
void AddConversions(TileFunctionTable& table) {
  HWY_DYNAMIC_DISPATCH(AddFrequentConversions)(table);
}
}  // namespace sluice::cpu
#endif  // HWY_ONCE
