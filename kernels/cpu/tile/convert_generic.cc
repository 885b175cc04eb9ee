// Conversions between every two dtypes, portable; convert.cc replaces the frequent ones.
#include <bit>
#include <cstring>

#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile/function_table.h"
#include "kernels/cpu/tile/functors.h"

namespace sluice::cpu {
namespace {

// The nearest float; where that is another number, the one beside x whose last bit is 1. So
// rounding it once more, to 16 bits, gives what rounding x itself would.
template <typename From>
SLUICE_INLINE float OddFloat(From x) {
  const float f = static_cast<float>(x);
  if constexpr (sizeof(From) < 4 || std::is_same_v<From, float>) {
    return f;
  } else {
    using Wide = std::conditional_t<sizeof(From) == 8, long double, double>;  // hold every x
    const Wide wide = static_cast<Wide>(x), nearest = static_cast<Wide>(f);
    if (nearest == wide || wide != wide) return f;
    const bool away = (nearest < 0 ? -nearest : nearest) > (wide < 0 ? -wide : wide);
    return std::bit_cast<float>((std::bit_cast<uint32_t>(f) - (away ? 1u : 0u)) | 1u);
  }
}

template <typename To, typename From>
SLUICE_INLINE To ConvertOne(From x) {
  constexpr bool kHalf = std::is_same_v<From, Float16> || std::is_same_v<From, BFloat16>;
  if constexpr (kHalf) {
    return ConvertOne<To>(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, Float16> || std::is_same_v<To, BFloat16>) {
    return To(OddFloat(x));
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return SaturatingCast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

template <typename From, typename To>
void Loop(const void* const* in, void* out, size_t n, const TileParams&) {
  const From* x = static_cast<const From*>(in[0]);
  To* y = static_cast<To*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) y[i] = ConvertOne<To>(x[i]);
}
// A bool is read as a byte that is 0 or not, and written as 0 or 1.
template <typename To>
void FromBool(const void* const* in, void* out, size_t n, const TileParams&) {
  const uint8_t* x = static_cast<const uint8_t*>(in[0]);
  To* y = static_cast<To*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) y[i] = ConvertOne<To>(static_cast<uint8_t>(x[i] != 0));
}
template <typename From>
void ToBool(const void* const* in, void* out, size_t n, const TileParams&) {
  const From* x = static_cast<const From*>(in[0]);
  uint8_t* y = static_cast<uint8_t*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) {
    if constexpr (std::is_arithmetic_v<From>) {
      y[i] = x[i] != From(0);
    } else {
      y[i] = static_cast<float>(x[i]) != 0.0f;
    }
  }
}
template <size_t kBytes>
void Copy(const void* const* in, void* out, size_t n, const TileParams&) {
  if (in[0] != out) std::memcpy(out, in[0], n * kBytes);
}

template <typename From>
void AddFrom(TileFunctionTable& t) {
  for (int i = 0; i < TileFunctionTable::kDTypes; ++i) {
    const DType to = static_cast<DType>(i);
    VisitDType(
        to,
        [&]<typename To>() {
          constexpr bool kSameBits =
              std::is_same_v<From, To> ||
              (std::is_integral_v<From> && std::is_integral_v<To> && sizeof(From) == sizeof(To));
          if constexpr (std::is_same_v<From, bool>) {
            t.SetConversion(DType::kBool, to,
                            FromBool<std::conditional_t<std::is_same_v<To, bool>, uint8_t, To>>);
          } else if constexpr (std::is_same_v<To, bool>) {
            t.SetConversion(kDTypeOf<From>, to, ToBool<From>);
          } else if constexpr (kSameBits) {
            t.SetConversion(kDTypeOf<From>, to, Copy<sizeof(From)>);
          } else {
            t.SetConversion(kDTypeOf<From>, to, Loop<From, To>);
          }
        },
        [] {});
  }
}

}  // namespace

void AddGenericConversions(TileFunctionTable& t) {
  AddFrom<double>(t);
  AddFrom<float>(t);
  AddFrom<Float16>(t);
  AddFrom<BFloat16>(t);
  AddFrom<int64_t>(t);
  AddFrom<int32_t>(t);
  AddFrom<int16_t>(t);
  AddFrom<int8_t>(t);
  AddFrom<uint64_t>(t);
  AddFrom<uint32_t>(t);
  AddFrom<uint16_t>(t);
  AddFrom<uint8_t>(t);
  AddFrom<bool>(t);
}

}  // namespace sluice::cpu
