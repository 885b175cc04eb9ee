// Vector functions in f32, for one SIMD target at a time (see simd.h). Each states its largest
// error, measured against double precision over its whole range by
// tests/kernels/elementwise_math_test.cc. NaN gives NaN everywhere. The polynomials are Chebyshev
// interpolants of the functions named beside them.
#if defined(SLUICE_KERNELS_CPU_TILE_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_CPU_TILE_MATH_INL_H_
#undef SLUICE_KERNELS_CPU_TILE_MATH_INL_H_
#else
#define SLUICE_KERNELS_CPU_TILE_MATH_INL_H_
#endif

#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;
using DI = hn::RebindToSigned<DF>;
using VI = hn::Vec<DI>;

HWY_INLINE VF Num(float value) { return hn::Set(DF(), value); }
HWY_INLINE VF KeepNaN(VF x, VF y) { return hn::IfThenElse(hn::IsNaN(x), x, y); }
HWY_INLINE VF Infinity() { return Num(std::numeric_limits<float>::infinity()); }

// c[0] + c[1] x + ... by Horner's rule.
template <size_t N>
HWY_INLINE VF Polynomial(VF x, const float (&c)[N]) {
  VF y = Num(c[N - 1]);
  for (size_t i = N - 1; i-- > 0;) y = hn::MulAdd(y, x, Num(c[i]));
  return y;
}

// x = n log 2 + r, |r| <= log(2) / 2.
struct Reduced {
  VF n, r;
};
HWY_INLINE Reduced ReduceByLog2(VF x) {
  const VF n = hn::Round(hn::Mul(x, Num(1.44269504f)));
  // log 2 in two parts, so that n times the first is exact.
  const VF r = hn::NegMulAdd(n, Num(0.693359375f), x);
  return {n, hn::NegMulAdd(n, Num(-2.12194440e-4f), r)};
}
// (e^r - 1 - r) / r^2 for |r| <= log(2) / 2.
inline constexpr float kExpTail[] = {
    0.5f, 0.1666666668f, 0.04166645681f, 0.008333310024f, 0.001393454193f, 0.0001989198131f};
HWY_INLINE VF Expm1Reduced(VF r) { return hn::MulAdd(hn::Mul(r, r), Polynomial(r, kExpTail), r); }
// In fewer steps: 1 ulp.
HWY_INLINE VF ExpReduced(VF r) {
  return hn::MulAdd(hn::MulAdd(Polynomial(r, kExpTail), r, Num(1.0f)), r, Num(1.0f));
}
// y 2^n for -300 < n < 300; NaN where n is.
HWY_INLINE VF TimesPow2(VF y, VF n) {
#if HWY_TARGET <= HWY_AVX3
  return VF{_mm512_scalef_ps(y.raw, n.raw)};
#else
  // In two factors, so that neither overflows.
  const DI di;
  const VI whole = hn::NearestInt(n);
  const VI half = hn::ShiftRight<1>(whole);
  const VI bias = hn::Set(di, 127);
  const VF a = hn::BitCast(DF(), hn::ShiftLeft<23>(hn::Add(half, bias)));
  const VF b = hn::BitCast(DF(), hn::ShiftLeft<23>(hn::Add(hn::Sub(whole, half), bias)));
  return hn::Mul(hn::Mul(y, a), b);
#endif
}
// x between lo and hi. The limits are the first operands: x86 then gives back a NaN of the second.
HWY_INLINE VF Limited(VF x, float lo, float hi) { return hn::Max(Num(lo), hn::Min(Num(hi), x)); }
// 1 / x for x in [1, 1e38]: 2 ulp.
HWY_INLINE VF Reciprocal(VF x) {
#if HWY_TARGET <= HWY_AVX3
  const VF y = hn::ApproximateReciprocal(x);  // 14 bits; one step of Newton's doubles them
  return hn::Mul(y, hn::NegMulAdd(x, y, Num(2.0f)));
#else
  return hn::Div(Num(1.0f), x);
#endif
}

// 2 ulp. 0 below -104, infinity above 88.8.
HWY_INLINE VF Exp(VF x) {
  const Reduced t = ReduceByLog2(Limited(x, -105.0f, 90.0f));
  return TimesPow2(hn::Add(Expm1Reduced(t.r), Num(1.0f)), t.n);
}
// e^x - 1: 3 ulp, also near 0.
HWY_INLINE VF Expm1(VF x) {
  const Reduced t = ReduceByLog2(Limited(x, -105.0f, 90.0f));
  const VF near = Expm1Reduced(t.r);
  const VF far = hn::Sub(TimesPow2(hn::Add(near, Num(1.0f)), t.n), Num(1.0f));
  return hn::IfThenElse(hn::Eq(t.n, hn::Zero(DF())), near, far);
}

// 4 ulp. -infinity at 0, NaN below.
HWY_INLINE VF Log(VF x) {
  const DF d;
  VF y = hn::Log(d, x);
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(Infinity()), y);
  y = hn::IfThenElse(hn::Eq(x, Infinity()), x, y);
  y = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::NaN(d), y);
  return KeepNaN(x, y);
}
// log(1 + x) for x in [0, 1]: 4 ulp.
HWY_INLINE VF Log1pUnit(VF x) { return hn::Log1p(DF(), x); }

// 1 / (1 + e^-x) without its zero: 3 ulp from -87 on, 1.6e-38 below.
HWY_INLINE VF SigmoidAbove(VF x) {
  const Reduced t = ReduceByLog2(Limited(hn::Neg(x), -87.0f, 87.0f));
  return Reciprocal(hn::Add(Num(1.0f), TimesPow2(ExpReduced(t.r), t.n)));
}
// 0 below -87, where the value is nearly denormal.
HWY_INLINE VF Sigmoid(VF x) { return hn::IfThenZeroElse(hn::Lt(x, Num(-87.0f)), SigmoidAbove(x)); }

// 4 ulp.
HWY_INLINE VF Tanh(VF x) {
  const VF limited = Limited(x, -9.0f, 9.0f);
  // tanh x = (e^2x - 1) / (e^2x + 1), and e^2x - 1 keeps its digits near 0.
  const VF e = Expm1(hn::Add(limited, limited));
  return hn::CopySign(hn::Mul(e, Reciprocal(hn::Add(e, Num(2.0f)))), x);  // of zeros, too
}

// erfc(t) for t in [0.9, infinity): relative error 4e-6 growing with t; 0 from 6.5 on (4e-20).
HWY_INLINE VF ErfcTail(VF t) {
  // log erfc(t) on [0.9, 6.5].
  static constexpr float kC[] = {
      0.00013185878f,   -1.129560492f,    -0.632770624f,    -0.1094400383f,  0.02624030812f,
      -0.004782665807f, 0.0006292830075f, -5.583319268e-5f, 2.970274775e-6f, -7.124625375e-8f};
  const VF y = Exp(Polynomial(hn::Min(t, Num(6.5f)), kC));
  return hn::IfThenZeroElse(hn::Ge(t, Num(6.5f)), y);
}
// erf(x) for |x| <= 0.93: 1 ulp. (erf(x) / x - 1) as a polynomial in x^2.
HWY_INLINE VF ErfNear(VF x) {
  static constexpr float kC[] = {0.1283791665f,   -0.3761263215f,  0.1128367104f,
                                 -0.02685804248f, 0.005197684914f, -0.0008105054511f,
                                 8.212780533e-5f};
  return hn::MulAdd(Polynomial(hn::Mul(x, x), kC), x, x);
}
// 4 ulp.
HWY_INLINE VF Erf(VF x) {
  const VF t = hn::Abs(x);
  const VF far = hn::CopySign(hn::Sub(Num(1.0f), ErfcTail(t)), x);
  return KeepNaN(x, hn::IfThenElse(hn::Lt(t, Num(0.93f)), ErfNear(x), far));
}

// x Phi(x), where Phi(-t) = 2^p(t) for t >= 0: 7e-7 of the larger of |y| and 0.1; no cancellation
// below 0. Phi is 0 from -9 down (1e-18). Like all that is x times a gate: NaN at -infinity.
HWY_INLINE VF Gelu(VF x) {
  // p(t) = log2 Phi(-t) on [0, 9], fitted to the error of the result.
  static constexpr float kC[] = {-0.9999990079f,    -1.151119758f,     -0.4591419521f,
                                 -0.05262568289f,   0.00717810304f,    -0.0001674308056f,
                                 -0.0002075020697f, 5.815501029e-05f,  -8.451502361e-06f,
                                 7.279873657e-07f,  -3.501970804e-08f, 7.253930827e-10f};
  // The limit is the first operand: x86 then gives back a NaN of the second.
  const VF p = Polynomial(hn::Min(Num(9.0f), hn::Abs(x)), kC);
  const VF n = hn::Round(p);
  // 2^f on [-1/2, 1/2].
  static constexpr float kPow2[] = {1.000000075f,   0.693147188f,    0.2402210749f,
                                    0.05550357114f, 0.009676031918f, 0.001339086337f};
  const VF tail = TimesPow2(Polynomial(hn::Sub(p, n), kPow2), n);
  const VF phi = hn::IfThenElse(hn::Lt(x, hn::Zero(DF())), tail, hn::Sub(Num(1.0f), tail));
  return hn::Mul(x, hn::IfThenZeroElse(hn::Le(x, Num(-9.0f)), phi));
}
// x/2 (1 + tanh u) = x sigmoid(2u) for u = sqrt(2/pi) (x + 0.044715 x^3).
HWY_INLINE VF GeluTanh(VF x) {
  const VF u2 =
      hn::Mul(hn::Mul(x, Num(1.59576912f)), hn::MulAdd(hn::Mul(x, x), Num(0.044715f), Num(1.0f)));
  return hn::Mul(x, Sigmoid(u2));
}

// max(x, 0) + log(1 + e^-|x|): 4 ulp.
HWY_INLINE VF Softplus(VF x) {
  const VF y = hn::Add(hn::Max(x, hn::Zero(DF())), Log1pUnit(Exp(hn::Neg(hn::Abs(x)))));
  return KeepNaN(x, y);
}
// x tanh(softplus(x)) = x n / (n + 2) for n = e^x (e^x + 2): 4 ulp.
HWY_INLINE VF Mish(VF x) {
  const VF e = Exp(hn::Min(x, Num(20.0f)));
  const VF n = hn::Mul(e, hn::Add(e, Num(2.0f)));
  return hn::Mul(x, hn::Div(n, hn::Add(n, Num(2.0f))));
}
HWY_INLINE VF Swish(VF x, VF alpha) { return hn::Mul(x, Sigmoid(hn::Mul(alpha, x))); }

// By e^(|x|/2), so that nothing overflows before the result does: 5 ulp.
HWY_INLINE VF Cosh(VF x) {
  const VF e = Exp(hn::Mul(hn::Abs(x), Num(0.5f)));
  const VF half = Num(0.5f);
  return hn::MulAdd(hn::Mul(half, e), e, hn::Div(half, hn::Mul(e, e)));
}
// By its series within [-1, 1]: 5 ulp.
HWY_INLINE VF Sinh(VF x) {
  static constexpr float kC[] = {1.0f, 1.0f / 6, 1.0f / 120, 1.0f / 5040, 1.0f / 362880};
  const VF t = hn::Abs(x);
  const VF e = Exp(hn::Mul(t, Num(0.5f)));
  const VF half = Num(0.5f);
  const VF far = hn::Sub(hn::Mul(hn::Mul(half, e), e), hn::Div(half, hn::Mul(e, e)));
  const VF near = hn::Mul(x, Polynomial(hn::Mul(x, x), kC));
  return KeepNaN(x, hn::IfThenElse(hn::Lt(t, Num(1.0f)), near, hn::CopySign(far, x)));
}

// Highway's, within their ranges: 4 ulp. NaN outside.
HWY_INLINE VF Asin(VF x) {
  const VF outside = hn::IfThenElse(hn::Gt(hn::Abs(x), Num(1.0f)), hn::NaN(DF()), x);
  return KeepNaN(outside, hn::Asin(DF(), x));
}
HWY_INLINE VF Acos(VF x) {
  const VF outside = hn::IfThenElse(hn::Gt(hn::Abs(x), Num(1.0f)), hn::NaN(DF()), x);
  return KeepNaN(outside, hn::Acos(DF(), x));
}
HWY_INLINE VF Atan(VF x) { return KeepNaN(x, hn::Atan(DF(), x)); }
HWY_INLINE VF Asinh(VF x) {
  const VF infinite = hn::IfThenElse(hn::Eq(hn::Abs(x), Infinity()), x, hn::Asinh(DF(), x));
  return KeepNaN(x, infinite);
}
HWY_INLINE VF Acosh(VF x) {
  const VF outside = hn::IfThenElse(hn::Lt(x, Num(1.0f)), hn::NaN(DF()), x);
  const VF y = hn::IfThenElse(hn::Eq(x, Infinity()), x, hn::Acosh(DF(), x));
  return KeepNaN(outside, y);
}
HWY_INLINE VF Atanh(VF x) {
  const VF t = hn::Abs(x);
  const VF outside = hn::IfThenElse(hn::Gt(t, Num(1.0f)), hn::NaN(DF()), x);
  const VF y =
      hn::IfThenElse(hn::Eq(t, Num(1.0f)), hn::CopySign(Infinity(), x), hn::Atanh(DF(), x));
  return KeepNaN(outside, y);
}

// 3 ulp for |x| <= 39000; the caller sees to the rest.
inline constexpr float kTrigonometricRange = 39000.0f;
HWY_INLINE VF Sin(VF x) { return hn::Sin(DF(), x); }
HWY_INLINE VF Cos(VF x) { return hn::Cos(DF(), x); }
// 7 ulp.
HWY_INLINE VF Tan(VF x) { return hn::Div(Sin(x), Cos(x)); }

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SLUICE_KERNELS_CPU_TILE_MATH_INL_H_
