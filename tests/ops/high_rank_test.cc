// Every op on tensors of more axes than any fixed table would hold: with 70 axes of extent 1 in
// front, results are those without them.
#include <gtest/gtest.h>

#include "tests/ops/every_op.h"
#include "tests/ops/try_op.h"

namespace sluice {
namespace {

constexpr size_t kFront = 70;

Tensor WithFront(const Tensor& t, size_t front) {
  Dims dims(front, 1);
  dims.insert(dims.end(), t.dims().begin(), t.dims().end());
  return t.Reshaped(dims);
}

// An op over all of its inputs' axes alike takes the new ones, or says of what it expects them.
TEST(HighRank, EveryOpGivesTheSameResultOrAnError) {
  ThreadPool pool(1);
  int64_t same = 0;
  for (const OpDef* op : PlainOps()) {
    if (op->effects != 0) continue;
    for (const std::vector<Tensor>& inputs : InputSets(*op)) {
      std::vector<Tensor> varied = inputs, high;
      for (size_t i = 0; i < varied.size(); ++i) {
        Tensor& t = varied[i];
        if (t.valid() && IsFloat(t.dtype()))
          t = *Tensor::Random(t.dtype(), t.dims(), {.seed = i + 1, .scale = 0.5, .offset = 1});
        const bool bound = op->name == "Clip" && i > 0;  // a scalar, by definition
        high.push_back(t.valid() && !bound ? WithFront(t, kFront) : t);
      }
      auto low_result = TryOp(*op, varied, BaseAttrs(op->name), &pool);
      auto high_result = TryOp(*op, high, BaseAttrs(op->name), &pool);
      EXPECT_NE(high_result.status().code(), absl::StatusCode::kInternal) << high_result.status();
      if (!op->elementwise || !low_result.ok()) continue;
      ASSERT_TRUE(high_result.ok()) << op->name << ": " << high_result.status();
      ++same;
      for (size_t i = 0; i < low_result->size(); ++i)
        EXPECT_EQ(WithFront((*low_result)[i], kFront), (*high_result)[i]) << op->name;
    }
  }
  EXPECT_GT(same, 100);
}

// What is not element by element, with the axes that it names behind those in front.
TEST(HighRank, OpsThatNameAxes) {
  ThreadPool pool(1);
  const Tensor x = *Tensor::Random(DType::kF32, {3, 4}, {.seed = 1});
  const auto ints = [](std::vector<int64_t> v) { return Tensor::Vector<int64_t>(v); };
  struct Case {
    const char* op;
    std::vector<Tensor> more;
    AttrList attrs;
  };
  std::vector<int64_t> swap, extents, repeats, pads;
  for (size_t i = 0; i < kFront + 2; ++i) {
    swap.push_back(static_cast<int64_t>(i));
    extents.push_back(i < kFront ? 1 : i == kFront ? 3 : 4);
    repeats.push_back(i < kFront ? 1 : 2);
  }
  std::swap(swap[kFront], swap[kFront + 1]);
  pads.assign(2 * (kFront + 2), 0);
  pads[kFront] = 1;
  pads.back() = 2;
  const Case cases[] = {
      {"Softmax", {}, {{"axis", -1}}},
      {"LogSoftmax", {}, {{"axis", -2}}},
      {"ReduceSum", {ints({-1})}, {}},
      {"ReduceMax", {ints({-2})}, {}},
      {"ReduceMean", {ints({-1, -2})}, {}},
      {"ArgMax", {}, {{"axis", -1}}},
      {"CumSum", {Tensor::Scalar<int64_t>(-1)}, {}},
      {"TopK", {ints({2})}, {{"axis", -1}}},
      {"Gather", {ints({1, 0})}, {{"axis", -1}}},
      {"Slice", {ints({1}), ints({3}), ints({-1})}, {}},
      {"Concat", {x}, {{"axis", -1}}},
      {"Split", {}, {{"axis", -1}, {"num_outputs", 1}}},
      {"Transpose", {}, {{"perm", swap}}},
      {"Tile", {ints(repeats)}, {}},
      {"Expand", {ints(extents)}, {}},
      {"Pad", {ints(pads)}, {}},
      {"Trilu", {}, {}},
      {"MatMul", {*Tensor::Random(DType::kF32, {4, 5}, {.seed = 2})}, {}},
      {"LayerNormalization", {*Tensor::Random(DType::kF32, {4}, {.seed = 3})}, {{"axis", -1}}},
      {"Flatten", {}, {{"axis", -1}}},
      {"NonZero", {}, {}},
  };
  for (const Case& c : cases) {
    std::vector<Tensor> inputs = {WithFront(x, kFront)};
    for (const Tensor& t : c.more) {
      const bool data = IsFloat(t.dtype()) && absl::string_view(c.op) == "Concat";
      inputs.push_back(data ? WithFront(t, kFront) : t);
    }
    auto result = TryOp(*StandardOps().Find(c.op), inputs, c.attrs, &pool);
    ASSERT_TRUE(result.ok()) << c.op << ": " << result.status();
    // The same on two axes, where attributes and inputs say nothing of those in front.
    const absl::string_view op = c.op;
    if (op == "Transpose" || op == "Tile" || op == "Expand" || op == "Pad" || op == "NonZero")
      continue;
    inputs[0] = x;
    for (size_t i = 0; i < c.more.size(); ++i) inputs[i + 1] = c.more[i];
    auto low = TryOp(*StandardOps().Find(c.op), inputs, c.attrs, &pool);
    ASSERT_TRUE(low.ok()) << c.op << ": " << low.status();
    ASSERT_EQ((*result)[0].elements(), (*low)[0].elements()) << c.op;
    EXPECT_EQ((*result)[0].Reshaped((*low)[0].dims()), (*low)[0]) << c.op;
  }
}

}  // namespace
}  // namespace sluice
