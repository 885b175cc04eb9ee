#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/candidates.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::vector<T> Values(const absl::StatusOr<std::vector<Tensor>>& result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.status();
    return {};
  }
  EXPECT_EQ((*result)[0].dtype(), kDTypeOf<T>);
  std::vector<T> values;
  for (int64_t i = 0; i < (*result)[0].elements(); ++i) {
    values.push_back((*result)[0].data<T>()[i]);
  }
  return values;
}
std::vector<int> Bools(const absl::StatusOr<std::vector<Tensor>>& result) {
  std::vector<int> values;
  for (bool b : Values<bool>(result)) values.push_back(b);
  return values;
}
template <typename T>
Tensor Vec(const std::vector<T>& values) {
  return MakeTensor<T>({static_cast<int64_t>(values.size())}, values);
}
Tensor F32(const std::vector<float>& values) { return Vec<float>(values); }

constexpr DType kNumbers[] = {DType::kF64, DType::kF32, DType::kF16, DType::kBF16,
                              DType::kI64, DType::kI32, DType::kI16, DType::kI8,
                              DType::kU64, DType::kU32, DType::kU16, DType::kU8};

TEST(Elementwise, ArithmeticIsRightInEveryNumberTypeWithBroadcasting) {
  struct Case {
    const char* op;
    std::function<double(double, double)> exact;
  };
  const Case cases[] = {
      {"Add", [](double a, double b) { return a + b; }},
      {"Sub", [](double a, double b) { return a - b; }},
      {"Mul", [](double a, double b) { return a * b; }},
      {"Max", [](double a, double b) { return std::max(a, b); }},
      {"Min", [](double a, double b) { return std::min(a, b); }},
  };
  const Tensor a = MakeTensor<double>({2, 1, 3}, {9, 12, 7, 11, 8, 10});
  const Tensor b = MakeTensor<double>({2, 1}, {5, 6});
  for (const Case& c : cases) {
    for (DType dtype : kNumbers) {
      SCOPED_TRACE(absl::StrCat(c.op, " in ", ToString(dtype)));
      auto result = RunOp(c.op, {Converted(a, dtype), Converted(b, dtype)});
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ((*result)[0].dtype(), dtype);
      const Tensor got = Converted((*result)[0], DType::kF64);
      ASSERT_EQ(got.TypeString(), "f64[2,2,3]");
      for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 2; ++j) {
          for (int k = 0; k < 3; ++k) {
            EXPECT_EQ(got.data<double>()[(i * 2 + j) * 3 + k],
                      c.exact(a.data<double>()[i * 3 + k], b.data<double>()[j]));
          }
        }
      }
    }
  }
}

TEST(Elementwise, ComparisonsAreRightInEveryNumberType) {
  const Tensor a = Vec<double>({1, 2, 3}), b = Vec<double>({2, 2, 2});
  for (DType dtype : kNumbers) {
    const Tensor x = Converted(a, dtype), y = Converted(b, dtype);
    EXPECT_THAT(Bools(RunOp("Equal", {x, y})), ElementsAre(0, 1, 0)) << ToString(dtype);
    EXPECT_THAT(Bools(RunOp("Less", {x, y})), ElementsAre(1, 0, 0)) << ToString(dtype);
    EXPECT_THAT(Bools(RunOp("LessOrEqual", {x, y})), ElementsAre(1, 1, 0)) << ToString(dtype);
    EXPECT_THAT(Bools(RunOp("Greater", {x, y})), ElementsAre(0, 0, 1)) << ToString(dtype);
    EXPECT_THAT(Bools(RunOp("GreaterOrEqual", {x, y})), ElementsAre(0, 1, 1)) << ToString(dtype);
  }
}

TEST(Elementwise, NaNIsUnequalAndSpreadsThroughMaxAndMin) {
  const Tensor a = F32({NAN, 1, NAN}), b = F32({1, NAN, NAN});
  EXPECT_THAT(Bools(RunOp("Equal", {a, b})), ElementsAre(0, 0, 0));
  EXPECT_THAT(Bools(RunOp("LessOrEqual", {a, b})), ElementsAre(0, 0, 0));
  for (const char* op : {"Max", "Min"}) {
    for (float v : Values<float>(RunOp(op, {a, b}))) EXPECT_TRUE(std::isnan(v)) << op;
  }
  EXPECT_TRUE(std::isnan(Values<float>(RunOp("Relu", {F32({NAN})}))[0]));
  EXPECT_TRUE(std::isnan(Values<float>(RunOp("Sign", {F32({NAN})}))[0]));
}

TEST(Elementwise, IntegerDivisionIsDefinedForEveryOperand) {
  const int32_t low = std::numeric_limits<int32_t>::min();
  EXPECT_THAT(Values<int32_t>(RunOp(
                  "Div", {Vec<int32_t>({7, -7, 5, low, low}), Vec<int32_t>({2, 2, 0, -1, 1})})),
              ElementsAre(3, -3, 0, low, low));
  const int64_t low64 = std::numeric_limits<int64_t>::min();
  EXPECT_THAT(Values<int64_t>(RunOp("Div", {Vec<int64_t>({low64, 1}), Vec<int64_t>({-1, 0})})),
              ElementsAre(low64, 0));
  EXPECT_THAT(Values<int8_t>(RunOp("Div", {Vec<int8_t>({-128}), Vec<int8_t>({-1})})),
              ElementsAre(-128));
  EXPECT_THAT(Values<int32_t>(RunOp(
                  "Mod", {Vec<int32_t>({7, -7, 7, low, 3}), Vec<int32_t>({3, 3, -3, -1, 0})})),
              ElementsAre(1, 2, -2, 0, 0));
  EXPECT_THAT(Values<int32_t>(RunOp("Mod", {Vec<int32_t>({7, -7, 7}), Vec<int32_t>({3, 3, -3})},
                                    {{"fmod", 1}})),
              ElementsAre(1, -1, 1));
  EXPECT_THAT(Values<float>(RunOp("Mod", {F32({-4.3f, 5.0f}), F32({2.1f, 8.0f})}, {{"fmod", 1}})),
              ElementsAre(std::fmod(-4.3f, 2.1f), 5.0f));
}

TEST(Elementwise, IntegersWrapInsteadOfOverflowing) {
  const int32_t high = std::numeric_limits<int32_t>::max();
  EXPECT_THAT(Values<int32_t>(RunOp("Add", {Vec<int32_t>({high}), Vec<int32_t>({1})})),
              ElementsAre(std::numeric_limits<int32_t>::min()));
  EXPECT_THAT(Values<uint16_t>(RunOp("Mul", {Vec<uint16_t>({65535}), Vec<uint16_t>({65535})})),
              ElementsAre(1));
  EXPECT_THAT(Values<int8_t>(RunOp("Neg", {Vec<int8_t>({-128, 5})})), ElementsAre(-128, -5));
  EXPECT_THAT(Values<int64_t>(RunOp("Abs", {Vec<int64_t>({INT64_MIN, -5})})),
              ElementsAre(INT64_MIN, 5));
}

TEST(Elementwise, ShiftsPastTheWidthGiveZero) {
  EXPECT_THAT(
      Values<uint8_t>(RunOp("BitShift", {Vec<uint8_t>({255, 1, 1}), Vec<uint8_t>({1, 7, 8})},
                            {{"direction", "LEFT"}})),
      ElementsAre(254, 128, 0));
  EXPECT_THAT(Values<uint64_t>(RunOp(
                  "BitShift", {Vec<uint64_t>({16, UINT64_MAX, 1}), Vec<uint64_t>({4, 63, 200})},
                  {{"direction", "RIGHT"}})),
              ElementsAre(1u, 1u, 0u));
  EXPECT_THAT(RunOp("BitShift", {Vec<uint8_t>({1}), Vec<uint8_t>({1})}, {{"direction", "UP"}})
                  .status()
                  .message(),
              HasSubstr("expected LEFT or RIGHT"));
}

TEST(Elementwise, PowTakesMixedTypes) {
  EXPECT_THAT(Values<float>(RunOp("Pow", {F32({1, 2, 3}), Vec<int64_t>({4, 5, 6})})),
              ElementsAre(1, 32, 729));
  EXPECT_THAT(Values<int32_t>(RunOp("Pow", {Vec<int32_t>({1, 2, 4}), F32({4, 5, 0.5f})})),
              ElementsAre(1, 32, 2));
  EXPECT_THAT(Values<int64_t>(RunOp(
                  "Pow", {Vec<int64_t>({2, -1, 1, 0, 7}), Vec<int64_t>({-1, -3, -5, -1, 3})})),
              ElementsAre(0, -1, 1, 0, 343));
  for (double exponent : {0.5, 1.0, 2.0, 3.0, 4.0, -1.0, -0.5, 2.5}) {
    const Tensor x = F32({0.5f, 1, 2, 9});
    auto results = RunCandidates("Pow", {x, Tensor::Scalar<float>(static_cast<float>(exponent))},
                                 {}, /*constants=*/{1});
    ASSERT_TRUE(results.ok()) << results.status();
    for (const CandidateResult& r : *results) {
      for (int i = 0; i < 4; ++i) {
        EXPECT_NEAR(r.outputs[0].data<float>()[i], std::pow(x.data<float>()[i], exponent), 1e-4);
      }
    }
  }
}

// numpy's power, cast to the base's type: a negative base asks for the exponent's parity, of which
// f32 has nothing left beyond 2^24.
TEST(Elementwise, PowTakesIntegerExponents) {
  const auto check = [](const Tensor& base, const Tensor& exponent,
                        const std::vector<float>& want) {
    for (const std::set<int>& constants : {std::set<int>{}, std::set<int>{1}}) {
      auto results = RunCandidates("Pow", {base, exponent}, {}, constants);
      ASSERT_TRUE(results.ok()) << results.status();
      for (const CandidateResult& r : *results) {
        for (size_t i = 0; i < want.size(); ++i)
          EXPECT_FLOAT_EQ(r.outputs[0].data<float>()[i], want[i])
              << exponent.TypeString() << " at " << i;
      }
    }
  };
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor base = F32({-2, -1, 0, 0.5f, 3});
  check(base, Vec<int32_t>({3, 7, 0, -2, -1}), {-8, -1, 1, 4, 1.0f / 3});
  check(base, Vec<int64_t>({-3, 16777217, -1, 1, 2}), {-0.125f, -1, inf, 0.5f, 9});
  check(base, Vec<int8_t>({2, -1, 5, 10, 4}), {4, -1, 0, 0x1p-10f, 81});
  check(base, Vec<uint8_t>({5, 255, 1, 2, 3}), {-32, -1, 0, 0.25f, 27});
  check(base, Vec<int16_t>({1, 32767, 2, 3, 0}), {-2, -1, 0, 0.125f, 1});
  check(base, Vec<uint32_t>({4, 4294967295u, 1, 1, 1}), {16, -1, 0, 0.5f, 3});
  check(base, Vec<uint64_t>({1, 9007199254740991u, 1, 1, 1}), {-2, -1, 0, 0.5f, 3});
  // One exponent for all, where it is known as well.
  for (int64_t n : {0, 1, 2, 3, 4, 5, -1, -2, 16777217}) {
    std::vector<float> want;
    for (float x : {-2.0f, -1.0f, 0.0f, 0.5f, 3.0f})
      want.push_back(static_cast<float>(std::pow(x, static_cast<double>(n))));
    check(base, Tensor::Scalar<int64_t>(n), want);
  }
  // Integers wrap, however large the exponent.
  EXPECT_THAT(Values<int32_t>(RunOp("Pow", {Vec<int32_t>({3, -3, 2, 2, -1, 5}),
                                            Vec<int64_t>({4, 3, 32, 4294967297, 4294967297, -1})})),
              ElementsAre(81, -27, 0, 0, -1, 0));
  EXPECT_THAT(Values<int32_t>(
                  RunOp("Pow", {Vec<int32_t>({2, -1}), Vec<uint32_t>({2147483649u, 2147483649u})})),
              ElementsAre(0, -1));
}

TEST(Elementwise, LogicReadsAnyNonZeroByteAsTrue) {
  Tensor odd = *Tensor::Allocate(DType::kBool, {4});
  const uint8_t bytes[] = {0, 1, 2, 255};
  std::copy_n(bytes, 4, odd.mutable_data<uint8_t>());
  const Tensor plain = MakeBools({4}, {1, 1, 1, 0});
  EXPECT_THAT(Bools(RunOp("And", {odd, plain})), ElementsAre(0, 1, 1, 0));
  EXPECT_THAT(Bools(RunOp("Or", {odd, plain})), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(Bools(RunOp("Xor", {odd, plain})), ElementsAre(1, 0, 0, 1));
  EXPECT_THAT(Bools(RunOp("Not", {odd})), ElementsAre(1, 0, 0, 0));
  EXPECT_THAT(Bools(RunOp("Equal", {odd, plain})), ElementsAre(0, 1, 1, 0));
  EXPECT_THAT(Values<float>(RunOp("Cast", {odd}, {{"to", DType::kF32}})), ElementsAre(0, 1, 1, 1));
  EXPECT_THAT(Values<float>(RunOp("Where", {odd, F32({1, 2, 3, 4}), F32({-1})})),
              ElementsAre(-1, 2, 3, 4));
}

TEST(Elementwise, SelectsInEveryType) {
  const Tensor condition = MakeBools({2, 1}, {1, 0});
  for (DType dtype : kNumbers) {
    const Tensor x = Converted(Vec<double>({1, 2, 3}), dtype);
    const Tensor y = Converted(MakeTensor<double>({}, {9}), dtype);
    auto result = RunOp("Where", {condition, x, y});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ((*result)[0].dtype(), dtype);
    EXPECT_THAT(Values<double>(std::vector<Tensor>{Converted((*result)[0], DType::kF64)}),
                ElementsAre(1, 2, 3, 9, 9, 9));
  }
  EXPECT_THAT(Values<std::string>(RunOp(
                  "Where", {condition, Vec<std::string>({"a", "b"}), Vec<std::string>({"x"})})),
              ElementsAre("a", "b", "x", "x"));
}

TEST(Elementwise, ComparesStrings) {
  EXPECT_THAT(Bools(RunOp("Equal", {MakeTensor<std::string>({2, 1}, {"a", "b"}),
                                    Vec<std::string>({"b", "a", ""})})),
              ElementsAre(0, 1, 0, 1, 0, 0));
}

TEST(Elementwise, ClipLetsTheUpperBoundWin) {
  const Tensor x = F32({-5, 0, 5});
  EXPECT_THAT(Values<float>(RunOp("Clip", {x, Tensor::Scalar(-1.0f), Tensor::Scalar(1.0f)})),
              ElementsAre(-1, 0, 1));
  EXPECT_THAT(Values<float>(RunOp("Clip", {x, Tensor::Scalar(2.0f), Tensor::Scalar(1.0f)})),
              ElementsAre(1, 1, 1));
  EXPECT_THAT(Values<float>(RunOp("Clip", {x, Tensor(), Tensor::Scalar(1.0f)})),
              ElementsAre(-5, 0, 1));
  EXPECT_THAT(Values<float>(RunOp("Clip", {x})), ElementsAre(-5, 0, 5));
  EXPECT_THAT(Values<uint8_t>(RunOp("Clip", {Vec<uint8_t>({0, 9}), Tensor::Scalar<uint8_t>(3)})),
              ElementsAre(3, 9));
  EXPECT_FALSE(RunOp("Clip", {x, F32({1, 2})}).ok());
}

TEST(Elementwise, SumsAndMeansAnyNumberOfTensors) {
  const Tensor a = F32({1, 2}), b = MakeTensor<float>({2, 1}, {10, 20}), c = Tensor::Scalar(3.0f);
  EXPECT_THAT(Values<float>(RunOp("Sum", {a, b, c})), ElementsAre(14, 15, 24, 25));
  EXPECT_THAT(Values<float>(RunOp("Mean", {a, a, a})), ElementsAre(1, 2));
  EXPECT_THAT(Values<float>(RunOp("Max", {a, b, c})), ElementsAre(10, 10, 20, 20));
  EXPECT_THAT(Values<float>(RunOp("Min", {a})), ElementsAre(1, 2));
}

TEST(Elementwise, EmptyTensorsAreFine) {
  const Tensor empty = MakeTensor<float>({0, 3}, {});
  for (const char* op : {"Add", "Pow", "Less", "Max", "PRelu"}) {
    auto result = RunOp(op, {empty, F32({1, 2, 3})});
    ASSERT_TRUE(result.ok()) << op << result.status();
    EXPECT_EQ((*result)[0].elements(), 0);
  }
  EXPECT_TRUE(RunOp("Exp", {empty}).ok());
}

TEST(Elementwise, ShapesThatDoNotBroadcastAreAnErrorAtTheNode) {
  EXPECT_THAT(RunOp("Add", {F32({1, 2}), F32({1, 2, 3})}).status().message(),
              HasSubstr("shapes [2] and [3] do not broadcast"));
  EXPECT_FALSE(RunOp("PRelu", {F32({1}), F32({1, 2, 3})}).ok());
}

TEST(Elementwise, HalvesRoundOnceFromF32) {
  // 1 + 2^-11 lies between two f16: the even one is 1; 2049 rounds to 2048.
  const std::vector<Float16> a = {Float16(1), Float16(2048)};
  const std::vector<Float16> b = {Float16(0x1p-11f), Float16(1)};
  const std::vector<Float16> sum = Values<Float16>(RunOp("Add", {Vec(a), Vec(b)}));
  EXPECT_EQ(float{sum[0]}, 1);
  EXPECT_EQ(float{sum[1]}, 2048);
}

// Each activation's kernel against the op's own expansion, in the dtypes that have it.
TEST(Elementwise, ActivationsEqualTheirExpansions) {
  struct Case {
    const char* op;
    AttrList attrs;
  };
  const Case cases[] = {{"Relu", {}},
                        {"LeakyRelu", {{"alpha", 0.3f}}},
                        {"Elu", {{"alpha", 0.7f}}},
                        {"Selu", {}},
                        {"Celu", {{"alpha", 2.0f}}},
                        {"ThresholdedRelu", {{"alpha", 0.6f}}},
                        {"HardSigmoid", {}},
                        {"HardSwish", {}},
                        {"Softplus", {}},
                        {"Softsign", {}},
                        {"Gelu", {}},
                        {"Gelu", {{"approximate", "tanh"}}},
                        {"Mish", {}},
                        {"Swish", {{"alpha", 1.3f}}},
                        {"Shrink", {{"bias", 0.25f}, {"lambd", 1.0f}}}};
  const Tensor x = *Tensor::Random(DType::kF64, {1000}, {.seed = 3, .scale = 6});
  for (const Case& c : cases) {
    for (auto [dtype, tolerance] :
         {std::pair(DType::kF64, 1e-12), {DType::kF32, 2e-6}, {DType::kF16, 4e-3}}) {
      const Tensor in = Converted(x, dtype);
      auto expanded = RunExpansion(c.op, {in}, c.attrs);
      ASSERT_TRUE(expanded.ok()) << c.op << expanded.status();
      auto direct = RunOp(c.op, {in}, c.attrs);
      ASSERT_TRUE(direct.ok()) << c.op << direct.status();
      EXPECT_LE(RelativeError((*direct)[0], (*expanded)[0]), tolerance)
          << c.op << " in " << ToString(dtype);
    }
  }
}

TEST(Elementwise, ManyThreadsGiveTheSameNumbersAsOne) {
  const Tensor x = *Tensor::Random(DType::kF32, {64, 10000}, {.seed = 1});
  const Tensor y = *Tensor::Random(DType::kF32, {64, 1}, {.seed = 2});
  auto one = RunOp("Mul", {x, y}, {}, 1, 1), many = RunOp("Mul", {x, y}, {}, 1, 4);
  ASSERT_TRUE(one.ok() && many.ok());
  EXPECT_TRUE((*one)[0] == (*many)[0]);
}

}  // namespace
}  // namespace sluice
