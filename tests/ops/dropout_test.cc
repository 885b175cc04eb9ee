#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

const Tensor kTrain = MakeBools({}, {1});
const Tensor kInfer = MakeBools({}, {0});

TEST(Dropout, InferenceIsTheInputAndAnAllTrueMask) {
  const Tensor x = *Tensor::Random(DType::kF32, {3, 5}, {.seed = 1});
  for (const Tensor& mode : {Tensor(), kInfer}) {
    auto y = RunOp("Dropout", {x, Tensor::Scalar<float>(0.7f), mode}, {}, 2);
    ASSERT_TRUE(y.ok()) << y.status();
    EXPECT_TRUE((*y)[0] == x);
    EXPECT_EQ((*y)[1], MakeBools({3, 5}, std::vector<int>(15, 1)));
  }
}

TEST(Dropout, TrainingWithRatioZeroIsExact) {
  const Tensor x = *Tensor::Random(DType::kF16, {64}, {.seed = 1});
  auto y = RunOp("Dropout", {x, Tensor::Scalar<float>(0), kTrain}, {{"seed", 3}}, 2);
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_TRUE((*y)[0] == x);
}

TEST(Dropout, KeepsTheExpectedShareScaledUp) {
  const Tensor x = *Tensor::Random(DType::kF64, {100000}, {.seed = 1, .scale = 0.1, .offset = 1});
  auto y = RunOp("Dropout", {x, Tensor::Scalar<double>(0.25), kTrain}, {{"seed", 3}}, 2, 3);
  ASSERT_TRUE(y.ok()) << y.status();
  int64_t kept = 0;
  for (int64_t i = 0; i < x.elements(); ++i) {
    const bool keep = (*y)[1].data<bool>()[i];
    kept += keep;
    ASSERT_DOUBLE_EQ((*y)[0].data<double>()[i], keep ? x.data<double>()[i] / 0.75 : 0);
  }
  EXPECT_NEAR(static_cast<double>(kept) / 1e5, 0.75, 0.01);
  auto again = RunOp("Dropout", {x, Tensor::Scalar<double>(0.25), kTrain}, {{"seed", 3}}, 2, 1);
  EXPECT_TRUE((*again)[0] == (*y)[0]);  // the seed alone decides, not the threads
  auto other = RunOp("Dropout", {x, Tensor::Scalar<double>(0.25), kTrain}, {{"seed", 4}}, 2);
  EXPECT_FALSE((*other)[1] == (*y)[1]);
}

TEST(Dropout, RatioOutsideItsRangeIsAnError) {
  const Tensor x = *Tensor::Random(DType::kF32, {4}, {.seed = 1});
  auto y = RunOp("Dropout", {x, Tensor::Scalar<float>(1), kTrain});
  EXPECT_THAT(y.status().message(), HasSubstr("ratio is 1"));
}

}  // namespace
}  // namespace sluice
