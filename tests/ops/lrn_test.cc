#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/ops/normalization_reference.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

TEST(LRN, WindowsOfEverySizeAndDType) {
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    const Tensor x = *Tensor::Random(d, {2, 7, 5, 3}, {.seed = 1, .scale = 3});
    for (int size : {1, 2, 3, 4, 7, 30}) {
      auto y = RunOp("LRN", {x}, {{"size", size}, {"alpha", 0.5f}, {"beta", 0.75f}, {"bias", 2.0f}},
                     1, 2);
      ASSERT_TRUE(y.ok()) << y.status();
      ExpectElements((*y)[0], [&](int64_t i) {
        const int64_t c = i / 15 % 7, base = i - c * 15;
        double sum = 0;
        for (int64_t k = std::max<int64_t>(0, c - (size - 1) / 2);
             k <= std::min<int64_t>(6, c + size / 2); ++k) {
          sum += At(x, base + k * 15) * At(x, base + k * 15);
        }
        return At(x, i) / std::pow(2 + 0.5 / size * sum, 0.75);
      });
    }
  }
}

TEST(LRN, SizeAndRankAreChecked) {
  EXPECT_THAT(RunOp("LRN", {MakeTensor<float>({1, 2}, {1, 2})}, {{"size", 0}}).status().message(),
              HasSubstr("size is 0"));
  EXPECT_THAT(RunOp("LRN", {MakeTensor<float>({2}, {1, 2})}, {{"size", 1}}).status().message(),
              HasSubstr("[N, C, ...]"));
}

}  // namespace
}  // namespace sluice
