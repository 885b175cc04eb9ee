// ATTACKS.md, class 12: indices, counts and extents that only the data gives. Each case runs with
// its contents known to inference and kernel, and again with a kernel that meets them at launch:
// both end in an error that names the value, or in the specified result, under asan too.
#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/launch_late.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kMin = INT64_MIN, kMax = INT64_MAX, kHuge = int64_t{1} << 60;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

Tensor I64(const std::vector<int64_t>& v) {
  return MakeTensor<int64_t>({static_cast<int64_t>(v.size())}, v);
}
Tensor I32(const std::vector<int32_t>& v) {
  return MakeTensor<int32_t>({static_cast<int64_t>(v.size())}, v);
}
Tensor F32(const std::vector<float>& v) {
  return MakeTensor<float>({static_cast<int64_t>(v.size())}, v);
}
Tensor Zeros(absl::Span<const int64_t> dims) {
  Tensor t = *Tensor::Allocate(DType::kF32, dims);
  std::fill_n(t.mutable_data<float>(), t.elements(), 0.f);
  return t;
}
Tensor Scalar(int64_t v) { return Tensor::Scalar<int64_t>(v); }
Tensor Single(float v) { return Tensor::Scalar<float>(v); }

struct Case {
  const char* op;
  std::vector<Tensor> inputs;
  AttrList attrs;
  const char* cause = "";  // part of the message at launch
  size_t outputs = 1;
};

void ExpectErrors(const std::vector<Case>& cases) {
  for (size_t i = 0; i < cases.size(); ++i) {
    const Case& c = cases[i];
    SCOPED_TRACE(absl::StrCat(c.op, ", case ", i));
    const absl::Status known = RunOp(c.op, c.inputs, c.attrs, c.outputs).status();
    EXPECT_FALSE(known.ok());
    EXPECT_FALSE(known.message().empty());
    const absl::Status late = LaunchLate(c.op, c.inputs, c.attrs, c.outputs).status();
    EXPECT_FALSE(late.ok());
    // Prepared anew at each run, contents known, where no kernel takes them late.
    const absl::Status& told = absl::IsUnimplemented(late) ? known : late;
    EXPECT_THAT(std::string(told.message()), HasSubstr(c.cause));
  }
}

template <typename T>
std::vector<T> Values(const Tensor& t) {
  return std::vector<T>(t.data<T>(), t.data<T>() + t.elements());
}

// The same result both ways.
Tensor ResultOf(const Case& c, size_t output = 0) {
  auto known = RunOp(c.op, c.inputs, c.attrs, c.outputs);
  EXPECT_TRUE(known.ok()) << c.op << ": " << known.status();
  auto late = LaunchLate(c.op, c.inputs, c.attrs, c.outputs);
  if (!absl::IsUnimplemented(late.status())) {
    EXPECT_TRUE(late.ok()) << c.op << ": " << late.status();
    if (known.ok() && late.ok()) EXPECT_EQ((*known)[output], (*late)[output]) << c.op;
  }
  return known.ok() ? (*known)[output] : Zeros({0});
}

TEST(HostileValues, IndicesOutOfRange) {
  const Tensor x = F32({1, 2, 3}), m = Zeros({2, 3});
  std::vector<Case> cases;
  for (int64_t bad : {int64_t{3}, int64_t{-4}, kMin, kMax}) {
    const Tensor i = I64({bad}), pair = MakeTensor<int64_t>({1, 2}, {1, bad});
    cases.push_back({"Gather", {x, i}, {}, "out of range"});
    cases.push_back({"Gather", {m, i}, {{"axis", 1}}, "out of range"});
    cases.push_back({"GatherElements", {x, i}, {}, "out of range"});
    cases.push_back({"GatherND", {m, pair}, {}, "out of range"});
    cases.push_back(
        {"GatherND", {m, MakeTensor<int64_t>({2, 1}, {0, bad})}, {{"batch_dims", 1}}, "range"});
    cases.push_back({"ScatterND", {m, pair, F32({1})}, {}, "out of range"});
    for (const char* reduction : {"none", "add", "mul", "max", "min"}) {
      cases.push_back(
          {"ScatterElements", {x, i, F32({1})}, {{"reduction", reduction}}, "out of range"});
    }
  }
  for (int32_t bad : {3, -4, INT32_MIN, INT32_MAX}) {
    cases.push_back({"Gather", {x, I32({bad})}, {}, "out of range"});
    cases.push_back({"GatherElements", {x, I32({bad})}, {}, "out of range"});
    cases.push_back({"ScatterElements", {x, I32({bad}), F32({1})}, {}, "out of range"});
  }
  cases.push_back({"Gather", {Zeros({0, 2}), I64({0})}, {}, "out of range"});
  cases.push_back({"GatherND", {Zeros({0, 2}), MakeTensor<int64_t>({1, 1}, {0})}, {}, "range"});
  cases.push_back(
      {"ScatterND", {Zeros({0, 2}), MakeTensor<int64_t>({1, 1}, {0}), Zeros({1, 2})}, {}, "range"});
  ExpectErrors(cases);
}

TEST(HostileValues, OneHotMarksNothingForIndicesOutOfRange) {
  const Tensor off_on = F32({0, 1});
  const Tensor y = ResultOf({"OneHot", {I64({kMin, -3, 1, 2, kMax}), Scalar(2), off_on}, {}, ""});
  EXPECT_THAT(Values<float>(y), ElementsAre(0, 0, 0, 0, 0, 1, 0, 0, 0, 0));
  const Tensor f = ResultOf({"OneHot", {F32({kNaN, kInf, -kInf, 1e30f, 1}), Scalar(2), off_on}});
  EXPECT_THAT(Values<float>(f), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
  std::vector<Case> cases;
  for (int64_t depth : {int64_t{-1}, kMin, kMax, kMax / 2})
    cases.push_back({"OneHot", {I64({0, 1}), Scalar(depth), off_on}, {}, ""});
  for (float depth : {kNaN, kInf, -1.f, 1e30f})
    cases.push_back({"OneHot", {I64({0}), Single(depth), off_on}, {}, "depth"});
  ExpectErrors(cases);
}

TEST(HostileValues, ResizeSizesScalesAndRegions) {
  const Tensor x = F32({1, 2, 3}), none;
  std::vector<Case> cases;
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    for (float scale : {kNaN, kInf, -kInf, 0.f, -1.f, 1e38f})
      cases.push_back({"Resize", {x, none, F32({scale})}, {{"mode", mode}}, ""});
    for (int64_t size : {int64_t{-1}, kMin, kMax, kHuge, int64_t{1} << 45})
      cases.push_back({"Resize", {x, none, none, I64({size})}, {{"mode", mode}}, ""});
    cases.push_back({"Resize", {x, none, F32({1, 1})}, {{"mode", mode}}, "elements for 1 axes"});
    cases.push_back({"Resize",
                     {x, F32({0}), none, I64({3})},
                     {{"mode", mode}, {"coordinate_transformation_mode", "tf_crop_and_resize"}},
                     "roi"});
  }
  ExpectErrors(cases);
  EXPECT_EQ(ResultOf({"Resize", {x, none, F32({1e-38f})}, {{"mode", "linear"}, {"antialias", 1}}})
                .elements(),
            0);
  // Regions that are no numbers lie outside.
  for (float bad : {kNaN, kInf, -kInf, 3e38f}) {
    for (const char* mode : {"nearest", "linear", "cubic"}) {
      const Tensor y = ResultOf({"Resize",
                                 {x, F32({bad, bad}), none, I64({2})},
                                 {{"mode", mode},
                                  {"coordinate_transformation_mode", "tf_crop_and_resize"},
                                  {"extrapolation_value", 7.f}}});
      EXPECT_THAT(Values<float>(y), ElementsAre(7, 7)) << mode << " " << bad;
    }
  }
}

TEST(HostileValues, Ranges) {
  std::vector<Case> cases = {
      {"Range", {Scalar(0), Scalar(5), Scalar(0)}, {}, "delta is 0"},
      {"Range", {Scalar(kMin), Scalar(kMax), Scalar(1)}, {}, ""},
      {"Range", {Scalar(kMax), Scalar(kMin), Scalar(-1)}, {}, ""},
      {"Range", {Single(0), Single(1e38f), Single(1e-38f)}, {}, ""},
      {"Range", {Single(0), Single(1e30f), Single(1)}, {}, ""},
  };
  for (float bad : {kNaN, kInf, -kInf}) {
    cases.push_back({"Range", {Single(bad), Single(1), Single(1)}, {}, "finite"});
    cases.push_back({"Range", {Single(0), Single(bad), Single(1)}, {}, "finite"});
    cases.push_back({"Range", {Single(0), Single(1), Single(bad)}, {}, "finite"});
  }
  ExpectErrors(cases);
  EXPECT_THAT(Values<int64_t>(ResultOf({"Range", {Scalar(kMin), Scalar(kMax), Scalar(kMax)}})),
              ElementsAre(kMin, -1, kMax - 1));
  EXPECT_THAT(Values<int64_t>(ResultOf({"Range", {Scalar(kMax), Scalar(kMin), Scalar(kMin)}})),
              ElementsAre(kMax, -1));
  EXPECT_EQ(ResultOf({"Range", {Scalar(kMax), Scalar(kMin), Scalar(kMax)}}).elements(), 0);
}

TEST(HostileValues, SequenceLengths) {
  const Tensor x = Zeros({2, 2, 1}), none;
  std::vector<Case> cases;
  for (const auto& [op, gates] : {std::pair("RNN", 1), std::pair("GRU", 3), std::pair("LSTM", 4)}) {
    const Tensor w = Zeros({1, gates, 1});
    for (int32_t bad : {3, -1, INT32_MIN, INT32_MAX})
      cases.push_back({op, {x, w, w, none, I32({1, bad})}, {}, "sequence_lens[1]"});
    const Tensor ones = *Tensor::Random(DType::kF32, {2, 2, 1}, {.seed = 1});
    const Tensor y = ResultOf({op, {ones, w, w, none, I32({0, 0})}, {}, ""});
    EXPECT_THAT(Values<float>(y), testing::Each(0)) << op;
  }
  for (int64_t bad : {int64_t{3}, int64_t{-1}, kMin, kMax})
    cases.push_back({"ReverseSequence", {x, I64({1, bad})}, {}, "sequence_lens[1]"});
  ExpectErrors(cases);
}

TEST(HostileValues, AttentionLengthsAndPositions) {
  const Tensor q = Zeros({1, 1, 2, 4}), cache = Zeros({3, 2}), none;
  std::vector<Case> cases;
  for (int64_t bad : {int64_t{3}, int64_t{-1}, kMin, kMax}) {
    cases.push_back(
        {"Attention", {q, q, q, none, none, none, I64({bad})}, {}, "nonpad_kv_seqlen[0]"});
    cases.push_back({"RotaryEmbedding",
                     {q, cache, cache, MakeTensor<int64_t>({1, 2}, {0, bad})},
                     {},
                     "position_ids"});
  }
  ExpectErrors(cases);
}

TEST(HostileValues, SplitSizesAndK) {
  const Tensor x = F32({1, 2, 3});
  std::vector<Case> cases;
  for (const auto& sizes :
       std::vector<std::vector<int64_t>>{{1, 1}, {2, 2}, {-1, 4}, {kMin, kMax}, {kMax, 4}, {3}})
    cases.push_back({"Split", {x, I64(sizes)}, {}, "split", 2});
  for (int64_t k : {int64_t{-1}, int64_t{4}, kMin, kMax})
    cases.push_back({"TopK", {x, I64({k})}, {}, "K is", 2});
  ExpectErrors(cases);
}

TEST(HostileValues, SlicesAreCutToTheExtent) {
  const Tensor x = F32({1, 2, 3});
  auto slice = [&](int64_t start, int64_t end, int64_t step) {
    return Values<float>(ResultOf({"Slice", {x, I64({start}), I64({end}), I64({0}), I64({step})}}));
  };
  EXPECT_THAT(slice(kMin, kMax, 1), ElementsAre(1, 2, 3));
  EXPECT_THAT(slice(kMin, kMax, kMax), ElementsAre(1));
  EXPECT_THAT(slice(kMax, kMin, -1), ElementsAre(3, 2, 1));
  EXPECT_THAT(slice(kMax, kMin, kMin), ElementsAre(3));
  EXPECT_THAT(slice(kMax, kMax, 1), ElementsAre());
  EXPECT_THAT(slice(kMin, kMin, -1), ElementsAre(1));  // a start is cut to the first element
  EXPECT_THAT(slice(kMax, kMin, kMax), ElementsAre());
  EXPECT_THAT(Values<float>(ResultOf(
                  {"Slice", {x, I32({INT32_MAX}), I32({INT32_MIN}), I32({0}), I32({INT32_MIN})}})),
              ElementsAre(3));
  std::vector<Case> cases = {{"Slice", {x, I64({0}), I64({3}), I64({0}), I64({0})}, {}, "step"}};
  for (int64_t axis : {int64_t{1}, int64_t{-2}, kMin, kMax})
    cases.push_back({"Slice", {x, I64({0}), I64({3}), I64({axis})}, {}, "axis"});
  ExpectErrors(cases);
}

TEST(HostileValues, ShapesAndCounts) {
  const Tensor x = Zeros({2, 3});
  std::vector<Case> cases;
  for (int64_t bad : {int64_t{-2}, kMin, kMax, kHuge}) {
    cases.push_back({"Reshape", {x, I64({bad, 3})}, {}, ""});
    cases.push_back({"Reshape", {x, I64({bad, -1})}, {}, ""});
    cases.push_back({"Expand", {x, I64({bad, 2, 3})}, {}, ""});
    cases.push_back({"Tile", {x, I64({bad, 1})}, {}, ""});
    cases.push_back({"Tile", {x, I64({bad, bad})}, {}, ""});
    cases.push_back({"ConstantOfShape", {I64({bad})}, {}, ""});
    cases.push_back({"ConstantOfShape", {I64({bad, bad, bad})}, {}, ""});
    cases.push_back({"CenterCropPad", {x, I64({bad, 3})}, {}, ""});
    for (const char* mode : {"constant", "edge", "wrap", "reflect"}) {
      const AttrList attrs = {{"mode", mode}};
      cases.push_back({"Pad", {x, I64({bad == -2 ? -3 : bad, 0, 0, 0})}, attrs, ""});
      cases.push_back({"Pad", {x, I64({0, bad == -2 ? -4 : bad, 0, bad})}, attrs, ""});
    }
  }
  for (const char* mode : {"edge", "wrap", "reflect"}) {  // tables of 2^45 entries
    cases.push_back({"Pad", {x, I64({0, 0, 0, int64_t{1} << 45})}, {{"mode", mode}}, "memory"});
    cases.push_back({"Pad", {x, I64({-2, 0, 9, 0})}, {{"mode", mode}}, "nothing to pad"});
  }
  cases.push_back({"Tile", {x, I64({1})}, {}, ""});
  cases.push_back({"Pad", {x, I64({1, 1, 1})}, {}, ""});
  ExpectErrors(cases);
}

TEST(HostileValues, Axes) {
  const Tensor x = Zeros({2, 3});
  std::vector<Case> cases;
  for (int64_t bad : {int64_t{4}, int64_t{-5}, kMin, kMax}) {
    cases.push_back({"CumSum", {x, Scalar(bad)}, {}, "axis"});
    cases.push_back({"Squeeze", {x, I64({bad})}, {}, "axis"});
    cases.push_back({"Unsqueeze", {x, I64({0, bad})}, {}, "axis"});
    cases.push_back({"ReduceSum", {x, I64({bad})}, {}, ""});
    cases.push_back({"Pad", {x, I64({1, 1}), Tensor(), I64({bad})}, {}, "axis"});
  }
  cases.push_back({"CumSum", {x, Tensor::Scalar<int32_t>(INT32_MIN)}, {}, "axis"});
  ExpectErrors(cases);
  for (int64_t k : {kMin, kMax}) {
    EXPECT_EQ(ResultOf({"Trilu", {x, Scalar(k)}, {{"upper", 0}}}).elements(), 6);
    EXPECT_EQ(ResultOf({"EyeLike", {x}, {{"k", k}}}).elements(), 6);
  }
}

// 0 elements, but extents whose product overflows: nothing is computed, and nothing overflows.
TEST(HostileValues, EmptyTensorsOfHugeExtents) {
  const Tensor x = *Tensor::Allocate(DType::kF32, {0, kHuge, kHuge});
  EXPECT_EQ(ResultOf({"ConstantOfShape", {I64({0, kHuge, kHuge})}}).elements(), 0);
  for (int64_t axis : {0, 1, 2}) EXPECT_EQ(ResultOf({"CumSum", {x, Scalar(axis)}}).elements(), 0);
}

}  // namespace
}  // namespace sluice
