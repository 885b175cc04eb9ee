// The f32 functions against double precision over their whole range, in units of the last place.
#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile/function.h"

namespace sluice::cpu {
namespace {

struct Function {
  const char* name;
  TileStep op;
  double (*exact)(double);
  double low, high;
  double max_ulp;
  double a = 0, b = 0;
};

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double Softplus(double x) { return x > 30 ? x + std::exp(-x) : std::log1p(std::exp(x)); }
double Gelu(double x) { return x * (0.5 * std::erfc(-x / std::numbers::sqrt2)); }
double GeluTanh(double x) {
  const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return x * Sigmoid(2 * u);
}
double Mish(double x) { return x * std::tanh(Softplus(x)); }
double Swish(double x) { return x * Sigmoid(2 * x); }

const Function kFunctions[] = {
    {"exp", TileStep::kExp, std::exp, -87, 88.7, 2},
    {"log", TileStep::kLog, std::log, 0, 3e38, 4},
    {"sin", TileStep::kSin, std::sin, -30000, 30000, 4},
    {"sin, far", TileStep::kSin, std::sin, -1e30, 1e30, 2},
    {"cos", TileStep::kCos, std::cos, -30000, 30000, 4},
    {"tan", TileStep::kTan, std::tan, -30000, 30000, 8},
    {"asin", TileStep::kAsin, std::asin, -1, 1, 5},
    {"acos", TileStep::kAcos, std::acos, -1, 1, 5},
    {"atan", TileStep::kAtan, std::atan, -1e6, 1e6, 4},
    {"sinh", TileStep::kSinh, std::sinh, -89, 89, 6},
    {"cosh", TileStep::kCosh, std::cosh, -89, 89, 6},
    {"tanh", TileStep::kTanh, std::tanh, -20, 20, 4},
    {"asinh", TileStep::kAsinh, std::asinh, -1e10, 1e10, 5},
    {"acosh", TileStep::kAcosh, std::acosh, 1, 1e10, 5},
    {"atanh", TileStep::kAtanh, std::atanh, -1, 1, 5},
    {"erf", TileStep::kErf, std::erf, -6, 6, 5},
    {"sigmoid", TileStep::kSigmoid, Sigmoid, -80, 80, 4},
    {"softplus", TileStep::kSoftplus, Softplus, -80, 80, 5},
    {"mish", TileStep::kMish, Mish, -40, 80, 6},
    {"swish", TileStep::kSwish, Swish, -40, 80, 6, 2},
    {"elu", TileStep::kElu, +[](double x) { return x < 0 ? 1.5 * std::expm1(x) : x; }, -90, 90, 4,
     1.5},
    {"selu", TileStep::kSelu, +[](double x) { return 0.75 * (x < 0 ? 1.5 * std::expm1(x) : x); },
     -90, 90, 5, 1.5, 0.75},
    {"celu", TileStep::kCelu, +[](double x) { return x < 0 ? 0.5 * std::expm1(x / 0.5) : x; }, -40,
     40, 5, 0.5},
};

std::vector<float> Samples(double low, double high) {
  std::vector<float> x;
  constexpr int kCount = 100000;
  for (int i = 0; i <= kCount; ++i) {
    x.push_back(static_cast<float>(low + (high - low) * i / kCount));
  }
  for (double magnitude = 1e-37; magnitude < 1e38; magnitude *= 1.003) {
    for (double sign : {-1.0, 1.0}) {
      if (sign * magnitude >= low && sign * magnitude <= high) {
        x.push_back(static_cast<float>(sign * magnitude));
      }
    }
  }
  return x;
}

// |y - exact| in units of the last place of f32 at the exact value.
double UlpError(float y, double exact) {
  if (std::isnan(exact)) return std::isnan(y) ? 0 : INFINITY;
  if (std::abs(exact) > std::numeric_limits<float>::max()) {
    const float largest = std::numeric_limits<float>::max();
    return y == std::copysign(INFINITY, exact) || std::abs(y) == largest ? 0 : INFINITY;
  }
  const int exponent = std::max(std::ilogb(exact), -126);
  return std::abs(y - exact) / std::ldexp(1.0, exponent - 23);
}

std::vector<float> Apply(TileStep op, const std::vector<float>& x, TileParams params) {
  std::vector<float> y(x.size());
  const void* in[] = {x.data()};
  FindTileFunction(op, DType::kF32)->fn(in, y.data(), x.size(), params);
  return y;
}

TEST(ElementwiseMath, StaysWithinItsErrorOverTheWholeRange) {
  printf("instruction set %s\n", ChooseIsa());
  for (const Function& f : kFunctions) {
    const std::vector<float> x = Samples(f.low, f.high);
    const std::vector<float> y = Apply(f.op, x, {f.a, f.b});
    double worst = 0, at = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double error = UlpError(y[i], f.exact(x[i]));
      if (!(error <= worst)) worst = error, at = x[i];
    }
    printf("%-10s %6.2f ulp at %g\n", f.name, worst, at);
    EXPECT_LE(worst, f.max_ulp) << f.name << " at " << at;
  }
}

TEST(ElementwiseMath, GeluIsExactToSmallAbsoluteErrors) {
  using Exact = double (*)(double);
  for (const auto& [op, exact] :
       {std::pair<TileStep, Exact>(TileStep::kGelu, Gelu), {TileStep::kGeluTanh, GeluTanh}}) {
    const std::vector<float> x = Samples(-30, 30);
    const std::vector<float> y = Apply(op, x, {});
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double e = exact(x[i]);
      worst = std::max(worst, std::abs(y[i] - e) / std::max(std::abs(e), 0.1));
    }
    printf("gelu %d: %.2g\n", static_cast<int>(op), worst);
    EXPECT_LE(worst, 7e-7);
  }
}

TEST(ElementwiseMath, SpecialValuesAreThoseOfTheFunctions) {
  const float inf = INFINITY, nan = NAN;
  const std::vector<float> x = {0.0f, -0.0f, inf,   -inf,   nan,    1e-45f,  -1e-45f, 1.5f, -1.5f,
                                1.0f, -1.0f, 3e38f, -3e38f, 100.0f, -200.0f, 90.0f,   1e5f};
  for (const Function& f : kFunctions) {
    const std::vector<float> y = Apply(f.op, x, {f.a, f.b});
    for (size_t i = 0; i < x.size(); ++i) {
      const double e = f.exact(x[i]);
      if (f.op == TileStep::kSoftplus && std::isinf(x[i])) continue;
      EXPECT_EQ(std::isnan(y[i]), std::isnan(e)) << f.name << "(" << x[i] << ") = " << y[i];
      if (std::isnan(e)) continue;
      const double limit = std::abs(e) > std::numeric_limits<float>::max() ? INFINITY : e;
      if (std::isinf(limit)) {
        EXPECT_EQ(y[i], static_cast<float>(std::copysign(inf, e))) << f.name << "(" << x[i] << ")";
      } else {
        EXPECT_NEAR(y[i], e, 1e-6 * std::abs(e) + 1e-38) << f.name << "(" << x[i] << ")";
      }
      if (x[i] == 0 && e == 0)
        EXPECT_EQ(std::signbit(y[i]), std::signbit(e)) << f.name << "(" << x[i] << ")";
    }
  }
}

// x times a gate that is 0 there is NaN at -infinity alone.
TEST(ElementwiseMath, ActivationsReachTheirLimits) {
  for (TileStep op : {TileStep::kGelu, TileStep::kGeluTanh, TileStep::kMish, TileStep::kSwish}) {
    const std::vector<float> y = Apply(op, {-INFINITY, INFINITY, NAN, -1e30f, 1e30f}, {.a = 1});
    EXPECT_TRUE(std::isnan(y[0]));
    EXPECT_EQ(y[1], INFINITY);
    EXPECT_TRUE(std::isnan(y[2]));
    EXPECT_EQ(y[3], 0.0f);
    EXPECT_EQ(y[4], 1e30f);
  }
}

TEST(ElementwiseMath, PowMatchesLibmForEverySignAndScalarExponents) {
  const TileFunction* pow = FindTileFunction(TileStep::kPow, DType::kF32);
  std::vector<float> bases, exponents;
  for (double b : {0.0, 0.5, 1.0, 2.0, 3.7, 1e-3, 1e10, -2.0, -0.0, 1e-40, double{INFINITY}}) {
    for (double e : {-3.0, -0.5, 0.0, 0.3, 1.0, 2.0, 7.0, 31.5, double{INFINITY}, double{NAN}}) {
      bases.push_back(static_cast<float>(b));
      exponents.push_back(static_cast<float>(e));
    }
  }
  for (int i = 1; i < 2000; ++i) {  // long runs of plain values take the vector path
    bases.push_back(0.01f * static_cast<float>(i));
    exponents.push_back(0.02f * static_cast<float>(i % 500) - 5);
  }
  std::vector<float> y(bases.size());
  const void* in[] = {bases.data(), exponents.data()};
  pow->fn(in, y.data(), y.size(), {});
  for (size_t i = 0; i < y.size(); ++i) {
    const double e = std::pow(double{bases[i]}, double{exponents[i]});
    EXPECT_LE(UlpError(y[i], e), 1) << bases[i] << "^" << exponents[i] << " = " << y[i];
  }
  const float exponent = 2.5f;
  const void* scalar[] = {bases.data(), &exponent};
  pow->scalar1(scalar, y.data(), y.size(), {});
  for (size_t i = 0; i < y.size(); ++i) {
    EXPECT_LE(UlpError(y[i], std::pow(double{bases[i]}, 2.5)), 1);
  }
}

}  // namespace
}  // namespace sluice::cpu
