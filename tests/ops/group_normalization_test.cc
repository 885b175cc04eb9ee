#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/ops/normalization_reference.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

Tensor Values(DType d, const std::vector<int64_t>& dims, uint64_t seed) {
  return *Tensor::Random(d, dims, {.seed = seed, .scale = 2, .offset = 0.5});
}

void ExpectNorm(DType d, const std::vector<int64_t>& dims, int64_t groups, bool instance) {
  const int64_t channels = dims[1];
  const Tensor x = Values(d, dims, 1), scale = Values(d, {channels}, 2),
               bias = Values(d, {channels}, 3);
  auto y = instance ? RunOp("InstanceNormalization", {x, scale, bias}, {}, 1, 2)
                    : RunOp("GroupNormalization", {x, scale, bias}, {{"num_groups", groups}}, 1, 2);
  ASSERT_TRUE(y.ok()) << y.status();
  const int64_t n = x.elements() / (dims[0] * groups), inner = x.elements() / (dims[0] * channels);
  const auto s = GroupStatistics(x, dims[0] * groups, [&](int64_t i) { return i / n; });
  ExpectElements((*y)[0], [&](int64_t i) {
    const int64_t c = i / inner % channels;
    return (At(x, i) - s[i / n].mean()) / std::sqrt(s[i / n].variance() + 1e-5) * At(scale, c) +
           At(bias, c);
  });
}

TEST(GroupNormalization, EveryDTypeAndSomeSizes) {
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    ExpectNorm(d, {2, 6, 5, 7}, 3, false);
    ExpectNorm(d, {2, 6, 5, 7}, 1, false);
    ExpectNorm(d, {2, 6, 9}, 6, false);
    ExpectNorm(d, {3, 4}, 2, false);
  }
  ExpectNorm(DType::kF32, {2, 8, 61, 67}, 2, false);
}

TEST(InstanceNormalization, EveryDTypeAndSomeSizes) {
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    ExpectNorm(d, {2, 3, 5, 7}, 3, true);
    ExpectNorm(d, {1, 2, 3, 4, 5}, 2, true);
  }
  ExpectNorm(DType::kF32, {2, 3, 91, 97}, 3, true);
}

TEST(GroupNormalization, GroupsMustDivideTheChannels) {
  const Tensor x = Values(DType::kF32, {1, 6, 2}, 1), p = Values(DType::kF32, {6}, 1);
  EXPECT_THAT(RunOp("GroupNormalization", {x, p, p}, {{"num_groups", 4}}).status().message(),
              HasSubstr("num_groups 4 does not divide the 6 channels"));
  EXPECT_THAT(RunOp("GroupNormalization", {x, p, p}, {{"num_groups", 0}}).status().message(),
              HasSubstr("num_groups is 0"));
  EXPECT_THAT(
      RunOp("InstanceNormalization", {x, p, Values(DType::kF32, {5}, 1)}).status().message(),
      HasSubstr("B must be [6]"));
}

TEST(GroupNormalization, EmptyTensors) {
  const Tensor p = Values(DType::kF32, {6}, 1);
  for (const std::vector<int64_t>& dims : {std::vector<int64_t>{0, 6, 2}, {2, 6, 0}}) {
    const Tensor x = *Tensor::Allocate(DType::kF32, dims);
    auto y = RunOp("GroupNormalization", {x, p, p}, {{"num_groups", 2}});
    ASSERT_TRUE(y.ok()) << y.status();
    EXPECT_EQ((*y)[0].TypeString(), x.TypeString());
  }
}

}  // namespace
}  // namespace sluice
