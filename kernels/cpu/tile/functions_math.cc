// The transcendental functions in f32, for each SIMD target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/tile/functions_math.cc"
#include "kernels/cpu/simd.h"
// simd.h stands first: it sets the targets.
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/tile/loops-inl.h"
#include "kernels/cpu/tile/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {

// A vector function F::Of(x, a, b) over whole vectors; the last, partial one by way of a buffer.
template <typename F>
void VectorLoop(const void* const* in, void* out, size_t n, const TileParams& params) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const float* x = static_cast<const float*>(in[0]);
  float* y = static_cast<float*>(out);
  const VF a = hn::Set(d, static_cast<float>(params.a));
  const VF b = hn::Set(d, static_cast<float>(params.b));
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(F::Of(hn::LoadU(d, x + i), a, b), d, y + i);
  if (i == n) return;
  HWY_ALIGN float rest[hn::MaxLanes(DF())] = {};
  std::memcpy(rest, x + i, (n - i) * sizeof(float));
  hn::Store(F::Of(hn::Load(d, rest), a, b), d, rest);
  std::memcpy(y + i, rest, (n - i) * sizeof(float));
}

#define SLUICE_VECTOR_FUNCTION(Name, expression)                                  \
  struct Name##V {                                                                \
    static HWY_INLINE VF Of(VF x, [[maybe_unused]] VF a, [[maybe_unused]] VF b) { \
      return expression;                                                          \
    }                                                                             \
  };

HWY_INLINE VF SelectBelowZero(VF x, VF below, VF above) {
  return hn::IfThenElse(hn::Lt(x, hn::Zero(DF())), below, above);
}

SLUICE_VECTOR_FUNCTION(Exp, Exp(x))
SLUICE_VECTOR_FUNCTION(Log, Log(x))
SLUICE_VECTOR_FUNCTION(Asin, Asin(x))
SLUICE_VECTOR_FUNCTION(Acos, Acos(x))
SLUICE_VECTOR_FUNCTION(Atan, Atan(x))
SLUICE_VECTOR_FUNCTION(Sinh, Sinh(x))
SLUICE_VECTOR_FUNCTION(Cosh, Cosh(x))
SLUICE_VECTOR_FUNCTION(Tanh, Tanh(x))
SLUICE_VECTOR_FUNCTION(Asinh, Asinh(x))
SLUICE_VECTOR_FUNCTION(Acosh, Acosh(x))
SLUICE_VECTOR_FUNCTION(Atanh, Atanh(x))
SLUICE_VECTOR_FUNCTION(Erf, Erf(x))
SLUICE_VECTOR_FUNCTION(Sigmoid, Sigmoid(x))
SLUICE_VECTOR_FUNCTION(Softplus, Softplus(x))
SLUICE_VECTOR_FUNCTION(Gelu, Gelu(x))
SLUICE_VECTOR_FUNCTION(GeluTanh, GeluTanh(x))
SLUICE_VECTOR_FUNCTION(Mish, Mish(x))
SLUICE_VECTOR_FUNCTION(Swish, Swish(x, a))
SLUICE_VECTOR_FUNCTION(Elu, SelectBelowZero(x, hn::Mul(a, Expm1(x)), x))
SLUICE_VECTOR_FUNCTION(Selu, hn::Mul(b, SelectBelowZero(x, hn::Mul(a, Expm1(x)), x)))
SLUICE_VECTOR_FUNCTION(Celu, SelectBelowZero(x, hn::Mul(a, Expm1(hn::Div(x, a))), x))
#undef SLUICE_VECTOR_FUNCTION

// Sin, Cos, Tan: vectors with a lane beyond the range of the reduction go to libm, lane by lane.
template <VF (*kFunction)(VF), float (*kExact)(float)>
void TrigonometricLoop(const void* const* in, void* out, size_t n, const TileParams&) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const float* x = static_cast<const float*>(in[0]);
  float* y = static_cast<float*>(out);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF v = hn::LoadU(d, x + i);
    if (HWY_LIKELY(hn::AllTrue(d, hn::Lt(hn::Abs(v), Num(kTrigonometricRange))))) {
      hn::StoreU(kFunction(v), d, y + i);
    } else {
      for (size_t k = i; k < i + lanes; ++k) y[k] = kExact(x[k]);
    }
  }
  for (; i < n; ++i) y[i] = kExact(x[i]);
}
VF SinV(VF x) { return Sin(x); }
VF CosV(VF x) { return Cos(x); }
VF TanV(VF x) { return Tan(x); }
float SinExact(float x) { return std::sin(x); }
float CosExact(float x) { return std::cos(x); }
float TanExact(float x) { return std::tan(x); }

// x^y as e^(y log x) in f64, 1 ulp, where all bases are positive and finite; else by libm.
template <bool kScalarExponent>
void PowLoop(const void* const* in, void* out, size_t n, const TileParams&) {
  using DD = hn::ScalableTag<double>;
  const DD d;
  const hn::Rebind<float, DD> df;
  const size_t lanes = hn::Lanes(d);
  const float* x = static_cast<const float*>(in[0]);
  const float* e = static_cast<const float*>(in[1]);
  float* y = static_cast<float*>(out);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto base = hn::LoadU(df, x + i);
    const auto exponent = kScalarExponent ? hn::Set(df, *e) : hn::LoadU(df, e + i);
    const auto limit = hn::Set(df, std::numeric_limits<float>::max());
    const auto plain = hn::And(hn::And(hn::Gt(base, hn::Zero(df)), hn::Le(base, limit)),
                               hn::Le(hn::Abs(exponent), hn::Set(df, 1e30f)));
    if (HWY_LIKELY(hn::AllTrue(df, plain))) {
      const auto log = hn::Log(d, hn::PromoteTo(d, base));
      const auto power = hn::Mul(hn::PromoteTo(d, exponent), log);
      const auto bounded = hn::Min(hn::Max(power, hn::Set(d, -110.0)), hn::Set(d, 100.0));
      hn::StoreU(hn::DemoteTo(df, hn::Exp(d, bounded)), df, y + i);
    } else {
      for (size_t k = i; k < i + lanes; ++k) y[k] = std::pow(x[k], e[kScalarExponent ? 0 : k]);
    }
  }
  for (; i < n; ++i) y[i] = std::pow(x[i], e[kScalarExponent ? 0 : i]);
}

void AddMath(TileFunctionTable& t) {
  const auto add = [&t](TileStep op, TileFn fn, int cost) {
    t.Set(op, DType::kF32, {.fn = fn, .cost = cost});
  };
  add(TileStep::kExp, VectorLoop<ExpV>, 6);
  add(TileStep::kLog, VectorLoop<LogV>, 8);
  add(TileStep::kAsin, VectorLoop<AsinV>, 10);
  add(TileStep::kAcos, VectorLoop<AcosV>, 10);
  add(TileStep::kAtan, VectorLoop<AtanV>, 10);
  add(TileStep::kSinh, VectorLoop<SinhV>, 10);
  add(TileStep::kCosh, VectorLoop<CoshV>, 10);
  add(TileStep::kTanh, VectorLoop<TanhV>, 10);
  add(TileStep::kAsinh, VectorLoop<AsinhV>, 15);
  add(TileStep::kAcosh, VectorLoop<AcoshV>, 15);
  add(TileStep::kAtanh, VectorLoop<AtanhV>, 15);
  add(TileStep::kErf, VectorLoop<ErfV>, 12);
  add(TileStep::kSigmoid, VectorLoop<SigmoidV>, 9);
  add(TileStep::kSoftplus, VectorLoop<SoftplusV>, 16);
  add(TileStep::kGelu, VectorLoop<GeluV>, 14);
  add(TileStep::kGeluTanh, VectorLoop<GeluTanhV>, 10);
  add(TileStep::kMish, VectorLoop<MishV>, 10);
  add(TileStep::kSwish, VectorLoop<SwishV>, 10);
  add(TileStep::kElu, VectorLoop<EluV>, 8);
  add(TileStep::kSelu, VectorLoop<SeluV>, 8);
  add(TileStep::kCelu, VectorLoop<CeluV>, 10);
  add(TileStep::kSin, TrigonometricLoop<SinV, SinExact>, 8);
  add(TileStep::kCos, TrigonometricLoop<CosV, CosExact>, 8);
  add(TileStep::kTan, TrigonometricLoop<TanV, TanExact>, 16);
  t.Set(TileStep::kPow, DType::kF32, {.fn = PowLoop<false>, .scalar1 = PowLoop<true>, .cost = 30});
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {
HWY_EXPORT(AddMath);
void AddMathSteps(TileFunctionTable& table) { HWY_DYNAMIC_DISPATCH(AddMath)(table); }
}  // namespace sluice::cpu
#endif  // HWY_ONCE
