#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/ops/normalization_reference.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

TEST(LpNormalization, BothNormsOnEveryAxis) {
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    const Tensor x = *Tensor::Random(d, {3, 4, 5}, {.seed = 1});
    for (int axis : {0, 1, -1}) {
      const int64_t inner = axis == 0 ? 20 : axis == 1 ? 5 : 1, n = axis == -1 ? 5 : 3 + axis;
      for (int p : {1, 2}) {
        auto y = RunOp("LpNormalization", {x}, {{"axis", axis}, {"p", p}});
        ASSERT_TRUE(y.ok()) << y.status();
        ExpectElements((*y)[0], [&](int64_t i) {
          const int64_t start = i / (n * inner) * n * inner + i % inner;
          double norm = 0;
          for (int64_t r = 0; r < n; ++r) {
            const double v = At(x, start + r * inner);
            norm += p == 1 ? std::abs(v) : v * v;
          }
          return At(x, i) / (p == 1 ? norm : std::sqrt(norm));
        });
      }
    }
  }
}

TEST(LpNormalization, AZeroNormGivesZeros) {
  const Tensor x = MakeTensor<float>({2, 2}, {0, 0, 3, 4});
  EXPECT_EQ((*RunOp("LpNormalization", {x}))[0], MakeTensor<float>({2, 2}, {0, 0, 0.6f, 0.8f}));
  EXPECT_THAT(RunOp("LpNormalization", {x}, {{"p", 3}}).status().message(), HasSubstr("p is 3"));
}

TEST(MeanVarianceNormalization, OverItsAxes) {
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    const Tensor x = *Tensor::Random(d, {3, 4, 5, 6}, {.seed = 1});
    auto y = RunOp("MeanVarianceNormalization", {x});
    ASSERT_TRUE(y.ok()) << y.status();
    const auto s = GroupStatistics(x, 4, [](int64_t i) { return i / 30 % 4; });
    ExpectElements((*y)[0], [&](int64_t i) {
      const Statistics& c = s[i / 30 % 4];
      return (At(x, i) - c.mean()) / (std::sqrt(c.variance()) + 1e-9);
    });
  }
  EXPECT_THAT(
      RunOp("MeanVarianceNormalization", {MakeTensor<float>({2}, {1, 2})}).status().message(),
      HasSubstr("out of range"));
}

}  // namespace
}  // namespace sluice
