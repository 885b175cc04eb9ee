#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/ops/normalization_reference.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

Tensor Values(DType d, const std::vector<int64_t>& dims, uint64_t seed, double offset = 0.5) {
  return *Tensor::Random(d, dims, {.seed = seed, .scale = 0.5, .offset = offset});
}

struct Inputs {
  Tensor x, scale, bias, mean, variance;
  int64_t channels, inner;

  Inputs(const std::vector<int64_t>& dims, DType d, DType parameters, DType statistics)
      : channels(dims.size() > 1 ? dims[1] : 1), inner(1) {
    x = Values(d, dims, 1);
    scale = Values(parameters, {channels}, 2);
    bias = Values(parameters, {channels}, 3);
    mean = Values(statistics, {channels}, 4);
    variance = Values(statistics, {channels}, 5, 1);
    for (size_t i = 2; i < dims.size(); ++i) inner *= dims[i];
  }
  int64_t channel(int64_t i) const { return i / inner % channels; }
};

void ExpectInference(const std::vector<int64_t>& dims, DType d, DType p, DType s) {
  const Inputs in(dims, d, p, s);
  auto y = RunOp("BatchNormalization", {in.x, in.scale, in.bias, in.mean, in.variance}, {}, 1, 2);
  ASSERT_TRUE(y.ok()) << y.status();
  ExpectElements((*y)[0], [&](int64_t i) {
    const int64_t c = in.channel(i);
    return (At(in.x, i) - At(in.mean, c)) / std::sqrt(At(in.variance, c) + 1e-5) * At(in.scale, c) +
           At(in.bias, c);
  });
}

TEST(BatchNormalization, InferenceForEveryDTypeAndRank) {
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    ExpectInference({2, 3, 5, 7}, d, d, d);
    ExpectInference({2, 3}, d, d, d);
    ExpectInference({4, 3, 2}, d, d, DType::kF32);
  }
  ExpectInference({2, 7, 65, 67}, DType::kF32, DType::kF32, DType::kF32);
  ExpectInference({2, 3, 2, 2, 2}, DType::kF16, DType::kF32, DType::kF64);
  ExpectInference({5}, DType::kF32, DType::kF32, DType::kF32);
}

TEST(BatchNormalization, TrainingUsesTheBatchAndBlendsTheRunningStatistics) {
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    const Inputs in({4, 3, 5, 7}, d, d, d);
    auto y = RunOp("BatchNormalization", {in.x, in.scale, in.bias, in.mean, in.variance},
                   {{"training_mode", 1}, {"momentum", 0.75f}, {"epsilon", 1e-2f}}, 3, 2);
    ASSERT_TRUE(y.ok()) << y.status();
    const auto s = GroupStatistics(in.x, 3, [&](int64_t i) { return in.channel(i); });
    ExpectElements((*y)[0], [&](int64_t i) {
      const int64_t c = in.channel(i);
      return (At(in.x, i) - s[c].mean()) / std::sqrt(s[c].variance() + static_cast<double>(1e-2f)) *
                 At(in.scale, c) +
             At(in.bias, c);
    });
    ExpectElements((*y)[1], [&](int64_t c) { return At(in.mean, c) * 0.75 + s[c].mean() * 0.25; });
    ExpectElements((*y)[2],
                   [&](int64_t c) { return At(in.variance, c) * 0.75 + s[c].variance() * 0.25; });
  }
}

TEST(BatchNormalization, MisfitsAreErrors) {
  const Inputs in({2, 3, 4}, DType::kF32, DType::kF32, DType::kF32);
  EXPECT_THAT(RunOp("BatchNormalization",
                    {in.x, Values(DType::kF32, {4}, 1), in.bias, in.mean, in.variance})
                  .status()
                  .message(),
              HasSubstr("scale has 4 elements"));
  EXPECT_THAT(RunOp("BatchNormalization", {in.x, in.scale, in.bias, in.mean, in.variance}, {}, 3)
                  .status()
                  .message(),
              HasSubstr("training_mode only"));
}

TEST(BatchNormalization, EmptyBatch) {
  const Inputs in({0, 3, 4}, DType::kF32, DType::kF32, DType::kF32);
  auto y = RunOp("BatchNormalization", {in.x, in.scale, in.bias, in.mean, in.variance});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0].TypeString(), "f32[0,3,4]");
}

}  // namespace
}  // namespace sluice
