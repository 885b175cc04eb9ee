// The transcendental functions in f64, by libm: within 1 to 2 ulp.
#include <numbers>

#include "kernels/cpu/simd.h"
// simd.h stands first: it sets the targets.
#include "hwy/highway.h"
#include "kernels/cpu/tile/loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {
namespace {

#define SLUICE_F64_FUNCTION(Name, expression)                                          \
  struct Name##D {                                                                     \
    static double Of(double x, [[maybe_unused]] double a, [[maybe_unused]] double b) { \
      return expression;                                                               \
    }                                                                                  \
  };

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double Softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

SLUICE_F64_FUNCTION(Exp, std::exp(x))
SLUICE_F64_FUNCTION(Log, std::log(x))
SLUICE_F64_FUNCTION(Sin, std::sin(x))
SLUICE_F64_FUNCTION(Cos, std::cos(x))
SLUICE_F64_FUNCTION(Tan, std::tan(x))
SLUICE_F64_FUNCTION(Asin, std::asin(x))
SLUICE_F64_FUNCTION(Acos, std::acos(x))
SLUICE_F64_FUNCTION(Atan, std::atan(x))
SLUICE_F64_FUNCTION(Sinh, std::sinh(x))
SLUICE_F64_FUNCTION(Cosh, std::cosh(x))
SLUICE_F64_FUNCTION(Tanh, std::tanh(x))
SLUICE_F64_FUNCTION(Asinh, std::asinh(x))
SLUICE_F64_FUNCTION(Acosh, std::acosh(x))
SLUICE_F64_FUNCTION(Atanh, std::atanh(x))
SLUICE_F64_FUNCTION(Erf, std::erf(x))
SLUICE_F64_FUNCTION(Sigmoid, Sigmoid(x))
SLUICE_F64_FUNCTION(Softplus, Softplus(x))
SLUICE_F64_FUNCTION(Elu, x < 0 ? a * std::expm1(x) : x)
SLUICE_F64_FUNCTION(Selu, b*(x < 0 ? a * std::expm1(x) : x))
SLUICE_F64_FUNCTION(Celu, std::max(x, 0.0) + std::min(a * std::expm1(x / a), 0.0))
SLUICE_F64_FUNCTION(Gelu, x * 0.5 * std::erfc(-x / std::numbers::sqrt2))
SLUICE_F64_FUNCTION(GeluTanh, x* Sigmoid(2 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi *
                                         (x + 0.044715 * x * x * x)))
SLUICE_F64_FUNCTION(Mish, x* std::tanh(Softplus(x)))
SLUICE_F64_FUNCTION(Swish, x* Sigmoid(a* x))
#undef SLUICE_F64_FUNCTION

template <typename F>
void Add(TileFunctionTable& t, TileStep op) {
  AddParameter<F, double>(t, op, 20);
}

}  // namespace

void AddF64(TileFunctionTable& t) {
  Add<ExpD>(t, TileStep::kExp);
  Add<LogD>(t, TileStep::kLog);
  Add<SinD>(t, TileStep::kSin);
  Add<CosD>(t, TileStep::kCos);
  Add<TanD>(t, TileStep::kTan);
  Add<AsinD>(t, TileStep::kAsin);
  Add<AcosD>(t, TileStep::kAcos);
  Add<AtanD>(t, TileStep::kAtan);
  Add<SinhD>(t, TileStep::kSinh);
  Add<CoshD>(t, TileStep::kCosh);
  Add<TanhD>(t, TileStep::kTanh);
  Add<AsinhD>(t, TileStep::kAsinh);
  Add<AcoshD>(t, TileStep::kAcosh);
  Add<AtanhD>(t, TileStep::kAtanh);
  Add<ErfD>(t, TileStep::kErf);
  Add<SigmoidD>(t, TileStep::kSigmoid);
  Add<SoftplusD>(t, TileStep::kSoftplus);
  Add<EluD>(t, TileStep::kElu);
  Add<SeluD>(t, TileStep::kSelu);
  Add<CeluD>(t, TileStep::kCelu);
  Add<GeluD>(t, TileStep::kGelu);
  Add<GeluTanhD>(t, TileStep::kGeluTanh);
  Add<MishD>(t, TileStep::kMish);
  Add<SwishD>(t, TileStep::kSwish);
  AddBinary<PowF, double>(t, TileStep::kPow, 40);
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

namespace sluice::cpu {
void AddGenericFloatSteps(TileFunctionTable& table) { HWY_STATIC_DISPATCH(AddF64)(table); }
}  // namespace sluice::cpu
