#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

TEST(CumSum, ExclusiveAndReverse) {
  const Tensor x = MakeTensor<double>({4}, {1, 2, 3, 4});
  const Tensor axis = Tensor::Scalar<int32_t>(0);
  EXPECT_EQ((*RunOp("CumSum", {x, axis}))[0], MakeTensor<double>({4}, {1, 3, 6, 10}));
  EXPECT_EQ((*RunOp("CumSum", {x, axis}, {{"exclusive", 1}}))[0],
            MakeTensor<double>({4}, {0, 1, 3, 6}));
  EXPECT_EQ((*RunOp("CumSum", {x, axis}, {{"reverse", 1}}))[0],
            MakeTensor<double>({4}, {10, 9, 7, 4}));
  EXPECT_EQ((*RunOp("CumSum", {x, axis}, {{"reverse", 1}, {"exclusive", 1}}))[0],
            MakeTensor<double>({4}, {9, 7, 4, 0}));
}

TEST(CumSum, EveryAxisAndDType) {
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kI64, DType::kI32,
                  DType::kU64, DType::kU32}) {
    VisitDType(
        d,
        [&]<typename T>() {
          Tensor ones = *Tensor::Allocate(d, {3, 4, 300});
          std::fill_n(ones.mutable_data<T>(), ones.elements(), static_cast<T>(1.0f));
          for (int64_t axis : {-3, -2, -1}) {
            auto y = RunOp("CumSum", {ones, Tensor::Scalar<int64_t>(axis)}, {}, 1, 2);
            ASSERT_TRUE(y.ok()) << y.status();
            const int64_t inner = axis == -1 ? 1 : axis == -2 ? 300 : 1200;
            const int64_t n = axis == -1 ? 300 : axis == -2 ? 4 : 3;
            for (int64_t i = 0; i < ones.elements(); ++i) {
              const T expected = static_cast<T>(static_cast<float>(i / inner % n + 1));
              ASSERT_EQ((*y)[0].data<T>()[i], expected) << ToString(d) << " " << axis << " " << i;
            }
          }
        },
        [] {});
  }
}

TEST(CumSum, AxisOutOfRangeIsAnError) {
  const Tensor x = MakeTensor<float>({2}, {1, 2});
  EXPECT_THAT(RunOp("CumSum", {x, Tensor::Scalar<int64_t>(1)}).status().message(),
              HasSubstr("axis 1 is out of range for rank 1"));
}

}  // namespace
}  // namespace sluice
