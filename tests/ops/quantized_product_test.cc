#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_join.h"
#include "graph/infer.h"
#include "ops/op.h"
#include "ops/quantized.h"
#include "tests/testing/candidates.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using Strings = std::vector<std::string>;
using In = QuantizedInput;

Tensor Random(DType dtype, const Dims& dims, uint64_t seed, double scale, double offset = 0) {
  return *Tensor::Random(dtype, dims, {seed, scale, offset});
}

// 8-bit results may round the other way where the f32 value is next to a tie; never further.
void ExpectClose(const Tensor& actual, const Tensor& expected, const std::string& what) {
  if (expected.dtype() == DType::kF32) {
    EXPECT_LE(RelativeError(actual, expected), 1e-5) << what;
    return;
  }
  ASSERT_EQ(actual.dtype(), expected.dtype()) << what;
  const std::vector<int64_t> a = *actual.AsInts(), b = *expected.AsInts();
  ASSERT_EQ(a.size(), b.size()) << what;
  int64_t off = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_LE(std::abs(a[i] - b[i]), 1) << what << " at " << i;
    off += a[i] != b[i];
  }
  EXPECT_LE(off, static_cast<int64_t>(a.size()) / 200 + 1) << what;
}

void Check(absl::string_view op, const std::vector<Tensor>& in, const AttrList& attrs,
           const std::string& what) {
  auto want = RunExpansion(op, in, attrs);
  ASSERT_TRUE(want.ok()) << what << want.status();
  std::set<int> all;
  for (int i = 0; i < static_cast<int>(in.size()); ++i) {
    if (i != In::kX && in[i].valid()) all.insert(i);
  }
  for (const std::set<int>& constants : {all, std::set<int>{}, std::set<int>{3}}) {
    for (int threads : {1, 2}) {
      auto results = RunCandidates(op, in, attrs, constants, threads);
      if (absl::IsUnimplemented(results.status())) continue;
      ASSERT_TRUE(results.ok()) << what << results.status();
      for (const CandidateResult& r : *results) {
        ExpectClose(r.outputs[0], (*want)[0], what + " by " + r.description);
      }
    }
  }
}

TEST(QuantizedConv, AgreesWithItsExpansion) {
  struct Case {
    Dims x, w;
    AttrList attrs;
  };
  const Case cases[] = {
      {{2, 8, 9, 7}, {16, 8, 1, 1}, {}},
      {{1, 3, 11, 10}, {5, 3, 3, 3}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}}},
      {{2, 6, 9, 9},
       {4, 3, 3, 3},
       {{"group", int64_t{2}}, {"strides", std::vector<int64_t>{2, 2}}}},
      {{1, 16, 8, 8},
       {16, 1, 3, 3},
       {{"group", int64_t{16}}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}}},
      {{2, 4, 30}, {8, 4, 5}, {{"auto_pad", "SAME_UPPER"}}},
      {{1, 4, 5, 6, 7}, {3, 4, 2, 2, 2}, {}},
  };
  for (const Case& c : cases) {
    for (DType xt : {DType::kU8, DType::kI8}) {
      for (DType yt : {DType::kU8, DType::kI8, DType::kF32}) {
        for (bool channels : {false, true}) {
          const Dims scales = channels ? Dims{c.w[0]} : Dims{};
          std::vector<Tensor> in(In::kOperands);
          in[In::kX] = Random(xt, c.x, 1, 120);
          in[In::kXScale] = MakeTensor<float>({}, {0.02f});
          in[In::kXZero] = Random(xt, {}, 2, 100);
          in[In::kW] = Random(DType::kI8, c.w, 3, 127);
          in[In::kWScale] = Random(DType::kF32, scales, 4, 0.004, 0.006);
          if (yt != DType::kF32) {
            in[In::kYScale] = MakeTensor<float>({}, {0.11f});
            in[In::kYZero] = Random(yt, {}, 5, 50);
          }
          if (channels) in[In::kBias] = Random(DType::kF32, {c.w[0]}, 6, 3);
          Check("QuantizedConv", in, c.attrs,
                absl::StrCat(DimsToString(c.w), ToString(xt), ToString(yt), channels));
        }
      }
    }
  }
}

TEST(QuantizedMatMul, AgreesWithItsExpansion) {
  struct Case {
    Dims x, w;
    bool transposed;
  };
  const Case cases[] = {{{5, 33}, {33, 17}, false},     {{1, 64}, {40, 64}, true},
                        {{2, 3, 16}, {16, 8}, false},   {{2, 3, 16}, {2, 16, 8}, false},
                        {{3, 7, 12}, {3, 9, 12}, true}, {{130, 70}, {70, 131}, false}};
  for (const Case& c : cases) {
    const int64_t n = c.w[c.w.size() - (c.transposed ? 2 : 1)];
    for (DType xt : {DType::kU8, DType::kI8}) {
      for (DType yt : {DType::kU8, DType::kI8, DType::kF32}) {
        std::vector<Tensor> in(In::kOperands);
        in[In::kX] = Random(xt, c.x, 1, 120);
        in[In::kXScale] = MakeTensor<float>({1}, {0.02f});
        in[In::kXZero] = Random(xt, {}, 2, 100);
        in[In::kW] = Random(DType::kI8, c.w, 3, 127);
        in[In::kWScale] = Random(DType::kF32, {n}, 4, 0.004, 0.006);
        if (yt != DType::kF32) {
          in[In::kYScale] = MakeTensor<float>({}, {0.11f});
          in[In::kYZero] = Random(yt, {}, 5, 50);
        }
        in[In::kBias] = Random(DType::kF32, {n}, 6, 3);
        Check("QuantizedMatMul", in, {{"transpose_b", int64_t{c.transposed}}},
              absl::StrCat(DimsToString(c.x), DimsToString(c.w), ToString(xt), ToString(yt)));
      }
    }
  }
}

TEST(QuantizedConv, StepsOverScaledOperandsAgreeWithTheExpansion) {
  const Dims x = {2, 16, 6, 5}, y = {2, 24, 6, 5};
  struct Case {
    const char* step;
    DType dtype;
    Dims dims;
    float scale;
    int64_t zero;
  };
  const Case cases[] = {
      {"Add", DType::kU8, y, 0.03f, 117},
      {"Add", DType::kI8, y, 0.2f, -5},
      {"Sub", DType::kU8, y, 0.05f, 20},
      {"Max", DType::kI8, y, 0.05f, 3},
      {"Min", DType::kU8, y, 0.05f, 128},
      {"Mul", DType::kI8, y, 0.02f, 0},
      {"Mul", DType::kU8, {24, 1, 1}, 0.02f, 5},
      {"Add", DType::kU8, {24, 1, 1}, 0.1f, 9},
      {"Add", DType::kF32, y, 1, 0},
      {"Add", DType::kF32, {24, 1, 1}, 1, 0},
      {"Div", DType::kF32, {}, 1, 0},
  };
  for (const Case& c : cases) {
    for (DType yt : {DType::kU8, DType::kI8, DType::kF32}) {
      std::vector<Tensor> in(In::kOperands);
      in[In::kX] = Random(DType::kU8, x, 1, 120);
      in[In::kXScale] = MakeTensor<float>({}, {0.02f});
      in[In::kW] = Random(DType::kI8, {24, 16, 3, 3}, 3, 127);
      in[In::kWScale] = Random(DType::kF32, {24}, 4, 0.004, 0.006);
      if (yt != DType::kF32) {
        in[In::kYScale] = MakeTensor<float>({}, {0.2f});
        in[In::kYZero] = Random(yt, {}, 5, 50);
      }
      in.push_back(c.dtype == DType::kF32 ? Random(DType::kF32, c.dims, 8, 2, 5)
                                          : Random(c.dtype, c.dims, 8, 100));
      Check("QuantizedConv", in,
            {{"pads", std::vector<int64_t>{1, 1, 1, 1}},
             {"activations", Strings{"Relu", c.step, "LeakyRelu"}},
             {"activation_params", std::vector<float>{0.1f}},
             {"operand_scales", std::vector<float>{c.scale}},
             {"operand_zero_points", std::vector<int64_t>{c.zero}}},
            absl::StrCat(c.step, ToString(c.dtype), DimsToString(c.dims), ToString(yt)));
    }
  }
}

// Factors move into the scales and the bias, through a Relu; a Relu before an unsigned quantizer
// without a zero point is its clamp.
TEST(QuantizedConv, StepsThatJoinTheScalesAgreeWithTheExpansion) {
  const Dims x = {2, 16, 6, 5}, y = {2, 24, 6, 5};
  const std::vector<Strings> chains = {
      {"Relu"},        {"Relu", "Relu"},        {"Add", "Relu"}, {"Relu", "Add"},
      {"Mul", "Relu"}, {"Relu", "Add", "Relu"}, {"Sub", "Relu"}, {"LeakyRelu", "Add", "Relu"},
      {"Relu", "Sub"}, {"Relu", "LeakyRelu"}};
  for (const Strings& chain : chains) {
    for (DType yt : {DType::kU8, DType::kI8}) {
      for (int y_zero : {0, 4, 5}) {
        for (int operand_zero : {0, 7}) {
          for (bool bias : {false, true}) {
            std::vector<Tensor> in(In::kOperands);
            in[In::kX] = Random(DType::kU8, x, 1, 120);
            in[In::kXScale] = MakeTensor<float>({}, {0.02f});
            in[In::kW] = Random(DType::kI8, {24, 16, 1, 1}, 3, 127);
            in[In::kWScale] = Random(DType::kF32, {24}, 4, 0.004, 0.006);
            in[In::kYScale] = MakeTensor<float>({}, {0.13f});
            in[In::kYZero] = Converted(MakeTensor<int32_t>({}, {y_zero}), yt);
            if (bias) in[In::kBias] = Random(DType::kF32, {24}, 6, 3);
            std::vector<float> params, scales;
            std::vector<int64_t> zeros;
            for (const std::string& step : chain) {
              if (step == "LeakyRelu") params.push_back(0.1f);
              if (step == "Mul") {  // by a number: a factor
                in.push_back(MakeTensor<float>({}, {-1.7f}));
                scales.push_back(1);
                zeros.push_back(0);
              } else if (step == "Add" || step == "Sub") {
                in.push_back(Random(DType::kU8, y, 8, 100));
                scales.push_back(0.05f);
                zeros.push_back(operand_zero);
              }
            }
            AttrList attrs = {{"activations", chain}, {"activation_params", params}};
            attrs.push_back({"operand_scales", scales});
            attrs.push_back({"operand_zero_points", zeros});
            Check("QuantizedConv", in, attrs,
                  absl::StrCat(absl::StrJoin(chain, " "), " to ", ToString(yt), " ", y_zero,
                               ", operand less ", operand_zero, bias ? ", bias" : ""));
          }
        }
      }
    }
  }
}

// No scale but 1: sums, ties to even, the zero point and saturation by hand.
TEST(QuantizedMatMul, RoundsTiesToEvenAddsTheZeroPointAndSaturates) {
  std::vector<Tensor> in(In::kOperands);
  in[In::kX] = MakeTensor<uint8_t>({6, 1}, {1, 3, 5, 0, 255, 7});
  in[In::kXScale] = MakeTensor<float>({}, {1});
  in[In::kXZero] = MakeTensor<uint8_t>({}, {2});
  in[In::kW] = MakeTensor<int8_t>({1, 2}, {1, -3});
  in[In::kWScale] = MakeTensor<float>({}, {0.5f});
  in[In::kYScale] = MakeTensor<float>({}, {1});
  in[In::kYZero] = MakeTensor<int8_t>({}, {1});
  // (x - 2) / 2 = -0.5, 0.5, 1.5, -1, 126.5, 2.5 and -3 times that.
  const Tensor want = MakeTensor<int8_t>({6, 2}, {1, 3, 1, -1, 3, -3, 0, 4, 127, -128, 3, -7});
  auto expansion = RunExpansion("QuantizedMatMul", in, {});
  ASSERT_TRUE(expansion.ok()) << expansion.status();
  EXPECT_TRUE((*expansion)[0] == want) << (*expansion)[0].ToString();
  auto results = RunCandidates("QuantizedMatMul", in, {}, {1, 2, 3, 4, 6, 7});
  if (absl::IsUnimplemented(results.status())) GTEST_SKIP() << results.status();
  ASSERT_TRUE(results.ok()) << results.status();
  for (const CandidateResult& r : *results) {
    EXPECT_TRUE(r.outputs[0] == want) << r.description << r.outputs[0].ToString();
  }
}

// Sums of the largest products: pairs of them do not fit 16 bits, which must not show.
TEST(QuantizedMatMul, ExtremesDoNotSaturateOnTheWay) {
  const int64_t k = 64;
  std::vector<Tensor> in(In::kOperands);
  in[In::kX] = Converted(MakeTensor<int32_t>({1, k}, std::vector<int32_t>(k, 255)), DType::kU8);
  in[In::kXScale] = in[In::kWScale] = MakeTensor<float>({}, {1});
  in[In::kW] = Converted(MakeTensor<int32_t>({k, 1}, std::vector<int32_t>(k, -128)), DType::kI8);
  auto results = RunCandidates("QuantizedMatMul", in, {}, {1, 3, 4});
  if (absl::IsUnimplemented(results.status())) GTEST_SKIP() << results.status();
  ASSERT_TRUE(results.ok()) << results.status();
  for (const CandidateResult& r : *results) {
    EXPECT_EQ(r.outputs[0].data<float>()[0], -255 * 128 * static_cast<float>(k)) << r.description;
  }
}

TEST(QuantizedConv, PartsThatDoNotFitAreRefused) {
  std::vector<Tensor> in(In::kOperands);
  in[In::kX] = Random(DType::kU8, {1, 2, 4, 4}, 1, 100);
  in[In::kXScale] = in[In::kWScale] = MakeTensor<float>({}, {1});
  in[In::kW] = Random(DType::kI8, {3, 2, 1, 1}, 2, 100);
  EXPECT_TRUE(RunOp("QuantizedConv", in).ok());
  auto with = [&](size_t i, Tensor t, const AttrList& attrs = {}) {
    std::vector<Tensor> other = in;
    if (i >= other.size()) other.resize(i + 1);
    other[i] = std::move(t);
    return RunOp("QuantizedConv", other, attrs);
  };
  EXPECT_FALSE(with(In::kXScale, MakeTensor<float>({2}, {1, 1})).ok());
  EXPECT_FALSE(with(In::kWScale, MakeTensor<float>({2}, {1, 1})).ok());
  EXPECT_FALSE(with(In::kYZero, MakeTensor<uint8_t>({}, {1})).ok());
  EXPECT_FALSE(with(In::kBias, MakeTensor<float>({2}, {1, 1})).ok());
  EXPECT_FALSE(with(In::kOperands, MakeTensor<float>({}, {1})).ok());
  const AttrList add = {{"activations", Strings{"Add"}}};
  EXPECT_TRUE(with(In::kOperands, MakeTensor<float>({}, {1}), add).ok());
  EXPECT_FALSE(with(In::kOperands, MakeTensor<int32_t>({}, {1}), add).ok());
  EXPECT_FALSE(with(In::kOperands, Random(DType::kU8, {2, 3, 4, 4}, 1, 9), add).ok());
  AttrList wrong = add;
  wrong.push_back({"operand_scales", std::vector<float>{1, 2}});
  EXPECT_FALSE(with(In::kOperands, MakeTensor<float>({}, {1}), wrong).ok());
}

}  // namespace
}  // namespace sluice
