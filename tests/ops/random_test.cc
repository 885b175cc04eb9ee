// Distributions, at a fixed seed: moments, and the test of Kolmogorov and Smirnov against the exact
// distribution functions.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ops/op.h"
#include "runtime/session.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Tensor> Draw(absl::string_view op, const std::vector<Tensor>& inputs,
                            const AttrList& attrs, uint64_t run = 0) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  std::vector<Value*> values;
  Feeds feeds;
  for (const Tensor& t : inputs) {
    feeds.push_back({absl::StrCat("x", feeds.size()), t});
    values.push_back(b.Input(feeds.back().first, Type::Of(t)));
  }
  b.Output(b.Op(op, values, attrs), "y");
  if (!b.status().ok()) return b.status();
  auto session = Session::Create(graph, {.threads = 2, .seed = 2026});
  if (!session.ok()) return session.status();
  absl::StatusOr<std::vector<Tensor>> y = (*session)->Run(feeds, {}, {.run = run});
  return y.ok() ? absl::StatusOr<Tensor>((*y)[0]) : y.status();
}

std::vector<double> Numbers(const absl::StatusOr<Tensor>& t) {
  EXPECT_TRUE(t.ok()) << t.status();
  std::vector<double> numbers;
  if (!t.ok()) return numbers;
  VisitDType(
      t->dtype(),
      [&]<typename T>() {
        for (int64_t i = 0; i < t->elements(); ++i)
          numbers.push_back(static_cast<double>(t->data<T>()[i]));
      },
      [] {});
  return numbers;
}

// Mean of x^power, each less `center`.
double Moment(const std::vector<double>& x, int power, double center = 0) {
  double sum = 0;
  for (double v : x) sum += std::pow(v - center, power);
  return sum / static_cast<double>(x.size());
}

// The largest distance to the distribution function, times the root of the count: above 1.63 for
// one sample in a hundred.
template <typename F>
double KolmogorovSmirnov(std::vector<double> x, F cumulative) {
  std::sort(x.begin(), x.end());
  const double n = static_cast<double>(x.size());
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double p = cumulative(x[i]);
    largest = std::max({largest, std::abs(p - static_cast<double>(i) / n),
                        std::abs(static_cast<double>(i + 1) / n - p)});
  }
  return largest * std::sqrt(n);
}

double Phi(double x) { return 0.5 * std::erfc(-x / std::sqrt(2)); }

constexpr int64_t kCount = 1 << 18;
const double kRoot = std::sqrt(static_cast<double>(kCount));
const std::vector<int64_t> kShape = {512, 512};

TEST(RandomUniform, IsEvenlySpread) {
  for (DType dtype : {DType::kF32, DType::kF64}) {
    const std::vector<double> x =
        Numbers(Draw("RandomUniform", {}, {{"shape", kShape}, {"dtype", dtype}}));
    ASSERT_EQ(x.size(), static_cast<size_t>(kCount));
    EXPECT_NEAR(Moment(x, 1), 0.5, 4 * std::sqrt(1.0 / 12) / kRoot);
    EXPECT_NEAR(Moment(x, 2, 0.5), 1.0 / 12, 4 * std::sqrt(1.0 / 180) / kRoot);
    EXPECT_LT(KolmogorovSmirnov(x, [](double v) { return v; }), 1.63);
    const double bits = dtype == DType::kF32 ? 0x1p24 : 0x1p53;
    for (double v : x) {
      ASSERT_TRUE(v >= 0 && v < 1) << v;
      ASSERT_EQ(v * bits, std::floor(v * bits));
    }
  }
}

TEST(RandomUniform, StaysBelowHighInEveryDType) {
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    for (const auto& [low, high] : std::vector<std::pair<float, float>>{
             {0, 1}, {1, 2}, {-3, -1}, {-1, 0}, {1000, 1001}, {5, 5}, {0, 0.3f}}) {
      SCOPED_TRACE(absl::StrCat(ToString(dtype), " [", low, ", ", high, ")"));
      const std::vector<double> x =
          Numbers(Draw("RandomUniform", {},
                       {{"shape", kShape}, {"dtype", dtype}, {"low", low}, {"high", high}}));
      const auto [least, most] = std::minmax_element(x.begin(), x.end());
      EXPECT_GE(*least, static_cast<double>(low));
      if (low == high) {
        EXPECT_EQ(*most, static_cast<double>(high));
      } else {
        EXPECT_LT(*most, static_cast<double>(high));
      }
      EXPECT_NEAR(Moment(x, 1), (low + high) / 2.0, 0.01 * (high - low) + std::abs(high) * 0x1p-8);
    }
  }
}

TEST(RandomUniform, ARangeThatIsNoneIsAnError) {
  EXPECT_THAT(Draw("RandomUniform", {}, {{"shape", kShape}, {"low", 2.0f}}).status().message(),
              HasSubstr("expected low <= high"));
  EXPECT_THAT(
      Draw("RandomUniform", {}, {{"shape", kShape}, {"dtype", DType::kI32}}).status().message(),
      HasSubstr("dtype is i32; expected one of"));
}

TEST(RandomNormal, HasItsDistribution) {
  for (DType dtype : {DType::kF32, DType::kF64}) {
    const std::vector<double> x =
        Numbers(Draw("RandomNormal", {}, {{"shape", kShape}, {"dtype", dtype}}));
    ASSERT_EQ(x.size(), static_cast<size_t>(kCount));
    EXPECT_NEAR(Moment(x, 1), 0, 4 / kRoot);
    EXPECT_NEAR(Moment(x, 2), 1, 4 * std::sqrt(2) / kRoot);
    EXPECT_NEAR(Moment(x, 3), 0, 4 * std::sqrt(15) / kRoot);
    EXPECT_NEAR(Moment(x, 4), 3, 4 * std::sqrt(96) / kRoot);
    EXPECT_LT(KolmogorovSmirnov(x, Phi), 1.63);
  }
}

TEST(RandomNormalLike, HasMeanAndScale) {
  const Tensor like = *Tensor::Random(DType::kI32, kShape, {.seed = 1});
  for (DType dtype : {DType::kF16, DType::kF32}) {
    const std::vector<double> x = Numbers(
        Draw("RandomNormalLike", {like}, {{"mean", 5.0f}, {"scale", 2.0f}, {"dtype", dtype}}));
    EXPECT_NEAR(Moment(x, 1), 5, 8 / kRoot);
    EXPECT_NEAR(Moment(x, 2, 5), 4, 4 * 4 * std::sqrt(2) / kRoot);
  }
}

double Correlation(const std::vector<double>& a, const std::vector<double>& b, size_t lag = 0) {
  double sum = 0;
  for (size_t i = 0; i + lag < a.size(); ++i) sum += a[i] * b[i + lag];
  return sum / static_cast<double>(a.size() - lag);
}

TEST(RandomNormal, NeighboursAndRunsHaveNothingInCommon) {
  const std::vector<double> x = Numbers(Draw("RandomNormal", {}, {{"shape", kShape}}));
  const std::vector<double> next = Numbers(Draw("RandomNormal", {}, {{"shape", kShape}}, 1));
  EXPECT_LT(std::abs(Correlation(x, next)), 4 / kRoot);
  for (size_t lag : {1, 2, 3, 4, 512}) EXPECT_LT(std::abs(Correlation(x, x, lag)), 4 / kRoot);
}

TEST(Bernoulli, HitsAsOftenAsAsked) {
  constexpr int64_t kEach = 1 << 16;
  const std::vector<double> chances = {0, 1, 0.5, 0.1, 0.999};
  for (DType from : {DType::kF32, DType::kF64, DType::kF16}) {
    for (DType to : {DType::kBool, DType::kI32, from}) {
      Tensor p = *Tensor::Allocate(from, {static_cast<int64_t>(chances.size()), kEach});
      VisitDType(
          from,
          [&]<typename T>() {
            for (int64_t i = 0; i < p.elements(); ++i) {
              p.mutable_data<T>()[i] =
                  static_cast<T>(static_cast<float>(chances[static_cast<size_t>(i / kEach)]));
            }
          },
          [] {});
      absl::StatusOr<Tensor> y = Draw("Bernoulli", {p}, {{"dtype", to}});
      ASSERT_TRUE(y.ok()) << y.status();
      EXPECT_EQ(y->dtype(), to);
      const std::vector<double> hits = Numbers(y);
      for (size_t k = 0; k < chances.size(); ++k) {
        double sum = 0;
        for (size_t i = 0; i < kEach; ++i) sum += hits[k * kEach + i];
        const double chance = chances[k], sigma = std::sqrt(chance * (1 - chance) * kEach);
        EXPECT_NEAR(sum, chance * kEach, 4 * sigma + (from == DType::kF16 ? 60 : 0)) << chance;
      }
    }
  }
}

TEST(Multinomial, DrawsClassesByTheirWeights) {
  constexpr int64_t kSamples = 100000;
  const Tensor logits = MakeTensor<float>(
      {2, 4}, {std::log(1.0f), std::log(2.0f), -INFINITY, std::log(5.0f),  // 1/8 1/4 0 5/8
               1000, -INFINITY, 1000, -1000});
  absl::StatusOr<Tensor> y =
      Draw("Multinomial", {logits}, {{"sample_size", kSamples}, {"dtype", DType::kI64}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ(y->TypeString(), absl::StrCat("i64[2,", kSamples, "]"));
  const double expected[2][4] = {{0.125, 0.25, 0, 0.625}, {0.5, 0, 0.5, 0}};
  for (int64_t row = 0; row < 2; ++row) {
    int64_t counts[4] = {};
    for (int64_t i = 0; i < kSamples; ++i) {
      const int64_t drawn = y->data<int64_t>()[row * kSamples + i];
      ASSERT_TRUE(drawn >= 0 && drawn < 4) << drawn;
      ++counts[drawn];
    }
    for (int k = 0; k < 4; ++k) {
      const double p = expected[row][k];
      EXPECT_NEAR(static_cast<double>(counts[k]), p * kSamples,
                  4 * std::sqrt(p * (1 - p) * kSamples));
    }
  }
  EXPECT_EQ(Draw("Multinomial", {logits}, {})->TypeString(), "i32[2,1]");
}

}  // namespace
}  // namespace sluice
