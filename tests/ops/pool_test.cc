#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "graph/infer.h"
#include "ops/fused.h"
#include "ops/op.h"
#include "tests/testing/candidates.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using Ints = std::vector<int64_t>;

Tensor Counting(DType dtype, const Dims& dims) {
  Tensor t = *Tensor::Allocate(DType::kF64, dims);
  for (int64_t i = 0; i < t.elements(); ++i) {
    t.mutable_data<double>()[i] =
        static_cast<double>((i * 37) % 101) - (dtype == DType::kU8 ? 0 : 50);
  }
  return Converted(t, dtype);
}

// 2-D only: the definition.
Tensor Reference(const std::string& op, const Tensor& x, Ints k, Ints s, Ints p, Ints d, Dims out,
                 bool include_pad, double power) {
  const Tensor xf = Converted(x, DType::kF64);
  Tensor y = *Tensor::Allocate(DType::kF64, out);
  const int64_t h = x.dims()[2], w = x.dims()[3];
  for (int64_t i = 0; i < y.elements(); ++i) {
    const int64_t ow = i % out[3], oh = i / out[3] % out[2], plane = i / out[3] / out[2];
    double best = -INFINITY, sum = 0, count = 0;
    for (int64_t a = 0; a < k[0]; ++a) {
      for (int64_t b = 0; b < k[1]; ++b) {
        const int64_t r = oh * s[0] - p[0] + a * d[0], c = ow * s[1] - p[1] + b * d[1];
        if (r < h + p[2] && c < w + p[3] && include_pad) ++count;
        if (r < 0 || r >= h || c < 0 || c >= w) continue;
        if (!include_pad) ++count;
        const double v = xf.data<double>()[(plane * h + r) * w + c];
        best = std::max(best, v);
        sum += op == "LpPool" ? std::pow(std::abs(v), power) : v;
      }
    }
    y.mutable_data<double>()[i] = op == "MaxPool"       ? best
                                  : op == "AveragePool" ? sum / count
                                                        : std::pow(sum, 1 / power);
  }
  return y;
}

void Check(const std::string& op, DType dtype, const Dims& dims, Ints k, Ints s, Ints p, Ints d,
           const Dims& expect, const AttrList& more = {}, double power = 2) {
  const Tensor x = Counting(dtype, dims);
  AttrList attrs = {{"kernel_shape", k}, {"strides", s}, {"pads", p}, {"dilations", d}};
  bool include_pad = false;
  for (const auto& a : more) {
    attrs.push_back(a);
    include_pad = include_pad || (a.first == "count_include_pad" && a.second.as_int() != 0);
  }
  auto y = RunOp(op, {x}, attrs, 1, 3);
  ASSERT_TRUE(y.ok()) << y.status();
  ASSERT_EQ(DimsToString((*y)[0].dims()), DimsToString(expect));
  const Tensor want = Converted(Reference(op, x, k, s, p, d, expect, include_pad, power), dtype);
  const double tolerance = dtype == DType::kF64    ? 1e-14
                           : dtype == DType::kF32  ? 1e-6
                           : dtype == DType::kF16  ? 1e-3
                           : dtype == DType::kBF16 ? 8e-3
                                                   : 0;
  EXPECT_LE(RelativeError((*y)[0], want), tolerance) << op << " " << ToString(dtype);
}

TEST(Pool, AgreesWithTheDefinitionInEveryDType) {
  for (DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    for (const char* op : {"MaxPool", "AveragePool", "LpPool"}) {
      Check(op, dtype, {2, 3, 9, 11}, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, {2, 3, 9, 11});
      Check(op, dtype, {1, 2, 12, 13}, {3, 2}, {2, 2}, {0, 1, 1, 0}, {1, 1}, {1, 2, 6, 7});
      Check(op, dtype, {1, 2, 12, 13}, {2, 3}, {3, 1}, {0, 0, 0, 0}, {2, 2}, {1, 2, 4, 9});
    }
  }
  for (DType dtype : {DType::kI8, DType::kU8}) {
    Check("MaxPool", dtype, {2, 3, 9, 11}, {3, 3}, {2, 1}, {1, 1, 1, 1}, {1, 1}, {2, 3, 5, 11});
  }
}

TEST(Pool, CeilModeAndPaddedCounts) {
  for (const char* op : {"MaxPool", "AveragePool", "LpPool"}) {
    Check(op, DType::kF32, {1, 1, 4, 4}, {3, 3}, {2, 2}, {0, 0, 0, 0}, {1, 1}, {1, 1, 2, 2},
          {{"ceil_mode", 1}});
    // The last window would start in the padding: it is left out.
    Check(op, DType::kF32, {1, 1, 2, 2}, {1, 1}, {2, 2}, {0, 0, 1, 1}, {1, 1}, {1, 1, 1, 1},
          {{"ceil_mode", 1}});
  }
  Check("AveragePool", DType::kF32, {1, 2, 5, 5}, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1},
        {1, 2, 3, 3}, {{"count_include_pad", 1}});
  Check("AveragePool", DType::kF32, {1, 2, 6, 6}, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1},
        {1, 2, 4, 4}, {{"count_include_pad", 1}, {"ceil_mode", 1}});
}

TEST(LpPool, OtherPowers) {
  Check("LpPool", DType::kF32, {1, 2, 5, 5}, {2, 2}, {1, 1}, {0, 0, 0, 0}, {1, 1}, {1, 2, 4, 4},
        {{"p", 1}}, 1);
  Check("LpPool", DType::kF64, {1, 2, 5, 5}, {2, 2}, {1, 1}, {0, 0, 0, 0}, {1, 1}, {1, 2, 4, 4},
        {{"p", 3}}, 3);
}

TEST(MaxPool, IndicesCountInEitherOrderAndTiesGoToTheFirst) {
  const Tensor x = MakeTensor<float>({1, 2, 2, 3}, {1, 5, 5, 2, 0, 3, 9, 1, 1, 1, 1, 9});
  const AttrList attrs = {{"kernel_shape", Ints{2, 2}}};
  auto row = RunOp("MaxPool", {x}, attrs, 2);
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_TRUE((*row)[0] == MakeTensor<float>({1, 2, 1, 2}, {5, 5, 9, 9}));
  EXPECT_TRUE((*row)[1] == MakeTensor<int64_t>({1, 2, 1, 2}, {1, 1, 6, 11}));
  auto column = RunOp("MaxPool", {x}, {{"kernel_shape", Ints{2, 2}}, {"storage_order", 1}}, 2);
  ASSERT_TRUE(column.ok()) << column.status();
  EXPECT_TRUE((*column)[1] == MakeTensor<int64_t>({1, 2, 1, 2}, {2, 2, 6, 11}))
      << (*column)[1].ToString();
}

TEST(MaxPool, NaNWins) {
  auto y =
      RunOp("MaxPool", {MakeTensor<float>({1, 1, 4}, {1, NAN, 2, 3})}, {{"kernel_shape", Ints{2}}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_TRUE(std::isnan((*y)[0].data<float>()[0]));
  EXPECT_EQ((*y)[0].data<float>()[2], 3);
}

TEST(GlobalPool, ReducesEachPlane) {
  for (DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    const Tensor x = Converted(MakeTensor<float>({1, 2, 2, 2}, {1, 2, 3, 6, -1, -4, 2, -2}), dtype);
    auto check = [&](const char* op, const std::vector<float>& want, const AttrList& attrs = {}) {
      auto y = RunOp(op, {x}, attrs);
      ASSERT_TRUE(y.ok()) << y.status();
      EXPECT_LE(RelativeError((*y)[0], Converted(MakeTensor<float>({1, 2, 1, 1}, want), dtype)),
                1e-2)
          << op;
    };
    check("GlobalAveragePool", {3, -1.25f});
    check("GlobalMaxPool", {6, 2});
    check("GlobalLpPool", {std::sqrt(50.f), 5});
    check("GlobalLpPool", {12, 9}, {{"p", 1}});
  }
}

TEST(GlobalPool, TheNormOfNothingIsZero) {
  const Tensor nothing = *Tensor::Allocate(DType::kF32, {1, 2, 0});
  for (int64_t p : {1, 2, 3}) {
    const Tensor y = (*RunOp("GlobalLpPool", {nothing}, {{"p", p}}))[0];
    for (float v : y.values<float>()) EXPECT_TRUE(v == 0 && !std::signbit(v)) << p;
  }
}

TEST(Pool, EmptyBatchesAndBadWindows) {
  const Tensor none = *Tensor::Allocate(DType::kF32, {0, 3, 4, 4});
  const Tensor x = *Tensor::Allocate(DType::kF32, {1, 3, 4, 4});
  for (const char* op : {"MaxPool", "AveragePool", "LpPool"}) {
    EXPECT_TRUE(RunOp(op, {none}, {{"kernel_shape", Ints{2, 2}}}).ok());
    EXPECT_FALSE(RunOp(op, {x}, {{"kernel_shape", Ints{2}}}).ok());
    EXPECT_FALSE(RunOp(op, {x}, {{"kernel_shape", Ints{5, 5}}}).ok());
    EXPECT_FALSE(RunOp(op, {x}, {{"kernel_shape", Ints{2, 0}}}).ok());
    EXPECT_FALSE(RunOp(op, {x}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{0, 1}}}).ok());
  }
  EXPECT_FALSE(RunOp("LpPool", {x}, {{"kernel_shape", Ints{2, 2}}, {"p", 0}}).ok());
}

// Chains of steps behind a pool agree with the expansion, by every kernel that takes them.
TEST(FusedPool, ChainsOfStepsAgreeWithTheExpansion) {
  using Strings = std::vector<std::string>;
  const struct {
    Strings steps;
    std::vector<float> params;
  } chains[] = {{{"Relu"}, {}},
                {{"Add", "Relu", "Mul"}, {}},
                {{"Softsign", "Clip"}, {-1, 0.5f}},
                {{"Sub", "Swish", "Max"}, {1}}};
  for (DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    const Tensor x = *Tensor::Random(dtype, {2, 5, 9, 11}, {.seed = 1});
    const Tensor whole = *Tensor::Random(dtype, {2, 5, 5, 6}, {.seed = 2});
    const Tensor channel = *Tensor::Random(dtype, {5, 1, 1}, {.seed = 3});
    for (const char* op : {"FusedMaxPool", "FusedAveragePool"}) {
      for (const auto& chain : chains) {
        SCOPED_TRACE(absl::StrCat(op, " ", ToString(dtype), " ", chain.steps[0]));
        std::vector<Tensor> in = {x};
        for (const std::string& step : chain.steps) {
          if (FindPostOp(step)->binary) in.push_back(in.size() == 1 ? whole : channel);
        }
        const AttrList attrs = {{"kernel_shape", Ints{3, 3}},
                                {"pads", Ints{1, 1, 1, 1}},
                                {"strides", Ints{2, 2}},
                                {"activations", chain.steps},
                                {"activation_params", chain.params}};
        auto want = RunExpansion(op, in, attrs);
        ASSERT_TRUE(want.ok()) << want.status();
        auto results = RunCandidates(op, in, attrs, {});
        ASSERT_TRUE(results.ok()) << results.status();
        const bool halves = dtype == DType::kF16 || dtype == DType::kBF16;
        const double tolerance = dtype == DType::kF16 ? 4e-3 : halves ? 3e-2 : 1e-6;
        EXPECT_TRUE(!results->empty() || (halves && in.size() > 1));
        for (const CandidateResult& r : *results) {
          EXPECT_LE(RelativeError(r.outputs[0], (*want)[0]), tolerance)
              << r.name << ": " << r.description;
        }
      }
    }
  }
  const Tensor x = *Tensor::Random(DType::kF32, {1, 3, 4, 4}, {.seed = 1});
  const AttrList attrs = {{"kernel_shape", Ints{2, 2}}, {"activations", Strings{"Add"}}};
  EXPECT_FALSE(RunOp("FusedMaxPool", {x}, attrs).ok());
  EXPECT_FALSE(RunOp("FusedMaxPool", {x, x}, attrs).ok());  // [1,3,4,4] enlarges [1,3,3,3]
}

}  // namespace
}  // namespace sluice
