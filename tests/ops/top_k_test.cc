#include <algorithm>
#include <limits>
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

Tensor K(int64_t k) { return Tensor::Vector<int64_t>(std::vector<int64_t>{k}); }

// Against a stable sort of the whole axis.
template <typename T>
void ExpectTopK(const Tensor& x, int64_t k, int64_t axis, bool largest, int threads = 1) {
  auto y = RunOp("TopK", {x, K(k)}, {{"axis", axis}, {"largest", int64_t{largest}}}, 2, threads);
  ASSERT_TRUE(y.ok()) << y.status();
  int64_t inner = 1;
  for (int i = static_cast<int>(axis) + 1; i < x.rank(); ++i) inner *= x.dims()[i];
  const int64_t n = x.dims()[axis];
  for (int64_t row = 0; row < x.elements() / n; ++row) {
    const int64_t o = row / inner, i = row % inner;
    const auto at = [&](int64_t r) { return x.data<T>()[(o * n + r) * inner + i]; };
    std::vector<int64_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return largest ? at(a) > at(b) : at(a) < at(b); });
    for (int64_t j = 0; j < k; ++j) {
      ASSERT_EQ((*y)[1].data<int64_t>()[(o * k + j) * inner + i], order[j]) << row << " " << j;
      ASSERT_EQ((*y)[0].data<T>()[(o * k + j) * inner + i], at(order[j]));
    }
  }
}

TEST(TopK, EveryDTypeWithManyTies) {
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kI64, DType::kI32,
                  DType::kI16, DType::kI8, DType::kU64, DType::kU32, DType::kU16, DType::kU8}) {
    const Tensor x = *Tensor::Random(d, {4, 30, 5}, {.seed = 2, .scale = 9});
    VisitDType(
        d,
        [&]<typename T>() {
          for (const bool largest : {false, true}) {
            ExpectTopK<T>(x, 7, 1, largest);
            ExpectTopK<T>(x, 5, 2, largest);
          }
        },
        [] {});
  }
}

TEST(TopK, FewOfManyAllAndNone) {
  const Tensor x = *Tensor::Random(DType::kF32, {3, 20000}, {.seed = 8});
  ExpectTopK<float>(x, 10, 1, true, 2);
  ExpectTopK<float>(x, 10, 1, false, 2);
  const Tensor rising = [] {
    Tensor t = *Tensor::Allocate(DType::kI64, {5000});
    std::iota(t.mutable_data<int64_t>(), t.mutable_data<int64_t>() + 5000, -2500);
    return t;
  }();
  ExpectTopK<int64_t>(rising, 3, 0, true);  // every element passes the threshold
  ExpectTopK<int64_t>(rising, 5000, 0, true);
  EXPECT_EQ((*RunOp("TopK", {x, K(0)}, {}, 2))[1].TypeString(), "i64[3,0]");
}

TEST(TopK, NegativeZeroEqualsZeroAndNaNIsLargest) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = MakeTensor<float>({4}, {-0.0f, 0.0f, nan, -1});
  EXPECT_EQ((*RunOp("TopK", {x, K(4)}, {}, 2))[1], MakeTensor<int64_t>({4}, {2, 0, 1, 3}));
  EXPECT_EQ((*RunOp("TopK", {x, K(4)}, {{"largest", 0}}, 2))[1],
            MakeTensor<int64_t>({4}, {3, 0, 1, 2}));
}

TEST(TopK, KOutOfRangeIsAnError) {
  const Tensor x = MakeTensor<float>({2}, {1, 2});
  EXPECT_THAT(RunOp("TopK", {x, K(3)}, {}, 2).status().message(),
              HasSubstr("K is 3, but axis 0 has 2 elements"));
  EXPECT_THAT(RunOp("TopK", {x, K(-1)}, {}, 2).status().message(), HasSubstr("K is -1"));
}

}  // namespace
}  // namespace sluice
