#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

double At(const Tensor& t, int64_t i) {
  return VisitDType(
      t.dtype(), [&]<typename T>() { return static_cast<double>(t.data<T>()[i]); },
      [] { return 0.0; });
}

// Both members of the family against the definition in double.
void ExpectSoftmax(DType dtype, const std::vector<int64_t>& dims, int64_t axis, int threads = 1) {
  const Tensor x = *Tensor::Random(dtype, dims, {.seed = 11, .scale = 5});
  auto soft = RunOp("Softmax", {x}, {{"axis", axis}}, 1, threads);
  auto log = RunOp("LogSoftmax", {x}, {{"axis", axis}}, 1, threads);
  ASSERT_TRUE(soft.ok()) << soft.status();
  ASSERT_TRUE(log.ok()) << log.status();
  if (axis < 0) axis += static_cast<int64_t>(dims.size());
  int64_t inner = 1;
  for (size_t i = axis + 1; i < dims.size(); ++i) inner *= dims[i];
  const int64_t n = dims[axis];
  const double epsilon = dtype == DType::kF16    ? 2e-3
                         : dtype == DType::kBF16 ? 2e-2
                         : dtype == DType::kF32  ? 1e-6
                                                 : 1e-14;
  for (int64_t o = 0; o < x.elements() / (n * inner); ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      double sum = 0;
      for (int64_t r = 0; r < n; ++r) sum += std::exp(At(x, (o * n + r) * inner + i));
      for (int64_t r = 0; r < n; ++r) {
        const int64_t at = (o * n + r) * inner + i;
        const double expected = At(x, at) - std::log(sum);
        ASSERT_NEAR(At((*soft)[0], at), std::exp(expected), epsilon) << at;
        ASSERT_NEAR(At((*log)[0], at), expected, epsilon * std::max(1.0, std::abs(expected)) * 2)
            << at;
      }
    }
  }
}

TEST(Softmax, EveryAxisAndDType) {
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    for (int axis : {0, 1, 2, -1, -3}) ExpectSoftmax(d, {3, 5, 17}, axis);
  }
}

TEST(Softmax, ShortRowsLongRowsAndManyRows) {
  ExpectSoftmax(DType::kF32, {1000, 2}, -1, 2);
  ExpectSoftmax(DType::kF32, {4, 10007}, -1, 2);
  ExpectSoftmax(DType::kF32, {2, 3, 1}, -1);
  ExpectSoftmax(DType::kF32, {2, 21, 33 * 35}, 1, 2);
}

TEST(Softmax, LargeNumbersDoNotOverflow) {
  const Tensor x = MakeTensor<float>({1, 3}, {10000, 10001, -10000});
  auto y = RunOp("Softmax", {x});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_NEAR((*y)[0].data<float>()[0], 0.26894143, 1e-6);
  EXPECT_EQ((*y)[0].data<float>()[2], 0);
}

TEST(Softmax, MaskedElementsGetNothing) {
  const float inf = std::numeric_limits<float>::infinity();
  auto y = RunOp("Softmax", {MakeTensor<float>({1, 3}, {0, -inf, 0})});
  EXPECT_EQ((*y)[0], MakeTensor<float>({1, 3}, {0.5, 0, 0.5}));
}

TEST(Softmax, EmptyTensorsStayEmpty) {
  const Tensor x = *Tensor::Allocate(DType::kF32, {0, 3});
  EXPECT_EQ((*RunOp("Softmax", {x}))[0].TypeString(), "f32[0,3]");
  EXPECT_EQ((*RunOp("Softmax", {x}, {{"axis", 0}}))[0].TypeString(), "f32[0,3]");
}

TEST(Softmax, AxisOutOfRangeIsAnError) {
  auto y = RunOp("Softmax", {MakeTensor<float>({2}, {1, 2})}, {{"axis", 1}});
  EXPECT_THAT(y.status().message(), HasSubstr("axis 1 is out of range for rank 1"));
}

TEST(Hardmax, MarksTheFirstLargest) {
  const Tensor x = MakeTensor<float>({2, 4}, {3, 0, 3, 2, 1, 1, 0, 5});
  EXPECT_EQ((*RunOp("Hardmax", {x}))[0], MakeTensor<float>({2, 4}, {1, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ((*RunOp("Hardmax", {x}, {{"axis", 0}}))[0],
            MakeTensor<float>({2, 4}, {1, 0, 1, 0, 0, 1, 0, 1}));
}

}  // namespace
}  // namespace sluice
