#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/ops/normalization_reference.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr DType kFloats[] = {DType::kF64, DType::kF32, DType::kF16, DType::kBF16};

Tensor Values(DType d, const std::vector<int64_t>& dims, uint64_t seed, double offset = 0.5) {
  return *Tensor::Random(d, dims, {.seed = seed, .scale = 2, .offset = offset});
}

TEST(LayerNormalization, EveryAxisAndDTypeWithItsThreeOutputs) {
  for (DType d : kFloats) {
    for (int axis = -3; axis < 3; ++axis) {
      const std::vector<int64_t> dims = {3, 4, 37};
      const int first = axis < 0 ? axis + 3 : axis;
      const std::vector<int64_t> row(dims.begin() + first, dims.end());
      const Tensor x = Values(d, dims, 1), scale = Values(d, row, 2), bias = Values(d, row, 3);
      auto y =
          RunOp("LayerNormalization", {x, scale, bias}, {{"axis", axis}, {"epsilon", 1e-3f}}, 3, 2);
      ASSERT_TRUE(y.ok()) << y.status();
      const int64_t n = scale.elements();
      const auto s = GroupStatistics(x, x.elements() / n, [&](int64_t i) { return i / n; });
      const auto inverse = [&](int64_t r) {
        return 1 / std::sqrt(s[r].variance() + static_cast<double>(1e-3f));
      };
      ExpectElements((*y)[0], [&](int64_t i) {
        return (At(x, i) - s[i / n].mean()) * inverse(i / n) * At(scale, i % n) + At(bias, i % n);
      });
      EXPECT_EQ((*y)[1].dtype(), DType::kF32);
      ExpectElements((*y)[1], [&](int64_t r) { return s[r].mean(); });
      ExpectElements((*y)[2], inverse);
    }
  }
}

TEST(LayerNormalization, ParametersMayBroadcast) {
  const Tensor x = Values(DType::kF32, {2, 3, 5}, 1);
  const Tensor scale = Values(DType::kF32, {3, 1}, 2), bias = Values(DType::kF32, {}, 3);
  auto y = RunOp("LayerNormalization", {x, scale, bias}, {{"axis", 1}});
  ASSERT_TRUE(y.ok()) << y.status();
  const auto s = GroupStatistics(x, 2, [](int64_t i) { return i / 15; });
  ExpectElements((*y)[0], [&](int64_t i) {
    return (At(x, i) - s[i / 15].mean()) / std::sqrt(s[i / 15].variance() + 1e-5) *
               At(scale, i / 5 % 3) +
           At(bias, 0);
  });
}

TEST(LayerNormalization, RowsLongerThanATileAndALargeOffset) {
  // A one-pass variance would cancel here.
  const Tensor x = *Tensor::Random(DType::kF32, {3, 20011}, {.seed = 1, .scale = 1, .offset = 500});
  const Tensor scale = Values(DType::kF32, {20011}, 2);
  auto y = RunOp("LayerNormalization", {x, scale}, {}, 1, 2);
  ASSERT_TRUE(y.ok()) << y.status();
  for (int64_t r = 0; r < 3; ++r) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < 20011; ++i) mean += At(x, r * 20011 + i) / 20011;
    for (int64_t i = 0; i < 20011; ++i) {
      const double d = At(x, r * 20011 + i) - mean;
      variance += d * d / 20011;
    }
    for (int64_t i = 0; i < 20011; ++i) {
      ASSERT_NEAR(At((*y)[0], r * 20011 + i),
                  (At(x, r * 20011 + i) - mean) / std::sqrt(variance + 1e-5) * At(scale, i), 1e-3);
    }
  }
}

TEST(LayerNormalization, StashTypeAndBadShapesAreChecked) {
  const Tensor x = Values(DType::kF32, {2, 3}, 1);
  EXPECT_THAT(RunOp("LayerNormalization", {x, x}, {{"stash_type", 10}}).status().message(),
              HasSubstr("stash_type is 10"));
  EXPECT_THAT(RunOp("LayerNormalization", {x, Values(DType::kF32, {4}, 1)}).status().message(),
              HasSubstr("does not broadcast"));
  EXPECT_THAT(RunOp("LayerNormalization", {Tensor::Scalar<float>(1), x}).status().message(),
              HasSubstr("out of range"));
  auto y = RunOp("LayerNormalization", {x, Values(DType::kF32, {3}, 1)}, {{"stash_type", 16}}, 2);
  EXPECT_EQ((*y)[1].TypeString(), "bf16[2,1]");
}

TEST(LayerNormalization, EmptyTensors) {
  const Tensor x = *Tensor::Allocate(DType::kF32, {2, 0});
  auto y = RunOp("LayerNormalization", {x, *Tensor::Allocate(DType::kF32, {0})}, {}, 3);
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0].TypeString(), "f32[2,0]");
  EXPECT_TRUE(std::isnan(At((*y)[1], 1)));
}

TEST(RMSNormalization, EveryAxisAndDType) {
  for (DType d : kFloats) {
    for (int axis = -3; axis < 3; ++axis) {
      const std::vector<int64_t> dims = {3, 4, 37};
      const std::vector<int64_t> row(dims.begin() + (axis < 0 ? axis + 3 : axis), dims.end());
      const Tensor x = Values(d, dims, 1), scale = Values(d, row, 2);
      auto y = RunOp("RMSNormalization", {x, scale}, {{"axis", axis}}, 1, 2);
      ASSERT_TRUE(y.ok()) << y.status();
      const int64_t n = scale.elements();
      const auto s = GroupStatistics(x, x.elements() / n, [&](int64_t i) { return i / n; });
      ExpectElements((*y)[0], [&](int64_t i) {
        return At(x, i) / std::sqrt(s[i / n].square / s[i / n].count + 1e-5) * At(scale, i % n);
      });
    }
  }
}

TEST(RMSNormalization, TheScaleGivesTheResultItsDType) {
  const Tensor x = Values(DType::kF16, {2, 8}, 1), scale = Values(DType::kF32, {8}, 2);
  auto y = RunOp("RMSNormalization", {x, scale});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0].TypeString(), "f32[2,8]");
}

}  // namespace
}  // namespace sluice
