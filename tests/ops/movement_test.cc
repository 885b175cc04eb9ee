// The ops that move elements without looking at them: every element size, strings, empty tensors.
#include <numeric>

#include "gtest/gtest.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

Tensor Ints(const std::vector<int64_t>& values) {
  return MakeTensor<int64_t>({static_cast<int64_t>(values.size())}, values);
}
Tensor Iota(DType dtype, absl::Span<const int64_t> dims) {
  Tensor t = *Tensor::Allocate(dtype, dims);
  for (int64_t i = 0; i < t.elements() && dtype == DType::kString; ++i) {
    t.mutable_data<std::string>()[i] =
        std::string(static_cast<size_t>(i % 30), 'a') + std::to_string(i);
  }
  VisitDType(
      dtype,
      [&]<typename T>() {
        for (int64_t i = 0; i < t.elements(); ++i) {
          t.mutable_data<T>()[i] = static_cast<T>(static_cast<float>(i));
        }
      },
      [] {});
  return t;
}
template <typename T>
Tensor Iota(absl::Span<const int64_t> dims) {
  return Iota(kDTypeOf<T>, dims);
}

// The elements of a result as positions in Iota(): the same for every dtype.
std::vector<int64_t> Positions(const Tensor& t) {
  std::vector<int64_t> result;
  for (int64_t i = 0; i < t.elements() && t.dtype() == DType::kString; ++i) {
    const std::string& v = t.data<std::string>()[i];
    result.push_back(v.empty() ? 0 : std::stoll(v.substr(v.find_first_not_of('a'))));
  }
  VisitDType(
      t.dtype(),
      [&]<typename T>() {
        for (const T& v : t.values<T>()) result.push_back(static_cast<int64_t>(v));
      },
      [] {});
  return result;
}

class MovementTest : public ::testing::TestWithParam<DType> {
 protected:
  Tensor Iota(absl::Span<const int64_t> dims) { return ::sluice::Iota(GetParam(), dims); }
  void Expect(absl::string_view op, const std::vector<Tensor>& inputs, const AttrList& attrs,
              const Dims& dims, const std::vector<int64_t>& positions) {
    absl::StatusOr<std::vector<Tensor>> y = RunOp(op, inputs, attrs, 1, 2);
    ASSERT_TRUE(y.ok()) << op << ": " << y.status();
    EXPECT_EQ(DimsToString((*y)[0].dims()), DimsToString(dims)) << op;
    EXPECT_EQ(Positions((*y)[0]), positions) << op;
  }
};
INSTANTIATE_TEST_SUITE_P(EveryDType, MovementTest,
                         ::testing::Values(DType::kF64, DType::kF32, DType::kF16, DType::kBF16,
                                           DType::kI64, DType::kI32, DType::kI16, DType::kI8,
                                           DType::kU64, DType::kU32, DType::kU16, DType::kU8,
                                           DType::kString),
                         [](const auto& info) { return std::string(ToString(info.param)); });

TEST_P(MovementTest, Transpose) {
  Expect("Transpose", {Iota({2, 3})}, {}, {3, 2}, {0, 3, 1, 4, 2, 5});
  Expect("Transpose", {Iota({2, 1, 3})}, {{"perm", std::vector<int64_t>{1, 2, 0}}}, {1, 3, 2},
         {0, 3, 1, 4, 2, 5});
  Expect("Transpose", {Iota({0, 3})}, {}, {3, 0}, {});
  Expect("Transpose", {Iota({})}, {}, {}, {0});
}

TEST_P(MovementTest, ConcatAndSplit) {
  const Tensor x = Iota({2, 3});
  Expect("Concat", {x, Iota({2, 0}), Iota({2, 1})}, {{"axis", -1}}, {2, 4},
         {0, 1, 2, 0, 3, 4, 5, 1});
  Expect("Concat", {x, x}, {{"axis", 0}}, {4, 3}, {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5});
  absl::StatusOr<std::vector<Tensor>> parts = RunOp("Split", {x}, {{"axis", 1}}, 2);
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ(Positions((*parts)[0]), (std::vector<int64_t>{0, 1, 3, 4}));
  EXPECT_EQ(Positions((*parts)[1]), (std::vector<int64_t>{2, 5}));
  parts = RunOp("Split", {x, Ints({0, 2, 1})}, {{"axis", -1}}, 3);
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ((*parts)[0].elements(), 0);
  EXPECT_EQ(Positions((*parts)[2]), (std::vector<int64_t>{2, 5}));
}

TEST_P(MovementTest, Slice) {
  const Tensor x = Iota({3, 4});
  Expect("Slice", {x, Ints({1, 0}), Ints({3, 4}), Ints({0, 1}), Ints({1, 2})}, {}, {2, 2},
         {4, 6, 8, 10});
  Expect("Slice", {x, Ints({-1}), Ints({INT64_MIN}), Ints({1}), Ints({-3})}, {}, {3, 2},
         {3, 0, 7, 4, 11, 8});
  Expect("Slice", {x, Ints({100}), Ints({-100}), Ints({0}), Ints({-1})}, {}, {3, 4},
         {8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3});
  Expect("Slice", {x, Ints({2}), Ints({1})}, {}, {0, 4}, {});
  Expect("Slice", {x, Ints({0}), Ints({3}), Ints({0}), Ints({INT64_MAX})}, {}, {1, 4},
         {0, 1, 2, 3});
  Expect("Slice", {x, Ints({2}), Ints({-9}), Ints({0}), Ints({INT64_MIN})}, {}, {1, 4},
         {8, 9, 10, 11});
}

TEST_P(MovementTest, ExpandAndTile) {
  Expect("Expand", {Iota({2, 1}), Ints({2, 1, 3})}, {}, {2, 2, 3},
         {0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1});
  Expect("Expand", {Iota({}), Ints({0})}, {}, {0}, {});
  Expect("Tile", {Iota({2, 2}), Ints({2, 2})}, {}, {4, 4},
         {0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3});
  Expect("Tile", {Iota({2, 2}), Ints({1, 0})}, {}, {2, 0}, {});
}

TEST_P(MovementTest, PadInEveryMode) {
  const Tensor x = Iota({2, 3}), pads = Ints({0, 2, 1, 1});
  auto mode = [](const char* m) { return AttrList{{"mode", m}}; };
  Expect("Pad", {x, pads}, {}, {3, 6}, {0, 0, 0, 1, 2, 0, 0, 0, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0});
  Expect("Pad", {x, pads}, mode("edge"), {3, 6},
         {0, 0, 0, 1, 2, 2, 3, 3, 3, 4, 5, 5, 3, 3, 3, 4, 5, 5});
  Expect("Pad", {x, pads}, mode("reflect"), {3, 6},
         {2, 1, 0, 1, 2, 1, 5, 4, 3, 4, 5, 4, 2, 1, 0, 1, 2, 1});
  Expect("Pad", {x, pads}, mode("wrap"), {3, 6},
         {1, 2, 0, 1, 2, 0, 4, 5, 3, 4, 5, 3, 1, 2, 0, 1, 2, 0});
  Expect("Pad", {x, Ints({-1, 1}), Tensor(), Ints({-1})}, {}, {2, 3}, {1, 2, 0, 4, 5, 0});
  Expect("Pad", {x, Ints({-1, 1}), Tensor(), Ints({-1})}, mode("reflect"), {2, 3},
         {1, 2, 1, 4, 5, 4});
  Expect("Pad", {x, Ints({-3, 2}), Tensor(), Ints({1})}, {}, {2, 2}, {0, 0, 0, 0});
}

TEST_P(MovementTest, GatherFamily) {
  const Tensor x = Iota({3, 2});
  Expect("Gather", {x, MakeTensor<int32_t>({2, 1}, {2, -3})}, {}, {2, 1, 2}, {4, 5, 0, 1});
  Expect("Gather", {x, Tensor::Scalar<int64_t>(-1)}, {{"axis", 1}}, {3}, {1, 3, 5});
  Expect("GatherElements", {x, MakeTensor<int64_t>({1, 2}, {2, -2})}, {}, {1, 2}, {4, 3});
  Expect("GatherElements", {x, MakeTensor<int64_t>({3, 1}, {1, 0, -1})}, {{"axis", 1}}, {3, 1},
         {1, 2, 5});
  Expect("GatherND", {x, MakeTensor<int64_t>({2, 2}, {0, 1, -1, 0})}, {}, {2}, {1, 4});
  Expect("GatherND", {x, MakeTensor<int64_t>({2, 1}, {1, 0})}, {}, {2, 2}, {2, 3, 0, 1});
  Expect("GatherND", {x, MakeTensor<int64_t>({3, 1}, {1, 0, 1})}, {{"batch_dims", 1}}, {3},
         {1, 2, 5});
}

TEST_P(MovementTest, ScatterFamily) {
  const Tensor x = Iota({3, 2});
  Expect("ScatterElements", {x, MakeTensor<int64_t>({1, 2}, {2, -3}), Iota({1, 2})}, {}, {3, 2},
         {0, 1, 2, 3, 0, 5});
  Expect("ScatterElements", {x, MakeTensor<int64_t>({2, 1}, {1, 1}), Iota({2, 1})}, {{"axis", 1}},
         {3, 2}, {0, 0, 2, 1, 4, 5});
  Expect("ScatterND", {x, MakeTensor<int64_t>({1, 1}, {-1}), Iota({1, 2})}, {}, {3, 2},
         {0, 1, 2, 3, 0, 1});
}

TEST_P(MovementTest, ChannelsAndPixels) {
  const Tensor x = Iota({1, 4, 1, 2});
  Expect("DepthToSpace", {x}, {{"blocksize", 2}}, {1, 1, 2, 4}, {0, 2, 1, 3, 4, 6, 5, 7});
  Expect("SpaceToDepth", {Iota({1, 1, 2, 4})}, {{"blocksize", 2}}, {1, 4, 1, 2},
         {0, 2, 1, 3, 4, 6, 5, 7});
  const Tensor c = Iota({1, 8, 1, 1});
  Expect("DepthToSpace", {c}, {{"blocksize", 2}}, {1, 2, 2, 2}, {0, 2, 4, 6, 1, 3, 5, 7});
  Expect("DepthToSpace", {c}, {{"blocksize", 2}, {"mode", "CRD"}}, {1, 2, 2, 2},
         {0, 1, 2, 3, 4, 5, 6, 7});
}

TEST_P(MovementTest, TrianglesSequencesAndSelections) {
  const Tensor x = Iota({2, 3});
  Expect("Trilu", {x, Tensor::Scalar<int64_t>(1)}, {}, {2, 3}, {0, 1, 2, 0, 0, 5});
  Expect("Trilu", {x}, {{"upper", 0}}, {2, 3}, {0, 0, 0, 3, 4, 0});
  Expect("Trilu", {x, Tensor::Scalar<int64_t>(INT64_MIN)}, {}, {2, 3}, {0, 1, 2, 3, 4, 5});
  Expect("ReverseSequence", {x, Ints({3, 2})}, {{"batch_axis", 0}, {"time_axis", 1}}, {2, 3},
         {2, 1, 0, 4, 3, 5});
  Expect("ReverseSequence", {x, Ints({1, 0, 2})}, {}, {2, 3}, {0, 1, 5, 3, 4, 2});
  Expect("Compress", {x, MakeBools({2}, {0, 1})}, {{"axis", 1}}, {2, 1}, {1, 4});
  Expect("Compress", {x, MakeBools({6}, {1, 0, 0, 1, 0, 1})}, {}, {3}, {0, 3, 5});
  Expect("OneHot", {Ints({1, -1, 3}), Tensor::Scalar<int32_t>(3), Iota({2})}, {}, {3, 3},
         {0, 1, 0, 0, 0, 1, 0, 0, 0});
  Expect("OneHot", {Ints({1, 0}), Tensor::Scalar<float>(2), Iota({2})}, {{"axis", 0}}, {2, 2},
         {0, 1, 1, 0});
  Expect("CenterCropPad", {x, Ints({3, 2})}, {}, {3, 2}, {0, 1, 3, 4, 0, 0});
  Expect("CenterCropPad", {x, MakeTensor<int32_t>({1}, {6})}, {{"axes", std::vector<int64_t>{-1}}},
         {2, 6}, {0, 0, 1, 2, 0, 0, 0, 3, 4, 5, 0, 0});
}

TEST_P(MovementTest, ViewsKeepTheElements) {
  const Tensor x = Iota({1, 2, 1, 3});
  const std::vector<int64_t> all = {0, 1, 2, 3, 4, 5};
  Expect("Reshape", {x, Ints({0, 3, -1})}, {}, {1, 3, 2}, all);
  Expect("Squeeze", {x}, {}, {2, 3}, all);
  Expect("Squeeze", {x, Ints({-2})}, {}, {1, 2, 3}, all);
  Expect("Unsqueeze", {x, Ints({-1, 0})}, {}, {1, 1, 2, 1, 3, 1}, all);
  Expect("Flatten", {x}, {{"axis", 2}}, {2, 3}, all);
  Expect("Flatten", {x}, {{"axis", 0}}, {1, 6}, all);
}

TEST_P(MovementTest, ResizeToTheNearest) {
  const Tensor x = Iota({1, 1, 2, 2});
  Expect("Resize", {x, Tensor(), MakeTensor<float>({4}, {1, 1, 2, 1.5f})}, {}, {1, 1, 4, 3},
         {0, 0, 1, 0, 0, 1, 2, 2, 3, 2, 2, 3});
}

// An extent of 0 lets the others be anything: no loop and no table is as long as they are.
TEST(EmptyTensorTest, HugeExtentsBesideAnEmptyOneCostNothing) {
  const int64_t huge = int64_t{1} << 61;
  const Tensor x = *Tensor::Allocate(DType::kF32, {huge, 3, 0});
  const Tensor none = *Tensor::Allocate(DType::kI64, {huge, 1, 0});
  for (const auto& [op, inputs, attrs] :
       std::vector<std::tuple<const char*, std::vector<Tensor>, AttrList>>{
           {"Gather", {x, Ints({0, 1})}, {{"axis", 1}}},
           {"GatherElements", {x, none}, {{"axis", 1}}},
           {"GatherND", {x, MakeTensor<int64_t>({1, 1}, {0})}, {}},
           {"ScatterElements",
            {x, none, *Tensor::Allocate(DType::kF32, {huge, 1, 0})},
            {{"axis", 1}}},
           {"Transpose", {x}, {}},
           {"Concat", {x, x}, {{"axis", 1}}},
           {"Split", {x, Ints({3})}, {{"axis", 1}}},
           {"Slice", {x, Ints({1}), Ints({INT64_MAX}), Ints({0}), Ints({5})}, {}},
           {"Pad", {x, Ints({0, 1, 0, 0, 1, 0})}, {}},
           {"Pad", {x, Ints({0, 1, 0, 0, 1, 0})}, {{"mode", "edge"}}},
           {"Resize", {x, Tensor(), Tensor(), Ints({huge, 5, 0})}, {{"mode", "linear"}}},
           {"Resize", {x, Tensor(), Tensor(), Ints({huge, 5, 0})}, {}},
           {"Compress", {x, MakeBools({1}, {1})}, {{"axis", 1}}},
           {"NonZero", {x}, {}},
           {"Trilu", {x}, {}},
           {"Reshape", {x, Ints({0, 0, 0})}, {}}}) {
    absl::StatusOr<std::vector<Tensor>> y = RunOp(op, inputs, attrs);
    ASSERT_TRUE(y.ok()) << op << ": " << y.status();
    EXPECT_EQ((*y)[0].elements(), 0) << op;
  }
}

TEST(MovementErrorTest, AnIndexOutOfRangeNamesItselfAndTheExtent) {
  const Tensor x = Iota<float>({3, 2});
  for (const auto& [op, inputs] : std::vector<std::pair<const char*, std::vector<Tensor>>>{
           {"Gather", {x, Ints({0, 3})}},
           {"Gather", {x, MakeTensor<int32_t>({1}, {-4})}},
           {"GatherElements", {x, MakeTensor<int64_t>({1, 2}, {0, 3})}},
           {"GatherND", {x, MakeTensor<int64_t>({1, 1}, {INT64_MIN})}},
           {"ScatterElements", {x, MakeTensor<int64_t>({1, 1}, {3}), Iota<float>({1, 1})}},
           {"ScatterND", {x, MakeTensor<int64_t>({1, 1}, {-4}), Iota<float>({1, 2})}},
           {"ReverseSequence", {x, Ints({1, 9})}},
           {"ReverseSequence", {x, Ints({-1, 1})}}}) {
    absl::StatusOr<std::vector<Tensor>> y = RunOp(op, inputs, {});
    EXPECT_EQ(y.status().code(), absl::StatusCode::kOutOfRange) << op << y.status();
  }
  absl::StatusOr<std::vector<Tensor>> y = RunOp("Gather", {x, Ints({0, 3})}, {});
  EXPECT_NE(y.status().message().find("index 3 is out of range for extent 3 of axis 0"),
            std::string::npos)
      << y.status();
}

template <typename T>
std::vector<T> Scattered(const char* reduction, const std::vector<T>& data,
                         const std::vector<T>& updates) {
  const int64_t n = static_cast<int64_t>(data.size());
  absl::StatusOr<std::vector<Tensor>> y =
      RunOp("ScatterElements",
            {MakeTensor<T>({n}, data), Tensor::FromSpan<int64_t>({n}, std::vector<int64_t>(n, 0)),
             MakeTensor<T>({n}, updates)},
            {{"reduction", reduction}});
  if (!y.ok()) return {};
  return std::vector<T>((*y)[0].template values<T>().begin(), (*y)[0].template values<T>().end());
}

TEST(ScatterTest, ReductionsCombineInOrder) {
  EXPECT_EQ(Scattered<float>("add", {1, 5}, {2, 3}), (std::vector<float>{6, 5}));
  EXPECT_EQ(Scattered<int32_t>("mul", {2, 5}, {3, 4}), (std::vector<int32_t>{24, 5}));
  EXPECT_EQ(Scattered<int8_t>("add", {100, 0}, {100, 0}), (std::vector<int8_t>{-56, 0}));  // wraps
  EXPECT_EQ(Scattered<uint16_t>("mul", {65535, 0}, {65535, 1}), (std::vector<uint16_t>{1, 0}));
  EXPECT_EQ(Scattered<int64_t>("max", {1, 5}, {-2, 3}), (std::vector<int64_t>{3, 5}));
  EXPECT_EQ(Scattered<double>("min", {1, 5}, {-2, 3}), (std::vector<double>{-2, 5}));
  EXPECT_TRUE(std::isnan(Scattered<float>("max", {1, 5}, {NAN, 3})[0]));
  absl::StatusOr<std::vector<Tensor>> y =
      RunOp("ScatterND",
            {MakeBools({2}, {0, 1}), MakeTensor<int64_t>({2, 1}, {0, 1}), MakeBools({2}, {1, 0})},
            {{"reduction", "mul"}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_FALSE((*y)[0].data<bool>()[0] || (*y)[0].data<bool>()[1]);
}

TEST(NonZeroTest, GivesOneRowAnAxis) {
  const Tensor x = MakeTensor<float>({2, 3}, {0, 1, -0.0f, NAN, 0, 2});
  absl::StatusOr<std::vector<Tensor>> y = RunOp("NonZero", {x});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_TRUE((*y)[0] == MakeTensor<int64_t>({2, 3}, {0, 1, 1, 1, 0, 2})) << (*y)[0].ToString(9);
  y = RunOp("NonZero", {*Tensor::Allocate(DType::kF32, {0, 4})});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0].TypeString(), "i64[2,0]");
  y = RunOp("NonZero", {Tensor::Scalar<int32_t>(3)});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0].TypeString(), "i64[0,1]");
}

TEST(NonZeroTest, CountsAcrossManyChunks) {
  Tensor x = *Tensor::Allocate(DType::kI32, {100, 1000});
  for (int64_t i = 0; i < x.elements(); ++i) x.mutable_data<int32_t>()[i] = i % 7 == 0;
  absl::StatusOr<std::vector<Tensor>> y = RunOp("NonZero", {x}, {}, 1, 3);
  ASSERT_TRUE(y.ok()) << y.status();
  const int64_t n = (*y)[0].dims()[1];
  ASSERT_EQ(n, 14286);
  for (int64_t k = 0; k < n; ++k) {
    ASSERT_EQ((*y)[0].data<int64_t>()[k] * 1000 + (*y)[0].data<int64_t>()[n + k], k * 7);
  }
}

template <typename T>
std::vector<T> RangeOf(T start, T limit, T delta) {
  absl::StatusOr<std::vector<Tensor>> y = RunOp(
      "Range", {Tensor::Scalar<T>(start), Tensor::Scalar<T>(limit), Tensor::Scalar<T>(delta)});
  if (!y.ok()) return {T(-77)};
  return std::vector<T>((*y)[0].template values<T>().begin(), (*y)[0].template values<T>().end());
}

TEST(RangeTest, CountsUpAndDown) {
  EXPECT_EQ(RangeOf<int32_t>(3, 9, 3), (std::vector<int32_t>{3, 6}));
  EXPECT_EQ(RangeOf<int64_t>(10, 4, -2), (std::vector<int64_t>{10, 8, 6}));
  EXPECT_EQ(RangeOf<float>(0, 1, 0.25f), (std::vector<float>{0, 0.25f, 0.5f, 0.75f}));
  EXPECT_EQ(RangeOf<int16_t>(5, 5, 1), (std::vector<int16_t>{}));
  EXPECT_EQ(RangeOf<double>(1, 0, 1), (std::vector<double>{}));
  EXPECT_EQ(RangeOf<int64_t>(INT64_MIN, INT64_MAX, INT64_MAX),
            (std::vector<int64_t>{INT64_MIN, -1, INT64_MAX - 1}));
  EXPECT_EQ(RangeOf<int32_t>(0, 4, 0), (std::vector<int32_t>{-77}));  // refused
  EXPECT_EQ(RangeOf<float>(0, INFINITY, 1), (std::vector<float>{-77}));
  EXPECT_EQ(RangeOf<float>(0, 1, NAN), (std::vector<float>{-77}));
  EXPECT_EQ(RangeOf<float>(0, 1e38f, 1e-38f), (std::vector<float>{-77}));
}

TEST(FillTest, ConstantOfShapeAndEyeLike) {
  absl::StatusOr<std::vector<Tensor>> y =
      RunOp("ConstantOfShape", {Ints({2, 2})}, {{"value", Tensor::Vector<int8_t>({7})}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_TRUE((*y)[0] == MakeTensor<int8_t>({2, 2}, {7, 7, 7, 7}));
  y = RunOp("ConstantOfShape", {Ints({})});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_TRUE((*y)[0] == Tensor::Scalar<float>(0));
  y = RunOp("EyeLike", {Iota<int32_t>({2, 3})}, {{"k", -1}, {"dtype", DType::kF16}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0].TypeString(), "f16[2,3]");
  EXPECT_EQ(Positions((*y)[0]), (std::vector<int64_t>{0, 0, 0, 1, 0, 0}));
  y = RunOp("EyeLike", {Iota<int32_t>({2, 3})}, {{"k", INT64_MIN}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ(Positions((*y)[0]), (std::vector<int64_t>(6, 0)));
}

TEST(ShapeTest, ExtentsAsData) {
  const Tensor x = Iota<float>({2, 3, 4});
  EXPECT_TRUE((*RunOp("Shape", {x}))[0] == Ints({2, 3, 4}));
  EXPECT_TRUE((*RunOp("Shape", {x}, {{"start", -2}, {"end", 9}}))[0] == Ints({3, 4}));
  EXPECT_TRUE((*RunOp("Shape", {x}, {{"start", 2}, {"end", 1}}))[0] == Ints({}));
  EXPECT_TRUE((*RunOp("Size", {x}))[0] == Tensor::Scalar<int64_t>(24));
}

}  // namespace
}  // namespace sluice
