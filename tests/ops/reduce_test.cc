#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ops/op.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

double At(const Tensor& t, int64_t i) {
  return VisitDType(
      t.dtype(), [&]<typename T>() { return static_cast<double>(t.data<T>()[i]); },
      [] { return 0.0; });
}

// The definition, in double: one list of elements for each result.
std::vector<std::vector<double>> Groups(const Tensor& x, const std::vector<bool>& reduced) {
  std::vector<int64_t> out_strides(x.rank(), 0);
  int64_t results = 1;
  for (int d = x.rank() - 1; d >= 0; --d) {
    if (reduced[d]) continue;
    out_strides[d] = results;
    results *= x.dims()[d];
  }
  std::vector<std::vector<double>> groups(results);
  for (int64_t i = 0; i < x.elements(); ++i) {
    int64_t rest = i, to = 0;
    for (int d = x.rank() - 1; d >= 0; --d) {
      to += rest % x.dims()[d] * out_strides[d];
      rest /= x.dims()[d];
    }
    groups[to].push_back(At(x, i));
  }
  return groups;
}

struct Case {
  const char* op;
  std::function<double(const std::vector<double>&)> expected;
};

double Fold(const std::vector<double>& v, double start,
            const std::function<double(double, double)>& f) {
  for (double x : v) start = f(start, x);
  return start;
}
double Sum(const std::vector<double>& v) { return Fold(v, 0, std::plus<double>()); }

const std::vector<Case>& Cases() {
  static const auto* const cases = new std::vector<Case>{
      {"ReduceSum", Sum},
      {"ReduceMean", [](auto& v) { return Sum(v) / static_cast<double>(v.size()); }},
      {"ReduceProd", [](auto& v) { return Fold(v, 1, std::multiplies<double>()); }},
      {"ReduceMax",
       [](auto& v) { return Fold(v, v[0], [](double a, double b) { return std::max(a, b); }); }},
      {"ReduceMin",
       [](auto& v) { return Fold(v, v[0], [](double a, double b) { return std::min(a, b); }); }},
      {"ReduceL1",
       [](auto& v) { return Fold(v, 0, [](double a, double b) { return a + std::abs(b); }); }},
      {"ReduceL2",
       [](auto& v) { return std::sqrt(Fold(v, 0, [](double a, double b) { return a + b * b; })); }},
      {"ReduceSumSquare",
       [](auto& v) { return Fold(v, 0, [](double a, double b) { return a + b * b; }); }},
      {"ReduceLogSum", [](auto& v) { return std::log(Sum(v)); }},
      {"ReduceLogSumExp",
       [](auto& v) {
         return std::log(Fold(v, 0, [](double a, double b) { return a + std::exp(b); }));
       }},
  };
  return *cases;
}

Tensor Values(DType dtype, absl::Span<const int64_t> dims) {
  Tensor t = *Tensor::Allocate(dtype, dims);
  VisitDType(
      dtype,
      [&]<typename T>() {
        for (int64_t i = 0; i < t.elements(); ++i) {
          // Small positive numbers, exact in every dtype; products stay small too.
          t.mutable_data<T>()[i] = static_cast<T>(static_cast<float>(1 + (i * 7 % 5 == 0)));
        }
      },
      [] {});
  return t;
}

void ExpectReduces(DType dtype, const std::vector<int64_t>& dims, const std::vector<int64_t>& axes,
                   int threads = 1) {
  std::vector<bool> reduced(dims.size(), axes.empty());
  for (int64_t a : axes) reduced[a < 0 ? a + static_cast<int64_t>(dims.size()) : a] = true;
  const Tensor x = IsInt(dtype)
                       ? Values(dtype, dims)
                       : *Tensor::Random(dtype, dims, {.seed = 5, .scale = 0.5, .offset = 1});
  const std::vector<std::vector<double>> groups = Groups(x, reduced);
  for (const Case& c : Cases()) {
    SCOPED_TRACE(absl::StrCat(c.op, " of ", x.TypeString(), " over ", DimsToString(axes)));
    const Tensor list = axes.empty() ? Tensor() : Tensor::Vector<int64_t>(axes);
    auto y = RunOp(c.op, {x, list}, {{"keepdims", 0}}, 1, threads);
    ASSERT_TRUE(y.ok()) << y.status();
    ASSERT_EQ((*y)[0].elements(), static_cast<int64_t>(groups.size()));
    const double epsilon = dtype == DType::kF16    ? 1e-3
                           : dtype == DType::kBF16 ? 8e-3
                           : dtype == DType::kF32  ? 2e-6
                                                   : 1e-12;
    for (size_t i = 0; i < groups.size(); ++i) {
      double expected = c.expected(groups[i]);
      if (IsInt(dtype)) expected = std::trunc(expected);
      ASSERT_NEAR(At((*y)[0], static_cast<int64_t>(i)), expected,
                  epsilon * std::max(1.0, std::abs(expected)))
          << "result " << i;
    }
  }
}

TEST(Reduce, EveryPatternOfAxes) {
  const std::vector<int64_t> dims = {3, 4, 5, 6};
  for (int mask = 0; mask < 16; ++mask) {
    std::vector<int64_t> axes;
    for (int d = 0; d < 4; ++d) {
      if (mask >> d & 1) axes.push_back(d % 2 == 0 ? d : d - 4);
    }
    ExpectReduces(DType::kF64, dims, axes);
    ExpectReduces(DType::kF32, dims, axes);
  }
}

TEST(Reduce, EveryDTypeOfTheSchema) {
  for (DType d : {DType::kF16, DType::kBF16, DType::kI32, DType::kI64, DType::kU32, DType::kU64}) {
    ExpectReduces(d, {4, 7, 9}, {1});
    ExpectReduces(d, {4, 7, 3}, {2});
  }
}

TEST(Reduce, InnermostAndMiddleRowsLongerThanATile) {
  ExpectReduces(DType::kF32, {3, 5000}, {1});
  ExpectReduces(DType::kF32, {2, 700, 33}, {1});
  ExpectReduces(DType::kF64, {2, 1500, 600}, {1});
  ExpectReduces(DType::kF32, {64, 3, 31, 29}, {0, 2, 3});
}

TEST(Reduce, LongReductionsRunInSlices) {
  ExpectReduces(DType::kF64, {300001}, {0}, 3);
  ExpectReduces(DType::kF64, {5, 301, 67, 2}, {1, 2}, 3);
}

TEST(Reduce, MeanOfAMillionFloatsIsGoodToAMillionth) {
  for (const std::vector<int64_t>& dims :
       {std::vector<int64_t>{1 << 20, 1}, {1 << 20, 3}, {1000, 1049}, {1, 1 << 20}}) {
    const Tensor x = *Tensor::Random(DType::kF32, dims, {.seed = 1, .scale = 0.5, .offset = 0.7});
    const std::vector<std::vector<double>> groups = Groups(x, {true, false});
    auto y = RunOp("ReduceMean", {x, Tensor::Vector<int64_t>(std::vector<int64_t>{0})}, {}, 1, 2);
    ASSERT_TRUE(y.ok()) << y.status();
    for (size_t i = 0; i < std::min<size_t>(groups.size(), 100); ++i) {
      const double expected = Sum(groups[i]) / static_cast<double>(groups[i].size());
      ASSERT_NEAR((*y)[0].data<float>()[i] / expected, 1, 1e-6);
    }
  }
}

TEST(Reduce, SumsDoNotDependOnThreads) {
  const Tensor x = *Tensor::Random(DType::kF32, {7, 123457}, {.seed = 3});
  for (const Case& c : Cases()) {
    auto one = RunOp(c.op, {x}, {}, 1, 1);
    auto four = RunOp(c.op, {x}, {}, 1, 4);
    ASSERT_TRUE(one.ok() && four.ok());
    EXPECT_TRUE((*one)[0] == (*four)[0]) << c.op;
  }
}

TEST(Reduce, KeepdimsAndNoopWithEmptyAxes) {
  const Tensor x = MakeTensor<float>({2, 3}, {1, -2, 3, -4, 5, -6});
  auto all = RunOp("ReduceSum", {x}, {{"keepdims", 1}});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ((*all)[0], MakeTensor<float>({1, 1}, {-3}));
  auto kept = RunOp("ReduceL1", {x, Tensor::Vector<int64_t>(std::vector<int64_t>{-1})}, {});
  EXPECT_EQ((*kept)[0], MakeTensor<float>({2, 1}, {6, 15}));
  const Tensor none = Tensor::Vector<int64_t>(std::vector<int64_t>{});
  auto noop = RunOp("ReduceSum", {x, none}, {{"noop_with_empty_axes", 1}});
  ASSERT_TRUE(noop.ok()) << noop.status();
  EXPECT_EQ((*noop)[0], x);
  // The part that is no reduction still happens.
  auto square = RunOp("ReduceSumSquare", {x}, {{"noop_with_empty_axes", 1}});
  EXPECT_EQ((*square)[0], MakeTensor<float>({2, 3}, {1, 4, 9, 16, 25, 36}));
  auto empty_means_all = RunOp("ReduceSum", {x, none}, {{"keepdims", 0}});
  EXPECT_EQ((*empty_means_all)[0], MakeTensor<float>({}, {-3}));
}

TEST(Reduce, ScalarsAndExtentsOfOne) {
  const Tensor s = Tensor::Scalar<float>(-3);
  EXPECT_EQ((*RunOp("ReduceL2", {s}))[0], Tensor::Scalar<float>(3));
  const Tensor x = MakeTensor<float>({1, 2, 1}, {4, 9});
  EXPECT_EQ((*RunOp("ReduceMean", {x, Tensor::Vector<int64_t>(std::vector<int64_t>{0, 2})},
                    {{"keepdims", 0}}))[0],
            MakeTensor<float>({2}, {4, 9}));
}

TEST(Reduce, OverNothingGivesTheNeutralElement) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const Tensor x = *Tensor::Allocate(DType::kF32, {2, 0, 3});
  const Tensor axes = Tensor::Vector<int64_t>(std::vector<int64_t>{1});
  const std::vector<std::pair<const char*, float>> cases = {
      {"ReduceSum", 0},       {"ReduceProd", 1},       {"ReduceMax", -kInf},
      {"ReduceMin", kInf},    {"ReduceL1", 0},         {"ReduceL2", 0},
      {"ReduceSumSquare", 0}, {"ReduceLogSum", -kInf}, {"ReduceLogSumExp", -kInf}};
  for (const auto& [op, expected] : cases) {
    auto y = RunOp(op, {x, axes});
    ASSERT_TRUE(y.ok()) << y.status();
    EXPECT_EQ((*y)[0], MakeTensor<float>({2, 1, 3}, std::vector<float>(6, expected))) << op;
  }
  EXPECT_TRUE(std::isnan((*RunOp("ReduceMean", {x, axes}))[0].data<float>()[0]));
  // An empty result of a non-empty reduction.
  auto y = RunOp("ReduceSum", {x, Tensor::Vector<int64_t>(std::vector<int64_t>{2})});
  EXPECT_EQ((*y)[0].TypeString(), "f32[2,0,1]");
  const Tensor i = *Tensor::Allocate(DType::kI32, {0});
  EXPECT_EQ((*RunOp("ReduceMax", {i}))[0], MakeTensor<int32_t>({1}, {INT32_MIN}));
  EXPECT_EQ((*RunOp("ReduceMean", {i}))[0], MakeTensor<int32_t>({1}, {0}));
}

// However many there are, by rows and by columns: a sum that begins with 0.0 would be 0.0.
TEST(Reduce, MinusZerosSumToMinusZero) {
  for (int64_t n : {1, 2, 3, 17, 64, 1000}) {
    for (int64_t axis : {0, 1}) {
      const Dims dims = axis == 1 ? Dims{3, n} : Dims{n, 3};
      const Tensor x = MakeTensor<float>(dims, std::vector<float>(3 * n, -0.0f));
      const Tensor axes = Tensor::Vector<int64_t>(std::vector<int64_t>{axis});
      for (const char* op : {"ReduceSum", "ReduceMean"}) {
        const Tensor y = (*RunOp(op, {x, axes}))[0];
        for (float v : y.values<float>()) EXPECT_TRUE(std::signbit(v)) << op << " of " << n;
      }
    }
  }
}

TEST(Reduce, SmallIntegersAndBools) {
  const Tensor b = MakeBools({2, 2}, {1, 0, 1, 1});
  const Tensor axes = Tensor::Vector<int64_t>(std::vector<int64_t>{1});
  EXPECT_EQ((*RunOp("ReduceMax", {b, axes}, {{"keepdims", 0}}))[0], MakeBools({2}, {1, 1}));
  EXPECT_EQ((*RunOp("ReduceMin", {b, axes}, {{"keepdims", 0}}))[0], MakeBools({2}, {0, 1}));
  const Tensor i8 = MakeTensor<int8_t>({4}, {-128, 127, 3, 0});
  EXPECT_EQ((*RunOp("ReduceMin", {i8}))[0], MakeTensor<int8_t>({1}, {-128}));
  const Tensor u8 = MakeTensor<uint8_t>({4}, {255, 127, 3, 0});
  EXPECT_EQ((*RunOp("ReduceMax", {u8}))[0], MakeTensor<uint8_t>({1}, {255}));
}

TEST(Reduce, IntegerSumsWrapAndMeansDoNot) {
  const Tensor x = MakeTensor<int32_t>({2}, {INT32_MAX, INT32_MAX});
  EXPECT_EQ((*RunOp("ReduceSum", {x}))[0], MakeTensor<int32_t>({1}, {-2}));
  EXPECT_EQ((*RunOp("ReduceMean", {x}))[0], MakeTensor<int32_t>({1}, {INT32_MAX}));
}

// Toward zero, whatever the size of the numbers and of their sum.
template <typename T>
void CheckWholeMeans(uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const Dims& dims : {Dims{3, 7, 5}, Dims{2, 1000, 3}, Dims{70000}}) {
    Tensor x = *Tensor::Allocate(kDTypeOf<T>, dims);
    for (int64_t i = 0; i < x.elements(); ++i) {
      // Large ones of either sign, and small ones that leave remainders.
      const T large = static_cast<T>(random());
      x.mutable_data<T>()[i] = random() % 4 == 0 ? static_cast<T>(random() % 9) : large;
    }
    for (int64_t axis = 0; axis < static_cast<int64_t>(dims.size()); ++axis) {
      const Tensor axes = Tensor::Vector<int64_t>(std::vector<int64_t>{axis});
      const auto y = RunOp("ReduceMean", {x, axes}, {}, 1, 2);
      ASSERT_TRUE(y.ok()) << y.status();
      int64_t inner = 1;
      for (size_t i = static_cast<size_t>(axis) + 1; i < dims.size(); ++i) inner *= dims[i];
      for (int64_t i = 0; i < (*y)[0].elements(); ++i) {
        __int128 sum = 0;
        for (int64_t k = 0; k < dims[axis]; ++k) {
          sum += x.data<T>()[(i / inner * dims[axis] + k) * inner + i % inner];
        }
        ASSERT_EQ((*y)[0].data<T>()[i], static_cast<T>(sum / dims[axis])) << axis << " " << i;
      }
    }
  }
}

TEST(Reduce, MeansOfIntegersAreExact) {
  CheckWholeMeans<int64_t>(1);
  CheckWholeMeans<uint64_t>(2);
  CheckWholeMeans<int32_t>(3);
  CheckWholeMeans<uint32_t>(4);
  constexpr int64_t kOdd = (int64_t{1} << 53) + 1;  // no f64
  EXPECT_EQ((*RunOp("ReduceMean", {MakeTensor<int64_t>({3}, {kOdd, kOdd, kOdd})}))[0],
            MakeTensor<int64_t>({1}, {kOdd}));
  EXPECT_EQ((*RunOp("ReduceMean", {MakeTensor<int64_t>({2}, {INT64_MIN, INT64_MAX})}))[0],
            MakeTensor<int64_t>({1}, {0}));
  EXPECT_EQ((*RunOp("ReduceMean", {MakeTensor<int64_t>({2}, {-7, 2})}))[0],
            MakeTensor<int64_t>({1}, {-2}));
}

TEST(Reduce, LogSumExpOfExtremes) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_NEAR(
      (*RunOp("ReduceLogSumExp", {MakeTensor<float>({2}, {1000, 1000})}))[0].data<float>()[0],
      1000.6931, 1e-3);
  EXPECT_EQ((*RunOp("ReduceLogSumExp", {MakeTensor<float>({2}, {-kInf, -kInf})}))[0],
            MakeTensor<float>({1}, {-kInf}));
  EXPECT_EQ((*RunOp("ReduceLogSumExp", {MakeTensor<float>({2}, {3, kInf})}))[0],
            MakeTensor<float>({1}, {kInf}));
}

TEST(Reduce, NaNIsTheExtreme) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const char* op : {"ReduceMax", "ReduceMin"}) {
    const Tensor x = MakeTensor<float>({2, 3}, {1, nan, 2, nan, 3, 4});
    auto rows = RunOp(op, {x, Tensor::Vector<int64_t>(std::vector<int64_t>{1})});
    EXPECT_TRUE(std::isnan((*rows)[0].data<float>()[0]) && std::isnan((*rows)[0].data<float>()[1]));
    auto columns = RunOp(op, {x, Tensor::Vector<int64_t>(std::vector<int64_t>{0})});
    EXPECT_TRUE(std::isnan((*columns)[0].data<float>()[0]) &&
                std::isnan((*columns)[0].data<float>()[1]));
    EXPECT_FALSE(std::isnan((*columns)[0].data<float>()[2]));
  }
}

TEST(Reduce, BadAxesAreErrors) {
  const Tensor x = MakeTensor<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  auto out = RunOp("ReduceSum", {x, Tensor::Vector<int64_t>(std::vector<int64_t>{2})});
  EXPECT_THAT(out.status().message(), HasSubstr("axis 2 is out of range for rank 2"));
  auto twice = RunOp("ReduceSum", {x, Tensor::Vector<int64_t>(std::vector<int64_t>{1, -1})});
  EXPECT_THAT(twice.status().message(), HasSubstr("listed twice"));
}

Type InferReduce(absl::string_view op, const Type& x, const AttrList& attrs,
                 std::optional<std::vector<int64_t>> axes) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* in = b.Input("x", x);
  Value* list = axes.has_value() ? b.Ints(*axes) : nullptr;
  Value* y = b.Op(op, {in, list}, attrs);
  return y == nullptr ? Type() : y->type();
}

TEST(Reduce, InfersSymbolicShapes) {
  const Dim n = Dim::Symbol("n");
  const Type x = Type::Tensor(DType::kF32, Shape{n, 4, n + 1});
  EXPECT_EQ(InferReduce("ReduceSum", x, {}, {{-1}}).ToString(), "f32[n,4,1]");
  EXPECT_EQ(InferReduce("ReduceSum", x, {{"keepdims", 0}}, {{1}}).ToString(), "f32[n,n+1]");
  EXPECT_EQ(InferReduce("ReduceSum", x, {{"keepdims", 0}}, {}).ToString(), "f32[]");
  EXPECT_EQ(InferReduce("ReduceMax", Type::Tensor(DType::kF32), {{"keepdims", 0}}, {}).ToString(),
            "f32[]");
}

TEST(Reduce, CountsElementsOfASymbolicShape) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("n"), 4}));
  Value* count = b.Op("ReduceProd", {b.Op("Shape", {x})}, {{"keepdims", 0}});
  ASSERT_TRUE(b.status().ok()) << b.status();
  ASSERT_TRUE(count->known_dims().has_value());
  EXPECT_EQ(ShapeToString(*count->known_dims()), "[4*n]");
}

// Axes that only the run gives: their number tells the rank.
TEST(Reduce, TheNumberOfAxesTellsTheRank) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", *Type::Parse("f32[n,3,4]"));
  Value* two = b.Input("two", *Type::Parse("i64[2]"));
  Value* some = b.Input("some", *Type::Parse("i64[k]"));
  EXPECT_EQ(b.Op("ReduceSum", {x, two}, {{"keepdims", 0}})->type().rank(), 1);
  EXPECT_EQ(b.Op("ReduceSum", {x, two}, {{"keepdims", 1}})->type().rank(), 3);
  EXPECT_FALSE(b.Op("ReduceSum", {x, some}, {{"keepdims", 0}})->type().has_shape());
  EXPECT_TRUE(b.status().ok()) << b.status();
  Value* five = b.Input("five", *Type::Parse("i64[5]"));
  EXPECT_EQ(b.Op("ReduceSum", {x, five}, {{"keepdims", 0}}), nullptr);
  EXPECT_FALSE(b.status().ok());
}

}  // namespace
}  // namespace sluice
