#include <cmath>
#include <functional>
#include <numeric>
#include <random>

#include "gtest/gtest.h"
#include "kernels/cpu/tile/plan.h"
#include "kernels/tile/program.h"

namespace sluice::cpu {
namespace {

std::vector<float> RandomFloats(int64_t n, uint32_t seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> uniform(-2, 2);
  std::vector<float> x(n);
  for (float& v : x) v = uniform(engine);
  return x;
}

Dims Contiguous(absl::Span<const int64_t> dims) { return BroadcastStrides(dims, dims); }

int64_t Elements(absl::Span<const int64_t> dims) { return *ElementCount(dims); }

void RunPlan(const TilePlan& p, const std::vector<const void*>& inputs,
             const std::vector<void*>& outputs, int threads) {
  std::vector<char> scratch(p.scratch_bytes() + 64);
  char* aligned = scratch.data() + (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64;
  ThreadPool pool(threads);
  p.Run(inputs, outputs, aligned, &pool);
}

// The elements of `from` as broadcast to `space`.
std::vector<float> Broadcast(const std::vector<float>& from, absl::Span<const int64_t> dims,
                             absl::Span<const int64_t> space) {
  const Dims strides = BroadcastStrides(dims, space);
  std::vector<float> out(Elements(space));
  for (int64_t i = 0; i < static_cast<int64_t>(out.size()); ++i) {
    int64_t rest = i, offset = 0;
    for (size_t k = space.size(); k-- > 0;) {
      offset += rest % space[k] * strides[k];
      rest /= space[k];
    }
    out[i] = from[offset];
  }
  return out;
}

struct BroadcastCase {
  Dims a, b, space;
};
class TileBroadcast : public testing::TestWithParam<BroadcastCase> {};

TEST_P(TileBroadcast, FusedChainEqualsElementByElement) {
  const BroadcastCase& c = GetParam();
  const std::vector<float> a = RandomFloats(Elements(c.a), 1), b = RandomFloats(Elements(c.b), 2);
  const std::vector<float> wide_a = Broadcast(a, c.a, c.space), wide_b = Broadcast(b, c.b, c.space);
  for (int threads : {1, 3}) {
    TileProgram p(c.space);
    const auto x = p.Input(DType::kF32, BroadcastStrides(c.a, c.space));
    const auto y = p.Input(DType::kF32, BroadcastStrides(c.b, c.space));
    const auto two = p.Scalar(DType::kF32, 2);
    const auto scaled = p.Step(TileStep::kMul, {p.Step(TileStep::kSub, {x, y}), two});
    const auto chosen = p.Step(TileStep::kWhere, {p.Step(TileStep::kLess, {x, y}), scaled, y});
    p.Output(chosen, DType::kF32, Contiguous(c.space));
    p.Output(p.Step(TileStep::kPRelu, {x, y}), DType::kF64, Contiguous(c.space));
    absl::StatusOr<TilePlan> plan = TilePlan::Make(p, threads);
    ASSERT_TRUE(plan.ok()) << plan.status();
    std::vector<float> out(wide_a.size() + 1, -77);
    std::vector<double> out2(wide_a.size() + 1, -77);
    RunPlan(*plan, {a.data(), b.data()}, {out.data(), out2.data()}, threads);
    for (size_t i = 0; i < wide_a.size(); ++i) {
      const float u = wide_a[i], v = wide_b[i];
      ASSERT_EQ(out[i], u < v ? (u - v) * 2 : v) << i;
      ASSERT_EQ(out2[i], u < 0 ? u * v : u) << i;
    }
    EXPECT_EQ(out.back(), -77);
    EXPECT_EQ(out2.back(), -77);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, TileBroadcast,
    testing::Values(BroadcastCase{{100}, {100}, {100}}, BroadcastCase{{}, {}, {}},
                    BroadcastCase{{0}, {1}, {0}}, BroadcastCase{{3, 0, 2}, {}, {3, 0, 2}},
                    BroadcastCase{{200000}, {}, {200000}}, BroadcastCase{{}, {70001}, {70001}},
                    BroadcastCase{{50, 1000}, {1000}, {50, 1000}},
                    BroadcastCase{{5000, 3}, {3}, {5000, 3}},
                    BroadcastCase{{5000, 3}, {5000, 1}, {5000, 3}},
                    BroadcastCase{{4, 7, 3136}, {7, 1}, {4, 7, 3136}},
                    BroadcastCase{{4, 7, 300}, {7, 1}, {4, 7, 300}},
                    BroadcastCase{{4, 7, 9999}, {1, 7, 1}, {4, 7, 9999}},
                    BroadcastCase{{37, 1}, {1, 41}, {37, 41}},
                    BroadcastCase{{300, 1, 7}, {1, 41, 1}, {300, 41, 7}},
                    BroadcastCase{{1, 5, 1, 7, 1}, {3, 1, 4, 1, 6}, {3, 5, 4, 7, 6}},
                    BroadcastCase{{2, 1, 128, 128}, {2, 1, 1, 128}, {2, 1, 128, 128}},
                    BroadcastCase{{2, 12, 128, 128}, {2, 1, 1, 128}, {2, 12, 128, 128}}));

struct SoftmaxCase {
  int64_t outer, row, inner;
};
class TileSoftmax : public testing::TestWithParam<SoftmaxCase> {};

// Three levels: maximum, sum of exponentials, quotient. And a mean as a row output.
TEST_P(TileSoftmax, EveryModeGivesTheSameNumbers) {
  const auto [outer, row, inner] = GetParam();
  const Dims space = {outer, row, inner};
  const std::vector<float> x = RandomFloats(Elements(space), 3);
  for (int threads : {1, 2}) {
    TileProgram p(space, {1, 2});
    const auto in = p.Input(DType::kF32, Contiguous(space));
    const auto mean = p.Step(
        TileStep::kMul,
        {p.Reduce(ReduceOp::kSum, in), p.Scalar(DType::kF32, 1.0 / static_cast<double>(row))});
    const auto shifted = p.Step(TileStep::kSub, {in, p.Reduce(ReduceOp::kMax, in)});
    const auto e = p.Step(TileStep::kExp, {shifted});
    const auto softmax = p.Step(TileStep::kDiv, {e, p.Reduce(ReduceOp::kSum, e)});
    p.Output(softmax, DType::kF32, Contiguous(space));
    const Dims kept = {outer, 1, inner};
    p.Output(mean, DType::kF32, BroadcastStrides(kept, space));
    absl::StatusOr<TilePlan> plan = TilePlan::Make(p, threads);
    ASSERT_TRUE(plan.ok()) << plan.status();
    std::vector<float> out(x.size()), means(outer * inner);
    RunPlan(*plan, {x.data()}, {out.data(), means.data()}, threads);
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t i = 0; i < inner; ++i) {
        const auto at = [&](int64_t r) { return (o * row + r) * inner + i; };
        double sum = 0, total = 0;
        for (int64_t r = 0; r < row; ++r) {
          sum += std::exp(double{x[at(r)]});
          total += x[at(r)];
        }
        ASSERT_NEAR(means[o * inner + i], total / static_cast<double>(row), 2e-5);
        for (int64_t r = 0; r < row; ++r) {
          const double expected = std::exp(double{x[at(r)]}) / sum;
          ASSERT_NEAR(out[at(r)], expected, 4e-6 * expected) << o << " " << r << " " << i;
        }
      }
    }
    if (row == 1) continue;  // all values are rows then
    // In place: the input may be overwritten, as nothing reads it later.
    ASSERT_EQ(plan->in_place().size(), 1u);
    std::vector<float> shared = x;
    RunPlan(*plan, {shared.data()}, {shared.data(), means.data()}, threads);
    EXPECT_EQ(shared, out);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, TileSoftmax,
                         testing::Values(SoftmaxCase{64, 1000, 1}, SoftmaxCase{1000, 3, 1},
                                         SoftmaxCase{1, 1, 1}, SoftmaxCase{5, 1, 9},
                                         SoftmaxCase{3, 20000, 1}, SoftmaxCase{2, 150001, 1},
                                         SoftmaxCase{5, 37, 19}, SoftmaxCase{2, 100, 3000},
                                         SoftmaxCase{2, 700, 3}, SoftmaxCase{3, 301, 32},
                                         SoftmaxCase{1, 90, 200}, SoftmaxCase{1, 8, 20000},
                                         SoftmaxCase{7, 5, 2}));

// Few columns are taken many rows at a time; the sum of each is what it is one row after the other.
TEST(TileProgram, ColumnsAreSummedInTheOrderOfTheirRows) {
  for (int64_t columns : {2, 3, 8, 15, 16, 17, 63, 64, 65, 100, 129, 255, 300}) {
    SCOPED_TRACE(columns);
    const Dims space = {3, 611, columns}, kept = {3, 1, columns};
    const std::vector<float> x = RandomFloats(Elements(space), 3);
    std::vector<int16_t> n;
    for (float v : x) n.push_back(static_cast<int16_t>(v * 9000));
    TileProgram p(space, {1, 2});
    const auto in = p.Input(DType::kF32, Contiguous(space));
    p.Output(p.Reduce(ReduceOp::kSum, p.Step(TileStep::kSquare, {in})), DType::kF32,
             BroadcastStrides(kept, space));
    const auto whole = p.Input(DType::kI16, Contiguous(space));
    p.Output(p.Reduce(ReduceOp::kSum, whole), DType::kI16, BroadcastStrides(kept, space));
    p.Output(p.Reduce(ReduceOp::kMin, whole), DType::kI16, BroadcastStrides(kept, space));
    absl::StatusOr<TilePlan> plan = TilePlan::Make(p, 2);
    ASSERT_TRUE(plan.ok()) << plan.status();
    std::vector<float> sums(3 * columns);
    std::vector<int16_t> totals(3 * columns), least(3 * columns);
    RunPlan(*plan, {x.data(), n.data()}, {sums.data(), totals.data(), least.data()}, 2);
    for (int64_t o = 0; o < 3; ++o) {
      for (int64_t c = 0; c < columns; ++c) {
        float sum = 0;
        uint16_t total = 0;
        int16_t smallest = INT16_MAX;
        for (int64_t r = 0; r < 611; ++r) {
          const int64_t at = (o * 611 + r) * columns + c;
          sum += x[at] * x[at];
          total = static_cast<uint16_t>(total + n[at]);
          smallest = std::min(smallest, n[at]);
        }
        ASSERT_EQ(sums[o * columns + c], sum) << o << " " << c;
        ASSERT_EQ(totals[o * columns + c], static_cast<int16_t>(total)) << o << " " << c;
        ASSERT_EQ(least[o * columns + c], smallest) << o << " " << c;
      }
    }
  }
}

TEST(TileProgram, ReducesAnEmptyRowToTheNeutralElement) {
  TileProgram p({4, 0}, {1, 2});
  const auto x = p.Input(DType::kF32, {0, 1});
  p.Output(p.Reduce(ReduceOp::kSum, x), DType::kF32, {1, 0});
  p.Output(p.Reduce(ReduceOp::kMax, x), DType::kF32, {1, 0});
  absl::StatusOr<TilePlan> plan = TilePlan::Make(p, 1);
  ASSERT_TRUE(plan.ok()) << plan.status();
  std::vector<float> sums(4, 5), highest(4, 5);
  RunPlan(*plan, {sums.data()}, {sums.data(), highest.data()}, 1);
  EXPECT_EQ(sums, std::vector<float>(4, 0));
  EXPECT_EQ(highest, std::vector<float>(4, -INFINITY));
}

TEST(TileProgram, SumsRowsOfEveryIntegerWithWrapping) {
  const std::vector<int8_t> x = {100, 100, 1, -100, -100, 2};
  TileProgram p({2, 3}, {1, 2});
  p.Output(p.Reduce(ReduceOp::kSum, p.Input(DType::kI8, {3, 1})), DType::kI8, {1, 0});
  absl::StatusOr<TilePlan> plan = TilePlan::Make(p, 1);
  ASSERT_TRUE(plan.ok()) << plan.status();
  std::vector<int8_t> sums(2);
  RunPlan(*plan, {x.data()}, {sums.data()}, 1);
  EXPECT_EQ(sums, (std::vector<int8_t>{-55, 58}));
}

TEST(TileProgram, NormalisesHalvesWithScaleAndBias) {
  constexpr int64_t kRows = 33, kColumns = 257;
  std::vector<Float16> x, y(kRows * kColumns);
  for (float v : RandomFloats(kRows * kColumns, 5)) x.push_back(Float16(v));
  const std::vector<float> gamma = RandomFloats(kColumns, 6), beta = RandomFloats(kColumns, 7);
  TileProgram p({kRows, kColumns}, {1, 2});
  const auto in = p.Input(DType::kF16, {kColumns, 1});
  const auto share = p.Scalar(DType::kF32, 1.0 / kColumns);
  const auto mean = p.Step(TileStep::kMul, {p.Reduce(ReduceOp::kSum, in), share});
  const auto centred = p.Step(TileStep::kSub, {in, mean});
  const auto squares = p.Reduce(ReduceOp::kSum, p.Step(TileStep::kSquare, {centred}));
  const auto variance = p.Step(TileStep::kMul, {squares, share});
  const auto scale = p.Step(TileStep::kPowMinusHalf,
                            {p.Step(TileStep::kAdd, {variance, p.Scalar(DType::kF32, 1e-5)})});
  const auto scaled = p.Step(
      TileStep::kMul, {p.Step(TileStep::kMul, {centred, scale}), p.Input(DType::kF32, {0, 1})});
  p.Output(p.Step(TileStep::kAdd, {scaled, p.Input(DType::kF32, {0, 1})}), DType::kF16,
           {kColumns, 1});
  absl::StatusOr<TilePlan> plan = TilePlan::Make(p, 2);
  ASSERT_TRUE(plan.ok()) << plan.status();
  RunPlan(*plan, {x.data(), gamma.data(), beta.data()}, {y.data()}, 2);
  for (int64_t r = 0; r < kRows; ++r) {
    double sum = 0, square = 0;
    for (int64_t c = 0; c < kColumns; ++c) sum += x[r * kColumns + c];
    const double m = sum / kColumns;
    for (int64_t c = 0; c < kColumns; ++c) square += std::pow(x[r * kColumns + c] - m, 2);
    for (int64_t c = 0; c < kColumns; ++c) {
      const double e = (x[r * kColumns + c] - m) / std::sqrt(square / kColumns + 1e-5) * gamma[c];
      ASSERT_NEAR(y[r * kColumns + c], e + beta[c], 4e-3);
    }
  }
}

TEST(TileProgram, MayNotOverwriteAnInputThatAStepReadsLater) {
  TileProgram p({100});
  const auto x = p.Input(DType::kF32, {1});
  const auto e = p.Step(TileStep::kExp, {x});
  p.Output(e, DType::kF32, {1});
  p.Output(p.Step(TileStep::kAdd, {e, x}), DType::kF32, {1});
  absl::StatusOr<TilePlan> plan = TilePlan::Make(p, 1);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->in_place(), (std::vector<std::pair<int, int>>{{1, 0}}));
}

TEST(TileProgram, WritesTransposedResults) {
  const std::vector<float> x = RandomFloats(6, 8);
  TileProgram p({2, 3});
  p.Output(p.Step(TileStep::kNeg, {p.Input(DType::kF32, {3, 1})}), DType::kF32, {1, 2});
  absl::StatusOr<TilePlan> plan = TilePlan::Make(p, 1);
  ASSERT_TRUE(plan.ok()) << plan.status();
  std::vector<float> y(6);
  RunPlan(*plan, {x.data()}, {y.data()}, 1);
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 3; ++j) EXPECT_EQ(y[j * 2 + i], -x[i * 3 + j]);
  }
}

TEST(TileProgram, MisuseIsAnErrorThatNamesTheStep) {
  TileProgram mixed({4});
  mixed.Step(TileStep::kAdd, {mixed.Input(DType::kF32, {1}), mixed.Input(DType::kI32, {1})});
  EXPECT_EQ(mixed.status().message(), "step add of a tile program mixes i32 and others");
  EXPECT_EQ(TilePlan::Make(mixed, 1).status(), mixed.status());
  TileProgram strides({4, 4});
  strides.Input(DType::kF32, {1});
  EXPECT_FALSE(strides.status().ok());
}

// A program says what is to be computed; what this device lacks is found when it plans.
TEST(TileProgram, StepWithoutAFunctionIsThePlansToRefuse) {
  TileProgram missing({4});
  missing.Output(missing.Step(TileStep::kExp, {missing.Input(DType::kI32, {1})}), DType::kI32, {1});
  EXPECT_TRUE(missing.status().ok());
  const absl::Status s = TilePlan::Make(missing, 1).status();
  EXPECT_EQ(s.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(s.message(), "step exp in i32");
}

TEST(TileProgram, TextSaysAllOfIt) {
  TileProgram p({64, 1000}, {1, 2});
  const auto x = p.Input(DType::kF16, {1000, 1});
  const auto e = p.Step(TileStep::kExp, {p.Step(TileStep::kSub, {x, p.Reduce(ReduceOp::kMax, x)})});
  const auto slope = p.Step(TileStep::kLeakyRelu, {e}, {.a = 0.25});
  const auto key = p.Input(DType::kU64, {0, 0});
  const auto noise = p.Random(Distribution::kUniform, key, 7, DType::kF32, {1000, 1});
  p.Output(p.Step(TileStep::kAdd, {slope, noise}), DType::kF16, {1000, 1});
  p.Output(p.Step(TileStep::kMul, {p.Reduce(ReduceOp::kSum, e), p.Scalar(DType::kF32, 0.5)}),
           DType::kF32, {1, 0});
  EXPECT_EQ(p.Text(), R"(tile [64,1000] reduce 1..2 {
  %0 = input 0 f16 [1000,1]
  %1 = f32 %0 : f32
  %2 = rmax %1 : f32 row
  %3 = sub %1 %2 : f32
  %4 = exp %3 : f32
  %5 = leakyrelu %4 (0.25, 0) : f32
  %6 = input 1 u64 [0,0] one
  %7 = uniform key 1 stream 7 f32 [1000,1]
  %8 = add %5 %7 : f32
  %9 = f16 %8 : f16
  %10 = sum %4 : f32 row
  %11 = 0.5 f32
  %12 = mul %10 %11 : f32 row
  output 0 f16 [1000,1] = %9
  output 1 f32 [1,0] = %12
}
)");
  EXPECT_EQ(p.ToString(), "tile[f32 rmax sub exp leakyrelu uniform add f16 sum mul]");
}

}  // namespace
}  // namespace sluice::cpu
