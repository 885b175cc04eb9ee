#include <gtest/gtest.h>

#include "graph/infer.h"
#include "ops/op.h"
#include "ops/ops.h"

namespace sluice {
namespace {

class ControlFlow : public ::testing::Test {
 protected:
  ControlFlow() : graph_(StandardOps()), g_(&graph_) {}
  Value* In(const char* name, Shape shape, DType dtype = DType::kF32) {
    return g_.Input(name, Type::Tensor(dtype, std::move(shape)));
  }
  static std::string TypeOf(const Value* v) {
    return v == nullptr ? "(null)" : v->type().ToString();
  }

  Graph graph_;
  GraphBuilder g_;
};

using Carried = absl::Span<Value* const>;

TEST_F(ControlFlow, LoopWidensAnExtentThatGrows) {
  Value* x = In("x", {2, 3});
  const auto y = ops::Loop(
      g_, g_.Scalar<int64_t>(4), nullptr, {x}, [&](GraphBuilder& b, Value*, Value*, Carried c) {
        return ops::LoopBody{.carried = {ops::Concat(b, {c[0], x}, {.axis = 0})}};
      });
  ASSERT_TRUE(g_.status().ok()) << g_.status();
  ASSERT_EQ(y.carried[0]->type().rank(), 2);
  EXPECT_FALSE(y.carried[0]->type().dim(0).is_number()) << TypeOf(y.carried[0]);
  EXPECT_EQ(y.carried[0]->type().dim(1), Dim(3));
  // Inside, too, the extent stands for any iteration's.
  const Graph* body = y.carried[0]->producer()->body("body");
  EXPECT_FALSE(body->inputs()[2]->type().dim(0).is_number()) << TypeOf(body->inputs()[2]);
  EXPECT_FALSE(body->outputs()[1]->type().dim(0).is_number()) << TypeOf(body->outputs()[1]);
}

TEST_F(ControlFlow, InferringAgainChangesNothing) {
  Value* x = In("x", {Dim::Symbol("n"), 3});
  const auto y = ops::Loop(
      g_, g_.Scalar<int64_t>(4), nullptr, {x}, [&](GraphBuilder& b, Value*, Value*, Carried c) {
        Value* grown = ops::Concat(b, {c[0], x}, {.axis = 0});
        return ops::LoopBody{.carried = {grown}, .stacked = {ops::ReduceSum(b, grown)}};
      });
  ASSERT_TRUE(g_.status().ok()) << g_.status();
  const std::string before = TypeOf(y.carried[0]) + TypeOf(y.stacked[0]);
  const Graph* body = y.carried[0]->producer()->body("body");
  const std::string inside = TypeOf(body->inputs()[2]) + TypeOf(body->outputs()[1]);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(InferTypes(&graph_).ok()) << InferTypes(&graph_);
  EXPECT_EQ(TypeOf(y.carried[0]) + TypeOf(y.stacked[0]), before);
  EXPECT_EQ(TypeOf(body->inputs()[2]) + TypeOf(body->outputs()[1]), inside);
}

TEST_F(ControlFlow, LoopForgetsARankThatChanges) {
  Value* x = In("x", {3});
  const auto y = ops::Loop(
      g_, g_.Scalar<int64_t>(4), nullptr, {x}, [&](GraphBuilder& b, Value*, Value*, Carried c) {
        return ops::LoopBody{.carried = {ops::Unsqueeze(b, c[0], b.Ints({0}))}};
      });
  ASSERT_TRUE(g_.status().ok()) << g_.status();
  EXPECT_EQ(TypeOf(y.carried[0]), "f32[*]");
}

TEST_F(ControlFlow, ScanOutputsHaveTheTripCountWhereNothingCanEndTheLoop) {
  Value* x = In("x", {3});
  Value* stop = In("stop", {}, DType::kBool);
  auto run = [&](Value* trips, Value* cond, bool own_condition) -> Value* {
    const auto y = ops::Loop(g_, trips, cond, {}, [&](GraphBuilder& b, Value*, Value*, Carried) {
      return ops::LoopBody{.condition = own_condition ? ops::Not(b, stop) : nullptr,
                           .stacked = {ops::Relu(b, x)}};
    });
    return y.stacked.empty() ? nullptr : y.stacked[0];
  };
  Value* trips = In("trips", {}, DType::kI64);
  Value* known = run(g_.Scalar<int64_t>(5), nullptr, false);
  Value* with_true = run(g_.Scalar<int64_t>(5), g_.Scalar<bool>(true), false);
  Value* negative = run(g_.Scalar<int64_t>(-5), nullptr, false);
  Value* never = run(g_.Scalar<int64_t>(5), g_.Scalar<bool>(false), false);
  Value* may_end = run(g_.Scalar<int64_t>(5), nullptr, true);
  Value* unknown = run(trips, nullptr, false);
  ASSERT_TRUE(g_.status().ok()) << g_.status();
  EXPECT_EQ(TypeOf(known), "f32[5,3]");
  EXPECT_EQ(TypeOf(with_true), "f32[5,3]");
  EXPECT_EQ(TypeOf(negative), "f32[0,3]");
  EXPECT_EQ(TypeOf(never), "f32[0,3]");
  EXPECT_FALSE(may_end->type().dim(0).is_number());
  EXPECT_FALSE(unknown->type().dim(0).is_number());
}

TEST_F(ControlFlow, TheTripCountMayBeAnExtent) {
  Value* x = In("x", {Dim::Symbol("n"), 3});
  Value* length = ops::Squeeze(g_, ops::Shape(g_, x, {.end = 1}));
  const auto y = ops::Loop(g_, length, nullptr, {}, [&](GraphBuilder& b, Value*, Value*, Carried) {
    return ops::LoopBody{.stacked = {ops::Relu(b, x)}};
  });
  ASSERT_TRUE(g_.status().ok()) << g_.status();
  EXPECT_EQ(TypeOf(y.stacked[0]), "f32[n,n,3]");
}

TEST_F(ControlFlow, DeeplyNestedGrowingLoopsAreInferredInBoundedTime) {
  Value* x = In("x", {2});
  std::function<Value*(GraphBuilder&, Value*, int)> nest = [&](GraphBuilder& b, Value* v,
                                                               int depth) -> Value* {
    if (depth == 0) return ops::Concat(b, {v, x}, {.axis = 0});
    return ops::Loop(b, nullptr, nullptr, {v},
                     [&](GraphBuilder& inner, Value*, Value*, Carried c) {
                       return ops::LoopBody{.carried = {nest(inner, c[0], depth - 1)}};
                     })
        .carried[0];
  };
  Value* y = nest(g_, x, 30);
  ASSERT_TRUE(g_.status().ok()) << g_.status();
  EXPECT_EQ(y->type().dtype(), DType::kF32);
  EXPECT_TRUE(InferTypes(&graph_).ok());
}

TEST_F(ControlFlow, LoopRefusesACarriedValueThatChangesItsElementType) {
  ops::Loop(g_, nullptr, nullptr, {In("x", {2})}, [&](GraphBuilder& b, Value*, Value*, Carried c) {
    return ops::LoopBody{.carried = {ops::Cast(b, c[0], {.to = DType::kI64})}};
  });
  EXPECT_NE(g_.status().message().find("starts as f32[2]"), std::string::npos) << g_.status();
}

TEST_F(ControlFlow, IfJoinsWhatItsBranchesAgreeOn) {
  Value* x = In("x", {Dim::Symbol("n"), 3});
  Value* z = In("z", {4, 3});
  Value* cond = In("cond", {}, DType::kBool);
  auto then_branch = [&](GraphBuilder& b) { return ops::Values{x}; };
  auto else_branch = [&](GraphBuilder& b) { return ops::Values{z}; };
  Value* y = ops::If(g_, cond, then_branch, else_branch)[0];
  Value* taken = ops::If(g_, g_.Scalar<bool>(false), then_branch, else_branch)[0];
  ASSERT_TRUE(g_.status().ok()) << g_.status();
  ASSERT_EQ(y->type().rank(), 2);
  EXPECT_EQ(y->type().dim(1), Dim(3));
  EXPECT_NE(y->type().dim(0), Dim::Symbol("n"));
  EXPECT_EQ(TypeOf(taken), "f32[4,3]");
}

TEST_F(ControlFlow, IfForgivesABranchThatTheShapesRuleOut) {
  Value* x = In("x", {5});
  Value* size = ops::Size(g_, x);
  Value* y = ops::If(
      g_, ops::Equal(g_, size, g_.Scalar<int64_t>(5)),
      [&](GraphBuilder& b) { return ops::Values{ops::Relu(b, x)}; },
      [&](GraphBuilder& b) {  // would not do for 5 elements: inferred only with the If itself
        Value* other = b.Constant(*Tensor::Random(DType::kF32, {3, 4}, {}));
        return ops::Values{b.RawOp("MatMul", std::vector<Value*>{x, other}, 1)->output()};
      })[0];
  ASSERT_TRUE(g_.status().ok()) << g_.status();
  EXPECT_EQ(TypeOf(y), "f32[5]");
}

TEST_F(ControlFlow, IfRefusesBranchesOfDifferentElementTypes) {
  Value* x = In("x", {3});
  ops::If(
      g_, In("cond", {}, DType::kBool), [&](GraphBuilder& b) { return ops::Values{x}; },
      [&](GraphBuilder& b) { return ops::Values{ops::Cast(b, x, {.to = DType::kF64})}; });
  EXPECT_NE(g_.status().message().find("else_branch"), std::string::npos) << g_.status();
}

TEST_F(ControlFlow, ScanHonoursAxesAndChecksLengths) {
  Value* x = In("x", {4, Dim::Symbol("t")});
  Value* z = In("z", {Dim::Symbol("t"), 4});
  auto body = [](GraphBuilder& b, Carried, Carried slices) {
    return ops::ScanBody{{}, {ops::Add(b, slices[0], slices[1])}};
  };
  const auto y =
      ops::Scan(g_, {}, {x, z}, body, {.scan_input_axes = {-1, 0}, .scan_output_axes = {-1}});
  ASSERT_TRUE(g_.status().ok()) << g_.status();
  EXPECT_EQ(TypeOf(y.stacked[0]), "f32[4,t]");
  ops::Scan(g_, {}, {In("a", {5, 4}), In("b", {6, 4})}, body);
  EXPECT_NE(g_.status().message().find("one length"), std::string::npos) << g_.status();
}

TEST_F(ControlFlow, ACallsTypesFollowFromTheFunctions) {
  auto function = std::make_unique<Graph>(StandardOps(), "twice");
  GraphBuilder f(function.get());
  Value* x = f.Input("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("n"), 3}));
  f.Output(ops::Concat(f, {x, x}, {.axis = 0}));
  ASSERT_TRUE(f.status().ok()) << f.status();
  graph_.functions()["twice"] = std::move(function);
  Value* y = ops::Call(g_, {In("a", {Dim::Symbol("b"), 3})}, 1, {.function = "twice"})[0];
  Value* z = ops::Call(g_, {In("c", {4, 3})}, 1, {.function = "twice"})[0];
  ASSERT_TRUE(g_.status().ok()) << g_.status();
  EXPECT_EQ(TypeOf(y), "f32[2*b,3]");
  EXPECT_EQ(TypeOf(z), "f32[8,3]");
  ops::Call(g_, {In("d", {4, 3}, DType::kI64)}, 1, {.function = "twice"});
  EXPECT_NE(g_.status().message().find("gets i64[4,3]"), std::string::npos) << g_.status();
}

TEST_F(ControlFlow, BodiesOfAFailedBuilderHaveAGraphToo) {
  Value* x = In("x", {2});
  g_.Fail(absl::AbortedError("before"));
  int looks = 0;
  const auto look = [&](GraphBuilder& b) {
    ++looks;
    EXPECT_NE(b.graph(), nullptr);
    EXPECT_EQ(b.graph()->FindValue("x"), nullptr);
    return ops::Values{ops::Relu(b, x)};
  };
  const ops::Values y = ops::If(g_, In("c", {}, DType::kBool), look, look);
  ops::Loop(g_, nullptr, nullptr, {x}, [&](GraphBuilder& b, Value*, Value*, Carried c) {
    return ops::LoopBody{.carried = look(b)};
  });
  EXPECT_EQ(looks, 3);
  EXPECT_EQ(y, ops::Values{nullptr});
  EXPECT_EQ(g_.status().message(), "before");
}

TEST_F(ControlFlow, AssignWantsAVariable) {
  Value* v = g_.Variable("v", Tensor::Vector<float>(std::vector<float>{1, 2}));
  Value* next = ops::Assign(g_, v, ops::Add(g_, v, v));
  ASSERT_TRUE(g_.status().ok()) << g_.status();
  EXPECT_EQ(TypeOf(next), "f32[2]");
  ops::Assign(g_, next, v);
  EXPECT_NE(g_.status().message().find("must be a Variable"), std::string::npos) << g_.status();
}

}  // namespace
}  // namespace sluice
