// Movement ops are linear: the gradient of sum(w * op(x)) is what op makes of each unit vector.
#include "absl/container/flat_hash_map.h"
#include "gtest/gtest.h"
#include "ops/op.h"
#include "passes/add_gradients.h"
#include "runtime/evaluate.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

Tensor Ints(const std::vector<int64_t>& values) {
  return MakeTensor<int64_t>({static_cast<int64_t>(values.size())}, values);
}

// The contents of `wanted` with `x` fed.
Tensor Evaluate(const Graph& graph, const Tensor& x, const Value* wanted) {
  ThreadPool pool(1);
  absl::flat_hash_map<const Value*, Tensor> values = {{graph.inputs()[0], x}};
  for (const auto& node : graph.nodes()) {
    std::vector<Tensor> in;
    for (const Value* v : node->inputs()) in.push_back(v == nullptr ? Tensor() : values[v]);
    absl::StatusOr<std::vector<Tensor>> out = EvaluateNode(*node, in, INT64_MAX, &pool);
    EXPECT_TRUE(out.ok()) << out.status();
    if (!out.ok()) return Tensor();
    for (size_t i = 0; i < out->size(); ++i) values[node->output(i)] = (*out)[i];
  }
  return values[wanted];
}

struct Case {
  const char* op;
  Dims dims;
  std::vector<Tensor> others;  // the inputs behind x
  AttrList attrs;
  size_t outputs = 1;
};

TEST(MovementGradientTest, IsTheTransposedMovement) {
  const std::vector<Case> cases = {
      {"Identity", {2, 3}, {}, {}},
      {"Reshape", {2, 3}, {Ints({3, -1})}, {}},
      {"Squeeze", {2, 1, 3}, {Ints({1})}, {}},
      {"Unsqueeze", {2, 3}, {Ints({0, -1})}, {}},
      {"Flatten", {2, 3, 2}, {}, {{"axis", 2}}},
      {"Transpose", {2, 3, 4}, {}, {{"perm", std::vector<int64_t>{2, 0, 1}}}},
      {"Transpose", {2, 3}, {}, {}},
      {"Trilu", {3, 4}, {Tensor::Scalar<int64_t>(1)}, {}},
      {"ReverseSequence", {3, 2}, {Ints({3, 2})}, {}},
      {"SpaceToDepth", {1, 2, 2, 4}, {}, {{"blocksize", 2}}},
      {"Tile", {2, 3}, {Ints({2, 2})}, {}},
      {"Slice", {4, 5}, {Ints({-1, 0}), Ints({-9, 5}), Ints({0, 1}), Ints({-2, 2})}, {}},
      {"Pad", {2, 3}, {Ints({1, -1, 0, 2})}, {}},
      {"Pad", {2, 3}, {Ints({1, 2, 0, 1})}, {{"mode", "reflect"}}},
      {"Gather", {4, 2}, {MakeTensor<int32_t>({3}, {1, -1, 1})}, {}},
      {"Gather", {2, 4}, {Ints({3, 0, 3})}, {{"axis", 1}}},
      {"GatherElements", {2, 3}, {MakeTensor<int64_t>({1, 3}, {1, 0, -1})}, {}},
      {"GatherND", {2, 3}, {MakeTensor<int64_t>({2, 2}, {1, 0, 1, 0})}, {}},
      {"DepthToSpace", {1, 4, 1, 2}, {}, {{"blocksize", 2}}},
      {"Compress", {3, 2}, {MakeBools({3}, {1, 0, 1})}, {{"axis", 0}}},
      {"Resize", {2, 3}, {Tensor(), MakeTensor<float>({2}, {2, 2})}, {}},
      {"ScatterElements",
       {2, 3},
       {MakeTensor<int64_t>({1, 3}, {1, 0, 1}), MakeTensor<double>({1, 3}, {7, 8, 9})},
       {}},
      {"ScatterND",
       {2, 3},
       {MakeTensor<int64_t>({1, 1}, {1}), MakeTensor<double>({1, 3}, {7, 8, 9})},
       {{"reduction", "add"}}},
      {"Split", {5, 2}, {Ints({2, 3})}, {}, 2},
      {"Concat", {2, 3}, {MakeTensor<double>({2, 1}, {7, 8})}, {{"axis", 1}}},
      {"Expand", {3, 1}, {Ints({2, 1, 4})}, {}},
  };
  for (const Case& c : cases) {
    Graph graph(StandardOps());
    GraphBuilder b(&graph);
    Value* x = b.Input("x", Type::Tensor(DType::kF64, absl::MakeConstSpan(c.dims)));
    std::vector<Value*> inputs = {x};
    for (const Tensor& t : c.others) {
      inputs.push_back(t.valid() ? b.Constant(t) : nullptr);
    }
    std::vector<Value*> y = b.OpN(c.op, inputs, c.outputs, c.attrs);
    ASSERT_TRUE(b.status().ok()) << b.status();
    // The last output alone is weighed: of a Split, nothing flows back to the first.
    Value* last = y.back();
    Tensor w = *Tensor::Random(DType::kF64, *last->type().StaticDims(), {.seed = 3});
    Value* loss = b.Op("Mul", {last, b.Constant(w)});
    absl::StatusOr<std::vector<Value*>> grads = AddGradients(&graph, {loss}, {x});
    ASSERT_TRUE(grads.ok()) << c.op << ": " << grads.status();

    Tensor zero = *Tensor::Allocate(DType::kF64, c.dims);
    std::fill_n(zero.mutable_data<double>(), zero.elements(), 0.0);
    auto sum = [&](const Tensor& at) {
      double total = 0;
      const Tensor values = Evaluate(graph, at, loss);
      for (double v : values.values<double>()) total += v;
      return total;
    };
    const double base = sum(zero);
    const Tensor grad = Evaluate(graph, zero, (*grads)[0]);
    ASSERT_EQ(DimsToString(grad.dims()), DimsToString(c.dims)) << c.op;
    for (int64_t i = 0; i < zero.elements(); ++i) {
      Tensor unit = Tensor::FromSpan<double>(c.dims, zero.values<double>());
      unit.mutable_data<double>()[i] = 1;
      EXPECT_NEAR(grad.data<double>()[i], sum(unit) - base, 1e-12) << c.op << " at " << i;
    }
  }
}

}  // namespace
}  // namespace sluice
