// Random numbers for each SIMD target.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/philox.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/philox_fill.cc"
#include "kernels/cpu/simd.h"
// simd.h stands first: it sets the targets.
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D32 = hn::ScalableTag<uint32_t>;
using D64 = hn::ScalableTag<uint64_t>;
using DF = hn::ScalableTag<float>;
using DD = hn::ScalableTag<double>;
using V32 = hn::Vec<D32>;
using V64 = hn::Vec<D64>;
using VF = hn::Vec<DF>;
using VD = hn::Vec<DD>;

// ---- Blocks. Each lane of 64 bits has one word of one block in its lower half; what is above is
// anything.

struct Words {
  V64 w0, w1, w2, w3;
};

HWY_INLINE V64 Product(V64 word, uint32_t factor) {
  const D32 d;
  return hn::MulEven(hn::BitCast(d, word), hn::Set(d, factor));
}

HWY_INLINE Words Blocks(V64 index, RandomKey key) {
  const D64 d;
  Words x = {index, hn::ShiftRight<32>(index), hn::Set(d, key.counter),
             hn::Set(d, key.counter >> 32)};
  uint32_t k0 = static_cast<uint32_t>(key.key), k1 = static_cast<uint32_t>(key.key >> 32);
  for (int round = 0; round < 10; ++round) {
    const V64 p0 = Product(x.w0, 0xd2511f53u), p1 = Product(x.w2, 0xcd9e8d57u);
    x.w0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), x.w1), hn::Set(d, uint64_t{k0}));
    x.w1 = p1;
    x.w2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), x.w3), hn::Set(d, uint64_t{k1}));
    x.w3 = p0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return x;
}

// The lower halves of `low` and, above them, of `high`.
HWY_INLINE V64 Join(V64 low, V64 high) {
  const D32 d;
  const V32 above = hn::BitCast(d, hn::ShiftLeft<32>(high));
  return hn::BitCast(D64(), hn::OddEven(above, hn::BitCast(d, low)));
}

// ---- Arithmetic, for f32 and f64. `Bits` are an element's own random bits.

HWY_INLINE VF Num(DF d, double x) { return hn::Set(d, static_cast<float>(x)); }
HWY_INLINE VD Num(DD d, double x) { return hn::Set(d, x); }

// c[0] + x (c[1] + x (c[2] + ...))
template <size_t kCount, class D, class V>
HWY_INLINE V Polynomial(D d, V x, const double (&c)[kCount]) {
  V y = Num(d, c[kCount - 1]);
  for (size_t i = kCount - 1; i-- > 0;) y = hn::Add(hn::Mul(y, x), Num(d, c[i]));
  return y;
}

// An integer below 2^53: its halves are put into mantissas whose exponents give them their places.
HWY_INLINE VD FromInteger(V64 n) {
  const D64 d;
  const DD dd;
  const V64 low = hn::BitCast(d, hn::OddEven(hn::Set(D32(), 0x43300000u), hn::BitCast(D32(), n)));
  const V64 high = hn::Or(hn::ShiftRight<32>(n), hn::Set(d, 0x4530000000000000u));
  return hn::Add(hn::Sub(hn::BitCast(dd, high), Num(dd, 0x1.00000001p84)), hn::BitCast(dd, low));
}

struct F32 {
  using T = float;
  using D = DF;
  using V = VF;
  using DBits = D32;
  using Bits = V32;
  static constexpr uint32_t kSign = 0x80000000u;

  static HWY_INLINE VF Integer(V32 n) {  // below 2^31
    return hn::ConvertTo(DF(), hn::BitCast(hn::RebindToSigned<D32>(), n));
  }
  // [0, 1), 24 bits.
  static HWY_INLINE VF Uniform(V32 bits) {
    return hn::Mul(Integer(hn::ShiftRight<8>(bits)), Num(DF(), 0x1p-24));
  }
  // ln of a number of (0, 1]: the bits, an odd number of them, over 2^32. (Cephes, logf.c.)
  static HWY_INLINE VF Log(V32 bits) {
    const DF d;
    const D32 du;
    const V32 odd = hn::Or(bits, hn::Set(du, 1u));
    const VF x = hn::Add(hn::Mul(Integer(hn::ShiftRight<16>(odd)), Num(d, 65536)),
                         Integer(hn::And(odd, hn::Set(du, 0xffffu))));
    // x = 2^e m, m from sqrt(1/2) to sqrt(2).
    const V32 root = hn::Set(du, 0x3f3504f3u);
    const V32 shifted = hn::Add(hn::BitCast(du, x), hn::Sub(hn::Set(du, 0x3f800000u), root));
    const VF e = hn::Sub(Integer(hn::ShiftRight<23>(shifted)), Num(d, 127 + 32));
    const VF m = hn::BitCast(d, hn::Add(hn::And(shifted, hn::Set(du, 0x007fffffu)), root));
    const VF f = hn::Sub(m, Num(d, 1));
    const VF z = hn::Mul(f, f);
    static constexpr double kLog[] = {3.3333331174E-1,  -2.4999993993E-1, 2.0000714765E-1,
                                      -1.6668057665E-1, 1.4249322787E-1,  -1.2420140846E-1,
                                      1.1676998740E-1,  -1.1514610310E-1, 7.0376836292E-2};
    VF y = hn::Mul(hn::Mul(Polynomial(d, f, kLog), f), z);
    y = hn::Add(y, hn::Mul(e, Num(d, -2.12194440E-4)));
    y = hn::Sub(y, hn::Mul(z, Num(d, 0.5)));
    return hn::Add(hn::Add(f, y), hn::Mul(e, Num(d, 0.693359375)));
  }
  // A number of [-1/2, 1/2) of the bits below the upper two.
  static HWY_INLINE VF Fraction(V32 bits) {
    const VF t = Integer(hn::ShiftRight<8>(hn::ShiftLeft<2>(bits)));
    return hn::Sub(hn::Mul(t, Num(DF(), 0x1p-24)), Num(DF(), 0.5));
  }
  // For |x| <= pi/4 (Cephes, sinf.c).
  static HWY_INLINE VF Sin(VF x, VF z) {
    static constexpr double kSin[] = {-1.6666654611E-1, 8.3321608736E-3, -1.9515295891E-4};
    return hn::Add(hn::Mul(hn::Mul(Polynomial(DF(), z, kSin), z), x), x);
  }
  static HWY_INLINE VF Cos(VF z) {
    static constexpr double kCos[] = {4.166664568298827E-2, -1.388731625493765E-3,
                                      2.443315711809948E-5};
    const VF y = hn::Mul(hn::Mul(Polynomial(DF(), z, kCos), z), z);
    return hn::Add(hn::Sub(y, hn::Mul(z, Num(DF(), 0.5))), Num(DF(), 1));
  }
};

struct F64 {
  using T = double;
  using D = DD;
  using V = VD;
  using DBits = D64;
  using Bits = V64;
  static constexpr uint64_t kSign = uint64_t{1} << 63;

  // [0, 1), 53 bits.
  static HWY_INLINE VD Uniform(V64 bits) {
    return hn::Mul(FromInteger(hn::ShiftRight<11>(bits)), Num(DD(), 0x1p-53));
  }
  // ln of a number of (0, 1]: 1 + the upper 53 bits, over 2^53. (FDLIBM, e_log.c.)
  static HWY_INLINE VD Log(V64 bits) {
    const DD d;
    const D64 du;
    const VD x = hn::Add(FromInteger(hn::ShiftRight<11>(bits)), Num(d, 1));
    const V64 root = hn::Set(du, 0x3fe6a09e667f3bcdu);
    const V64 shifted =
        hn::Add(hn::BitCast(du, x), hn::Sub(hn::Set(du, 0x3ff0000000000000u), root));
    const VD k = hn::Sub(FromInteger(hn::ShiftRight<52>(shifted)), Num(d, 1023 + 53));
    const VD m = hn::BitCast(d, hn::Add(hn::And(shifted, hn::Set(du, 0x000fffffffffffffu)), root));
    const VD f = hn::Sub(m, Num(d, 1));
    const VD s = hn::Div(f, hn::Add(Num(d, 2), f));
    const VD z = hn::Mul(s, s);
    static constexpr double kLog[] = {6.666666666666735130e-01, 3.999999999940941908e-01,
                                      2.857142874366239149e-01, 2.222219843214978396e-01,
                                      1.818357216161805012e-01, 1.531383769920937332e-01,
                                      1.479819860511658591e-01};
    const VD r = hn::Mul(z, Polynomial(d, z, kLog));
    const VD half = hn::Mul(hn::Mul(f, f), Num(d, 0.5));
    const VD low =
        hn::Add(hn::Mul(s, hn::Add(half, r)), hn::Mul(k, Num(d, 1.90821492927058770002e-10)));
    return hn::Sub(hn::Mul(k, Num(d, 6.93147180369123816490e-01)), hn::Sub(hn::Sub(half, low), f));
  }
  static HWY_INLINE VD Fraction(V64 bits) {
    const VD t = FromInteger(hn::ShiftRight<11>(hn::ShiftLeft<2>(bits)));
    return hn::Sub(hn::Mul(t, Num(DD(), 0x1p-53)), Num(DD(), 0.5));
  }
  // FDLIBM, k_sin.c and k_cos.c.
  static HWY_INLINE VD Sin(VD x, VD z) {
    static constexpr double kSin[] = {-1.66666666666666324348e-01, 8.33333333332248946124e-03,
                                      -1.98412698298579493134e-04, 2.75573137070700676789e-06,
                                      -2.50507602534068634195e-08, 1.58969099521155010221e-10};
    return hn::Add(hn::Mul(hn::Mul(Polynomial(DD(), z, kSin), z), x), x);
  }
  static HWY_INLINE VD Cos(VD z) {
    static constexpr double kCos[] = {4.16666666666666019037e-02, -1.38888888888741095749e-03,
                                      2.48015872894767294178e-05, -2.75573143513906633035e-07,
                                      2.08757232129817482790e-09, -1.13596475577881948265e-11};
    const VD y = hn::Mul(hn::Mul(Polynomial(DD(), z, kCos), z), z);
    return hn::Add(hn::Sub(y, hn::Mul(z, Num(DD(), 0.5))), Num(DD(), 1));
  }
};

// The elements of two that follow each other, from the bits of both.
template <class F>
struct UniformPair {
  static HWY_INLINE void Make(typename F::Bits a, typename F::Bits b, typename F::V* first,
                              typename F::V* second) {
    *first = F::Uniform(a);
    *second = F::Uniform(b);
  }
};

// (x, y) of radius sqrt(-2 ln u) at an angle: a fraction of a quarter turn, and quarter turns by
// the upper two bits of `b`.
template <class F>
struct NormalPair {
  static HWY_INLINE void Make(typename F::Bits a, typename F::Bits b, typename F::V* first,
                              typename F::V* second) {
    const typename F::D d;
    const typename F::DBits du;
    const auto radius = hn::Sqrt(hn::Mul(F::Log(a), Num(d, -2)));
    const auto angle = hn::Mul(F::Fraction(b), Num(d, 1.57079632679489661923));
    const auto z = hn::Mul(angle, angle);
    const auto sin = F::Sin(angle, z), cos = F::Cos(z);
    const auto sign = hn::Set(du, F::kSign), quarter = hn::Set(du, F::kSign >> 1);
    const auto odd = hn::RebindMask(d, hn::Eq(hn::And(b, quarter), quarter));
    const auto x = hn::IfThenElse(odd, sin, cos), y = hn::IfThenElse(odd, cos, sin);
    const auto x_sign = hn::And(hn::Xor(b, hn::ShiftLeft<1>(b)), sign), y_sign = hn::And(b, sign);
    *first = hn::Mul(radius, hn::Xor(x, hn::BitCast(d, x_sign)));
    *second = hn::Mul(radius, hn::Xor(y, hn::BitCast(d, y_sign)));
  }
};

// ---- Groups: what one vector of block numbers gives.

template <class F>
HWY_INLINE void SplitPairs(const Words& w, typename F::Bits* a, typename F::Bits* b) {
  const typename F::DBits d;
  if constexpr (sizeof(typename F::T) == 4) {
    *a = hn::BitCast(d, Join(w.w0, w.w2));
    *b = hn::BitCast(d, Join(w.w1, w.w3));
  } else {
    *a = Join(w.w0, w.w1);
    *b = Join(w.w2, w.w3);
  }
}

// Lanes 2 i and 2 i + 1 have blocks i and i + half of them, so that what interleaves within 16
// bytes lies as it is to be stored.
template <class F, template <class> class Pair>
void Fill(RandomKey key, uint64_t begin, size_t n, typename F::T* out) {
  using T = typename F::T;
  constexpr size_t kBlock = 16 / sizeof(T);
  const D64 d;
  const typename F::D df;
  const size_t lanes = hn::Lanes(d), group = lanes * kBlock;
  HWY_ALIGN uint64_t places[hn::MaxLanes(D64())];
  for (size_t i = 0; i < lanes; ++i) places[i] = i / 2 + i % 2 * (lanes / 2);
  V64 index = hn::Add(hn::Load(d, places), hn::Set(d, begin / kBlock));
  const V64 step = hn::Set(d, uint64_t{lanes});
  const auto next = [&](T* to) HWY_ATTR {
    typename F::Bits a, b;
    SplitPairs<F>(Blocks(index, key), &a, &b);
    typename F::V first, second;
    Pair<F>::Make(a, b, &first, &second);
    hn::StoreU(hn::InterleaveLower(df, first, second), df, to);
    hn::StoreU(hn::InterleaveUpper(df, first, second), df, to + group / 2);
    index = hn::Add(index, step);
  };
  HWY_ALIGN T buffer[hn::MaxLanes(D64()) * kBlock];
  const size_t skipped = begin % kBlock;
  if (skipped > 0 && n > 0) {
    const size_t count = std::min(n, group - skipped);
    next(buffer);
    std::memcpy(out, buffer + skipped, count * sizeof(T));
    out += count;
    n -= count;
  }
  for (; n >= group; n -= group, out += group) next(out);
  if (n == 0) return;
  next(buffer);
  std::memcpy(out, buffer, n * sizeof(T));
}

void UniformF32(RandomKey key, uint64_t begin, size_t n, float* out) {
  Fill<F32, UniformPair>(key, begin, n, out);
}
void NormalF32(RandomKey key, uint64_t begin, size_t n, float* out) {
  Fill<F32, NormalPair>(key, begin, n, out);
}
void UniformF64(RandomKey key, uint64_t begin, size_t n, double* out) {
  Fill<F64, UniformPair>(key, begin, n, out);
}
void NormalF64(RandomKey key, uint64_t begin, size_t n, double* out) {
  Fill<F64, NormalPair>(key, begin, n, out);
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {

HWY_EXPORT(UniformF32);
HWY_EXPORT(NormalF32);
HWY_EXPORT(UniformF64);
HWY_EXPORT(NormalF64);

void FillRandom(Distribution distribution, RandomKey key, uint64_t begin, size_t n, float* out) {
  if (distribution == Distribution::kUniform) {
    HWY_DYNAMIC_DISPATCH(UniformF32)(key, begin, n, out);
  } else {
    HWY_DYNAMIC_DISPATCH(NormalF32)(key, begin, n, out);
  }
}
void FillRandom(Distribution distribution, RandomKey key, uint64_t begin, size_t n, double* out) {
  if (distribution == Distribution::kUniform) {
    HWY_DYNAMIC_DISPATCH(UniformF64)(key, begin, n, out);
  } else {
    HWY_DYNAMIC_DISPATCH(NormalF64)(key, begin, n, out);
  }
}

}  // namespace sluice::cpu
#endif  // HWY_ONCE
