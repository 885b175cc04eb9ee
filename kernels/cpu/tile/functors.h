// The scalar form of each step whose loop the compiler vectorises. Inlined into loops that are
// built for each SIMD target (loops-inl.h).
#ifndef SLUICE_KERNELS_CPU_TILE_FUNCTORS_H_
#define SLUICE_KERNELS_CPU_TILE_FUNCTORS_H_

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/tile/step.h"

namespace sluice::cpu {

#define SLUICE_INLINE inline __attribute__((always_inline))

// Integer arithmetic wraps: done in the unsigned type.
template <typename T>
using Wrapping = typename std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>,
                                             std::type_identity<T>>::type;

#define SLUICE_UNARY_FUNCTOR(Name, expression) \
  struct Name {                                \
    template <typename T>                      \
    static SLUICE_INLINE T Of(T x) {           \
      return expression;                       \
    }                                          \
  };
#define SLUICE_BINARY_FUNCTOR(Name, expression) \
  struct Name {                                 \
    template <typename T>                       \
    static SLUICE_INLINE T Of(T a, T b) {       \
      return expression;                        \
    }                                           \
  };
#define SLUICE_COMPARE_FUNCTOR(Name, expression) \
  struct Name {                                  \
    template <typename T>                        \
    static SLUICE_INLINE uint8_t Of(T a, T b) {  \
      return expression;                         \
    }                                            \
  };

struct AbsF {
  template <typename T>
  static SLUICE_INLINE T Of(T x) {
    if constexpr (std::is_floating_point_v<T>) return __builtin_elementwise_abs(x);
    if constexpr (std::is_unsigned_v<T>) return x;
    using U = Wrapping<T>;
    return x < 0 ? static_cast<T>(U{0} - static_cast<U>(x)) : x;
  }
};
struct NegF {
  template <typename T>
  static SLUICE_INLINE T Of(T x) {
    if constexpr (std::is_floating_point_v<T>) return -x;
    using U = Wrapping<T>;
    return static_cast<T>(U{0} - static_cast<U>(x));
  }
};
SLUICE_UNARY_FUNCTOR(SignF, x > T(0) ? T(1) : (x < T(0) ? T(-1) : (x == x ? T(0) : x)))
SLUICE_UNARY_FUNCTOR(FloorF, __builtin_elementwise_floor(x))
SLUICE_UNARY_FUNCTOR(CeilF, __builtin_elementwise_ceil(x))
SLUICE_UNARY_FUNCTOR(RoundF, __builtin_elementwise_roundeven(x))
SLUICE_UNARY_FUNCTOR(SqrtF, __builtin_elementwise_sqrt(x))
SLUICE_UNARY_FUNCTOR(ReciprocalF, T(1) / x)
SLUICE_UNARY_FUNCTOR(ReluF, x < T(0) ? T(0) : x)
SLUICE_UNARY_FUNCTOR(SoftsignF, x / (T(1) + __builtin_elementwise_abs(x)))
SLUICE_UNARY_FUNCTOR(NotF, T(x == 0))
SLUICE_UNARY_FUNCTOR(BitwiseNotF, static_cast<T>(~x))

// NOLINTBEGIN(bugprone-macro-parentheses): it takes an operator
#define SLUICE_WRAPPING(op) \
  static_cast<T>(static_cast<Wrapping<T>>(a) op static_cast<Wrapping<T>>(b))
// NOLINTEND(bugprone-macro-parentheses)
SLUICE_BINARY_FUNCTOR(AddF, SLUICE_WRAPPING(+))
SLUICE_BINARY_FUNCTOR(SubF, SLUICE_WRAPPING(-))
struct MulF {
  template <typename T>
  static SLUICE_INLINE T Of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) return a * b;
    // At least as wide as unsigned int: uint16_t would be promoted to int, and overflow it.
    using W = std::common_type_t<Wrapping<T>, unsigned>;
    return static_cast<T>(static_cast<W>(a) * static_cast<W>(b));
  }
};
struct SquareF {
  template <typename T>
  static SLUICE_INLINE T Of(T x) {
    return MulF::Of(x, x);
  }
};
struct DivF {
  template <typename T>
  static SLUICE_INLINE T Of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) return a / b;
    if (b == 0) return 0;
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return NegF::Of(a);
    return static_cast<T>(a / b);
  }
};
struct FmodF {
  template <typename T>
  static SLUICE_INLINE T Of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::fmod(a, b);
    } else {
      if (b == 0 || (std::is_signed_v<T> && b == static_cast<T>(-1))) return 0;
      return static_cast<T>(a % b);
    }
  }
};
struct ModF {
  template <typename T>
  static SLUICE_INLINE T Of(T a, T b) {
    const T r = FmodF::Of(a, b);
    if constexpr (std::is_floating_point_v<T>) {
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    }
    if (std::is_signed_v<T> && r != 0 && (r < 0) != (b < 0)) return static_cast<T>(r + b);
    return r;
  }
};
struct PowF {
  template <typename T>
  static SLUICE_INLINE T Of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::pow(a, b);
    } else {
      if (std::is_signed_v<T> && b < 0) {
        if (a == 1) return 1;
        if (a == static_cast<T>(-1)) return b & 1 ? a : T(1);
        return 0;
      }
      T result = 1;
      for (; b != 0; b = static_cast<T>(b >> 1)) {
        if (b & 1) result = MulF::Of(result, a);
        a = MulF::Of(a, a);
      }
      return result;
    }
  }
};
// NaN from either side.
SLUICE_BINARY_FUNCTOR(MaxF, (a > b || a != a) ? a : b)
SLUICE_BINARY_FUNCTOR(MinF, (a < b || a != a) ? a : b)
SLUICE_BINARY_FUNCTOR(PReluF, a < T(0) ? MulF::Of(a, b) : a)
SLUICE_BINARY_FUNCTOR(AndF, T((a != 0) & (b != 0)))
SLUICE_BINARY_FUNCTOR(OrF, T((a != 0) | (b != 0)))
SLUICE_BINARY_FUNCTOR(XorF, T((a != 0) != (b != 0)))
SLUICE_BINARY_FUNCTOR(BitwiseAndF, static_cast<T>(a& b))
SLUICE_BINARY_FUNCTOR(BitwiseOrF, static_cast<T>(a | b))
SLUICE_BINARY_FUNCTOR(BitwiseXorF, static_cast<T>(a ^ b))
template <typename T>
inline constexpr T kWidth = static_cast<T>(8 * sizeof(T));
SLUICE_BINARY_FUNCTOR(ShiftLeftF,
                      b < kWidth<T> ? static_cast<T>(static_cast<uint64_t>(a) << b) : T(0))
SLUICE_BINARY_FUNCTOR(ShiftRightF, b < kWidth<T> ? static_cast<T>(a >> b) : T(0))
SLUICE_COMPARE_FUNCTOR(EqualF, a == b)
SLUICE_COMPARE_FUNCTOR(BoolEqualF, (a != 0) == (b != 0))
SLUICE_COMPARE_FUNCTOR(LessF, a < b)
SLUICE_COMPARE_FUNCTOR(LessOrEqualF, a <= b)

struct PowHalfF {
  template <typename T>
  static SLUICE_INLINE T Of(T x) {
    constexpr T kInfinity = std::numeric_limits<T>::infinity();
    return __builtin_elementwise_sqrt(x == -kInfinity ? kInfinity : x + T(0));
  }
};
struct PowMinusHalfF {
  template <typename T>
  static SLUICE_INLINE T Of(T x) {
    return T(1) / PowHalfF::Of(x);
  }
};

#undef SLUICE_WRAPPING
#undef SLUICE_UNARY_FUNCTOR
#undef SLUICE_BINARY_FUNCTOR
#undef SLUICE_COMPARE_FUNCTOR

// With parameters, which the loop reads once.
struct LeakyReluF {
  template <typename T>
  static SLUICE_INLINE T Of(T x, T a, T) {
    return x < T(0) ? a * x : x;
  }
};
struct ThresholdedReluF {
  template <typename T>
  static SLUICE_INLINE T Of(T x, T a, T) {
    return x > a ? x : T(0);
  }
};
struct HardSigmoidF {
  template <typename T>
  static SLUICE_INLINE T Of(T x, T a, T b) {
    const T line = a * x + b;
    return line < T(0) ? T(0) : (line > T(1) ? T(1) : line);
  }
};
struct HardSwishF {
  template <typename T>
  static SLUICE_INLINE T Of(T x, T, T) {
    return x * HardSigmoidF::Of(x, T(1) / T(6), T(0.5));
  }
};
struct ShrinkF {
  template <typename T>
  static SLUICE_INLINE T Of(T x, T a, T b) {
    // Nothing unsigned lies below -a.
    if (!std::is_unsigned_v<T> && x < NegF::Of(a)) return AddF::Of(x, b);
    return x > a ? SubF::Of(x, b) : T(0);
  }
};
struct IsNaNF {
  template <typename T>
  static SLUICE_INLINE uint8_t Of(T x, T, T) {
    return x != x;
  }
};
struct IsInfF {
  template <typename T>
  static SLUICE_INLINE uint8_t Of(T x, T a, T b) {
    constexpr T kInfinity = std::numeric_limits<T>::infinity();
    return ((a != 0) & (x == kInfinity)) | ((b != 0) & (x == -kInfinity));
  }
};

// NaN to 0, beyond the range to its end.
template <typename T, typename F>
SLUICE_INLINE T SaturatingCast(F x) {
  constexpr F kHigh = static_cast<F>(uint64_t{1} << (std::numeric_limits<T>::digits - 1)) * 2;
  constexpr F kLow = std::is_signed_v<T> ? -kHigh : F(0);
  if (!(x == x)) return 0;
  if (x >= kHigh) return std::numeric_limits<T>::max();
  if (x <= kLow) return std::numeric_limits<T>::min();
  return static_cast<T>(x);
}

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_TILE_FUNCTORS_H_
