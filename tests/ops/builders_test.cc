#include <gtest/gtest.h>

#include "graph/infer.h"
#include "ops/op.h"
#include "ops/ops.h"

namespace sluice {
namespace {

Tensor Weights(absl::Span<const int64_t> dims, uint64_t seed) {
  return *Tensor::Random(DType::kF32, dims, {.seed = seed, .scale = 0.1});
}

TEST(Builders, BuildAConvolutionalNet) {
  Graph graph(StandardOps(), "digits");
  GraphBuilder g(&graph);
  Value* image = g.Input("image", Type::Tensor(DType::kF32, Shape{Dim::Symbol("batch"), 1, 8, 8}));
  Value* x = ops::Conv(g, image, g.Constant(Weights({16, 1, 3, 3}, 1)),
                       g.Constant(Weights({16}, 2)), {.pads = {1, 1, 1, 1}});
  x = ops::Relu(g, x);
  x = ops::MaxPool(g, x, {.kernel_shape = std::vector<int64_t>{2, 2}, .strides = {2, 2}});
  x = ops::Flatten(g, x);
  x = ops::Gemm(g, x, g.Constant(Weights({256, 10}, 3)), g.Constant(Weights({10}, 4)));
  g.Output(ops::Softmax(g, x, {.axis = -1}), "probabilities");
  ASSERT_TRUE(g.status().ok()) << g.status();
  EXPECT_TRUE(Verify(graph).ok()) << Verify(graph);
  EXPECT_EQ(graph.outputs()[0]->type().ToString(), "f32[batch,10]");
}

TEST(Builders, NodesKeepTheLineThatBuiltThem) {
  Graph graph(StandardOps());
  GraphBuilder g(&graph);
  Value* x = g.Input("x", Type::Tensor(DType::kF32, Shape{2, 3}));
  const int line = __LINE__ + 1;
  Value* y = ops::Add(g, x, x);
  ASSERT_NE(y, nullptr) << g.status();
  EXPECT_EQ(y->producer()->origin().line, line);
  EXPECT_TRUE(y->producer()->origin().file.ends_with("builders_test.cc"));
}

TEST(Builders, WriteOnlyAttributesThatDifferFromTheDefault) {
  Graph graph(StandardOps());
  GraphBuilder g(&graph);
  Value* x = g.Input("x", Type::Tensor(DType::kF32, Shape{2, 3}));
  EXPECT_TRUE(ops::Softmax(g, x, {.axis = -1})->producer()->attrs().empty());
  EXPECT_EQ(ops::Softmax(g, x, {.axis = 0})->producer()->Int("axis"), 0);
}

TEST(Builders, TakeVariadicInputsAndGiveVariadicOutputs) {
  Graph graph(StandardOps());
  GraphBuilder g(&graph);
  Value* x = g.Input("x", Type::Tensor(DType::kF32, Shape{2, 6}));
  Value* both = ops::Concat(g, {x, x}, {.axis = 1});
  ASSERT_NE(both, nullptr) << g.status();
  EXPECT_EQ(both->type().ToString(), "f32[2,12]");
  const std::vector<Value*> parts = ops::Split(g, both, 3, {.axis = 1});
  ASSERT_EQ(parts.size(), 3u);
  ASSERT_TRUE(g.status().ok()) << g.status();
  EXPECT_EQ(parts[2]->type().ToString(), "f32[2,4]");
}

TEST(Builders, NameSeveralOutputs) {
  Graph graph(StandardOps());
  GraphBuilder g(&graph);
  Value* x = g.Input("x", Type::Tensor(DType::kF32, Shape{5, 2, 4}));
  Value* w = g.Constant(Weights({1, 12, 4}, 1));
  Value* r = g.Constant(Weights({1, 12, 3}, 2));
  const ops::LSTMOutputs lstm = ops::LSTMAll(g, x, w, r);  // 12 rows are 4 gates of 3
  ASSERT_TRUE(g.status().ok()) << g.status();
  EXPECT_EQ(lstm.Y->type().ToString(), "f32[5,1,2,3]");
  EXPECT_EQ(lstm.Y_c->type().ToString(), "f32[1,2,3]");
  EXPECT_EQ(ops::LSTM(g, x, w, r)->producer()->num_outputs(), 1u);
}

TEST(Builders, ErrorsStickAndNameTheOp) {
  Graph graph(StandardOps());
  GraphBuilder g(&graph);
  Value* x = g.Input("x", Type::Tensor(DType::kF32, Shape{2, 3}));
  Value* y = ops::Relu(g, ops::MatMul(g, x, x));  // 3 against 2
  EXPECT_EQ(y, nullptr);
  EXPECT_NE(g.status().message().find("MatMul"), std::string::npos) << g.status();
}

TEST(Builders, IfBuildsItsBranches) {
  Graph graph(StandardOps());
  GraphBuilder g(&graph);
  Value* x = g.Input("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("n")}));
  Value* cond = g.Input("cond", Type::Tensor(DType::kBool, Shape{}));
  const ops::Values y = ops::If(
      g, cond, [&](GraphBuilder& b) { return ops::Values{ops::Relu(b, x), x}; },
      [&](GraphBuilder& b) {
        return ops::Values{ops::Neg(b, x), ops::Concat(b, {x, x}, {.axis = 0})};
      });
  ASSERT_TRUE(g.status().ok()) << g.status();
  ASSERT_EQ(y.size(), 2u);
  EXPECT_EQ(y[0]->type().ToString(), "f32[n]");
  EXPECT_EQ(y[1]->type().rank(), 1);
  EXPECT_NE(y[1]->type().ToString(), "f32[n]");
  EXPECT_EQ(graph.num_nodes(), 1u) << "no draft may stay behind";
  EXPECT_TRUE(Verify(graph).ok()) << Verify(graph);
}

TEST(Builders, LoopCarriesAndStacks) {
  Graph graph(StandardOps());
  GraphBuilder g(&graph);
  Value* x = g.Input("x", Type::Tensor(DType::kF32, Shape{4}));
  Value* trips = g.Scalar<int64_t>(7);
  const ops::LoopOutputs y =
      ops::Loop(g, trips, nullptr, {x},
                [&](GraphBuilder& b, Value*, Value*, absl::Span<Value* const> carried) {
                  Value* next = ops::Add(b, carried[0], x);
                  return ops::LoopBody{.carried = {next}, .stacked = {next}};
                });
  ASSERT_TRUE(g.status().ok()) << g.status();
  EXPECT_EQ(y.carried[0]->type().ToString(), "f32[4]");
  EXPECT_EQ(y.stacked[0]->type().ToString(), "f32[7,4]");
  EXPECT_TRUE(Verify(graph).ok()) << Verify(graph);
}

TEST(Builders, ScanSlices) {
  Graph graph(StandardOps());
  GraphBuilder g(&graph);
  Value* x = g.Input("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("t"), 4}));
  Value* zero = g.Constant(Weights({4}, 1));
  const ops::ScanBody y = ops::Scan(
      g, {zero}, {x},
      [](GraphBuilder& b, absl::Span<Value* const> states, absl::Span<Value* const> slices) {
        Value* sum = ops::Add(b, states[0], slices[0]);
        return ops::ScanBody{{sum}, {sum}};
      });
  ASSERT_TRUE(g.status().ok()) << g.status();
  EXPECT_EQ(y.states[0]->type().ToString(), "f32[4]");
  EXPECT_EQ(y.stacked[0]->type().ToString(), "f32[t,4]");
}

TEST(Builders, AnErrorInABodyIsTheOuterBuildersError) {
  Graph graph(StandardOps());
  GraphBuilder g(&graph);
  Value* x = g.Input("x", Type::Tensor(DType::kF32, Shape{2, 3}));
  const ops::LoopOutputs y = ops::Loop(
      g, nullptr, nullptr, {x}, [&](GraphBuilder& b, Value*, Value*, absl::Span<Value* const>) {
        return ops::LoopBody{.carried = {ops::MatMul(b, x, x)}};
      });
  EXPECT_FALSE(g.status().ok());
  EXPECT_EQ(y.carried[0], nullptr);
}

TEST(Builders, WrongCallsOfControlFlowEndInAnErrorAndNullResults) {
  Graph other(StandardOps(), "other");
  GraphBuilder o(&other);
  Value* foreign = o.Input("theirs", Type::Tensor(DType::kF32, Shape{2}));
  for (const char* wrong : {"null", "foreign", "foreign result", "failed", "leaked", "counts"}) {
    SCOPED_TRACE(wrong);
    const absl::string_view what = wrong;
    Graph graph(StandardOps(), "mine");
    GraphBuilder g(&graph);
    Value* x = g.Input("x", Type::Tensor(DType::kF32, Shape{2}));
    Value* cond = g.Input("cond", Type::Tensor(DType::kBool, Shape{}));
    if (what == "failed") ops::MatMul(g, x, nullptr);
    Value* first = what == "null" ? nullptr : what == "foreign" ? foreign : x;
    Value* leaked = nullptr;
    const auto in_a_branch = [&](GraphBuilder& b) {
      Value* inside = ops::Relu(b, x);
      if (leaked == nullptr) leaked = inside;  // of the other branch where there is one
      if (what == "leaked") inside = leaked;
      return ops::Values{what == "foreign result" ? foreign : inside};
    };
    const auto other_branch = [&](GraphBuilder& b) {
      ops::Values values = in_a_branch(b);
      if (what == "counts") values.push_back(x);
      return values;
    };
    const bool in_values = what == "null" || what == "foreign";
    const ops::Values y = ops::If(g, in_values ? first : cond, in_a_branch, other_branch);
    const ops::LoopOutputs z =
        ops::Loop(g, nullptr, nullptr, {first},
                  [&](GraphBuilder& b, Value*, Value*, absl::Span<Value* const> carried) {
                    return ops::LoopBody{.carried = {ops::Relu(b, carried[0])}};
                  });
    const ops::ScanBody s =
        ops::Scan(g, {first}, {first},
                  [&](GraphBuilder& b, absl::Span<Value* const> states, absl::Span<Value* const>) {
                    return ops::ScanBody{{ops::Relu(b, states[0])}, {}};
                  });
    EXPECT_FALSE(g.status().ok());
    ASSERT_FALSE(y.empty());
    EXPECT_EQ(y[0], nullptr);
    EXPECT_EQ(z.carried, ops::Values{nullptr});
    EXPECT_EQ(s.states, ops::Values{nullptr});
  }
}

TEST(Builders, AValueThatLeavesItsBodyIsRefusedOutside) {
  Graph graph(StandardOps(), "mine");
  GraphBuilder g(&graph);
  Value* x = g.Input("x", Type::Tensor(DType::kF32, Shape{2}));
  Value* leaked = nullptr;
  ops::Loop(g, g.Scalar<int64_t>(3), nullptr, {x},
            [&](GraphBuilder& b, Value*, Value*, absl::Span<Value* const> carried) {
              leaked = ops::Relu(b, carried[0]);
              return ops::LoopBody{.carried = {leaked}};
            });
  ASSERT_TRUE(g.status().ok()) << g.status();
  EXPECT_EQ(ops::Neg(g, leaked), nullptr);
  EXPECT_NE(g.status().message().find("is a value of graph 'body'"), std::string::npos)
      << g.status();
}

}  // namespace
}  // namespace sluice
