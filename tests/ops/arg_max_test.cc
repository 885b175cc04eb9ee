#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

const float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<int64_t> Arg(absl::string_view op, const Tensor& x, int64_t axis, int64_t last = 0) {
  auto y = RunOp(op, {x}, {{"axis", axis}, {"select_last_index", last}, {"keepdims", 0}});
  EXPECT_TRUE(y.ok()) << y.status();
  if (!y.ok()) return {};
  return std::vector<int64_t>((*y)[0].values<int64_t>().begin(), (*y)[0].values<int64_t>().end());
}

TEST(ArgMax, FirstOrLastAmongEqualOnesOnEveryAxis) {
  const Tensor x = MakeTensor<float>({2, 4}, {3, 1, 3, 2, 3, 1, 0, 2});
  EXPECT_EQ(Arg("ArgMax", x, 1), (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(Arg("ArgMax", x, -1, 1), (std::vector<int64_t>{2, 0}));
  EXPECT_EQ(Arg("ArgMax", x, 0), (std::vector<int64_t>{0, 0, 0, 0}));
  EXPECT_EQ(Arg("ArgMax", x, 0, 1), (std::vector<int64_t>{1, 1, 0, 1}));
  EXPECT_EQ(Arg("ArgMin", x, 1), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(Arg("ArgMin", x, 0, 1), (std::vector<int64_t>{1, 1, 1, 1}));
}

TEST(ArgMax, NaNIsTheExtreme) {
  const Tensor x = MakeTensor<float>({2, 4}, {3, kNaN, 9, kNaN, 3, 1, 0, 2});
  for (const char* op : {"ArgMax", "ArgMin"}) {
    EXPECT_EQ(Arg(op, x, 1)[0], 1);
    EXPECT_EQ(Arg(op, x, 1, 1)[0], 3);
    EXPECT_EQ(Arg(op, x, 0)[1], 0);
  }
}

TEST(ArgMax, EveryDTypeRowsAndColumns) {
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kI64, DType::kI32,
                  DType::kI16, DType::kI8, DType::kU64, DType::kU32, DType::kU16, DType::kU8}) {
    Tensor x = *Tensor::Allocate(d, {3, 50});
    VisitDType(
        d,
        [&]<typename T>() {
          for (int i = 0; i < 150; ++i)
            x.mutable_data<T>()[i] = static_cast<T>(float(i * 37 % 101));
        },
        [] {});
    for (const bool min : {false, true}) {
      for (int axis : {0, 1}) {
        const int64_t n = axis == 0 ? 3 : 50, step = axis == 0 ? 50 : 1;
        const std::vector<int64_t> got = Arg(min ? "ArgMin" : "ArgMax", x, axis);
        for (size_t i = 0; i < got.size(); ++i) {
          const int64_t base = axis == 0 ? static_cast<int64_t>(i) : static_cast<int64_t>(i) * 50;
          int64_t best = 0;
          for (int64_t r = 1; r < n; ++r) {
            const int64_t a = (base + r * step) * 37 % 101, b = (base + best * step) * 37 % 101;
            if (min ? a < b : a > b) best = r;
          }
          EXPECT_EQ(got[i], best) << ToString(d) << " axis " << axis;
        }
      }
    }
  }
}

TEST(ArgMax, RowsLongerThanATile) {
  Tensor x = *Tensor::Random(DType::kF16, {2, 5000}, {.seed = 3});
  x.mutable_data<Float16>()[4321] = Float16(7.0f);
  x.mutable_data<Float16>()[4990] = Float16(7.0f);
  EXPECT_EQ(Arg("ArgMax", x, 1)[0], 4321);
  EXPECT_EQ(Arg("ArgMax", x, 1, 1)[0], 4990);
}

TEST(ArgMax, NothingToChooseFromIsAnError) {
  const Tensor x = *Tensor::Allocate(DType::kF32, {2, 0});
  auto y = RunOp("ArgMax", {x}, {{"axis", 1}});
  EXPECT_THAT(y.status().message(), HasSubstr("no elements to choose from"));
  EXPECT_EQ((*RunOp("ArgMax", {x}, {{"axis", 0}}))[0].TypeString(), "i64[1,0]");
}

}  // namespace
}  // namespace sluice
