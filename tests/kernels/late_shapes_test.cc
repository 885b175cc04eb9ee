#include "gtest/gtest.h"
#include "tests/testing/launch_late.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

Tensor Ints(const std::vector<int64_t>& values) {
  return MakeTensor<int64_t>({static_cast<int64_t>(values.size())}, values);
}
Tensor Iota(absl::Span<const int64_t> dims) {
  Tensor t = *Tensor::Allocate(DType::kF32, dims);
  for (int64_t i = 0; i < t.elements(); ++i) t.mutable_data<float>()[i] = static_cast<float>(i);
  return t;
}

struct Case {
  const char* op;
  std::vector<Tensor> inputs;
  AttrList attrs;
  size_t outputs = 1;
};

// An input's contents may be known when a kernel is prepared or only when it is launched: the
// results are the same.
TEST(LateShapesTest, EqualTheResultsOfContentsKnownBefore) {
  const Tensor x = Iota({2, 3, 4});
  const Tensor f = MakeTensor<float>({3}, {1, 1.5f, 2});
  const std::vector<Case> cases = {
      {"Reshape", {x, Ints({0, -1})}, {}},
      {"Squeeze", {Iota({1, 3, 1}), Ints({0, -1})}, {}},
      {"Unsqueeze", {x, Ints({0, -1})}, {}},
      {"Expand", {Iota({3, 1}), Ints({2, 1, 5})}, {}},
      {"Tile", {x, Ints({1, 2, 3})}, {}},
      {"Slice", {x, Ints({1, -1}), Ints({9, -9}), Ints({0, 2}), Ints({1, -2})}, {}},
      {"Pad", {x, Ints({0, 1, 2, 1, 0, -1})}, {}},
      {"Pad", {x, Ints({1, 2}), Tensor(), Ints({-1})}, {{"mode", "reflect"}}},
      {"ConstantOfShape", {Ints({2, 3})}, {}},
      {"Range",
       {Tensor::Scalar<int32_t>(3), Tensor::Scalar<int32_t>(-9), Tensor::Scalar<int32_t>(-4)},
       {}},
      {"OneHot",
       {Ints({1, -1, 7}), Tensor::Scalar<int64_t>(4), MakeTensor<float>({2}, {0, 5})},
       {}},
      {"Split", {x, Ints({1, 2})}, {{"axis", 1}}, 2},
      {"Resize", {x, Tensor(), f}, {{"mode", "linear"}}},
      {"Resize", {x, Tensor(), Tensor(), Ints({3, 3, 7})}, {{"mode", "cubic"}}},
      {"Resize", {x, Tensor(), Tensor(), Ints({3, 3, 7})}, {}},
      {"Trilu", {x, Tensor::Scalar<int64_t>(1)}, {}},
  };
  for (const Case& c : cases) {
    absl::StatusOr<std::vector<Tensor>> late = LaunchLate(c.op, c.inputs, c.attrs, c.outputs);
    absl::StatusOr<std::vector<Tensor>> known = RunOp(c.op, c.inputs, c.attrs, c.outputs, 2);
    ASSERT_TRUE(late.ok()) << c.op << ": " << late.status();
    ASSERT_TRUE(known.ok()) << c.op << ": " << known.status();
    for (size_t i = 0; i < c.outputs; ++i) {
      EXPECT_TRUE((*late)[i] == (*known)[i])
          << c.op << ": " << (*late)[i].ToString() << " against " << (*known)[i].ToString();
    }
  }
}

TEST(LateShapesTest, RefuseContentsThatDoNotFit) {
  const Tensor x = Iota({2, 3, 4});
  const std::vector<Case> cases = {
      {"Reshape", {x, Ints({5, -1})}, {}},
      {"Reshape", {x, Ints({-1, -1})}, {}},
      {"Reshape", {x, Ints({INT64_MAX, 4})}, {}},
      {"Squeeze", {x, Ints({0})}, {}},
      {"Unsqueeze", {x, Ints({0, 0})}, {}},
      {"Expand", {x, Ints({2, 3, 5})}, {}},
      {"Expand", {x, Ints({INT64_MAX, 2, 3, 4})}, {}},
      {"Tile", {x, Ints({1, -2, 3})}, {}},
      {"Tile", {x, Ints({INT64_MAX, 2, 3})}, {}},
      {"Slice", {x, Ints({1}), Ints({9}), Ints({3})}, {}},
      {"Slice", {x, Ints({1}), Ints({9}), Ints({0}), Ints({0})}, {}},
      {"Pad", {x, Ints({0, 0, -3, 0, 0, -3})}, {}},
      {"Pad", {x, Ints({INT64_MAX, 0, 0, INT64_MAX, 0, 0})}, {}},
      {"ConstantOfShape", {Ints({2, -3})}, {}},
      {"ConstantOfShape", {Ints({INT64_MAX, 8})}, {}},
      {"Split", {x, Ints({1, 3})}, {{"axis", 1}}, 2},
      {"Split", {x, Ints({-1, 4})}, {{"axis", 1}}, 2},
      {"Resize", {x, Tensor(), MakeTensor<float>({3}, {1, 0, 1})}, {}},
      {"Resize", {x, Tensor(), MakeTensor<float>({3}, {1, 1, 1e30f})}, {}},
  };
  for (const Case& c : cases) {
    absl::StatusOr<std::vector<Tensor>> result = LaunchLate(c.op, c.inputs, c.attrs, c.outputs);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument)
        << c.op << ": " << result.status();
  }
}

}  // namespace
}  // namespace sluice
