#include "graph/infer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "graph/text.h"
#include "ops/op.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::string TypeOf(absl::string_view text, absl::string_view value = "y") {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  if (!graph.ok()) return std::string(graph.status().message());
  const Value* v = (*graph)->FindValue(value);
  return v == nullptr ? "no such value" : v->type().ToString();
}

TEST(Infer, BroadcastsOverSymbols) {
  auto broadcast = [](absl::string_view a, absl::string_view b) {
    absl::StatusOr<Shape> s = BroadcastShapes(Type::Parse(absl::StrCat("f32", a))->shape(),
                                              Type::Parse(absl::StrCat("f32", b))->shape(),
                                              [] { return Dim::Symbol("fresh"); });
    return s.ok() ? ShapeToString(*s) : std::string(s.status().message());
  };
  EXPECT_EQ(broadcast("[2,3]", "[3]"), "[2,3]");
  EXPECT_EQ(broadcast("[n,1]", "[1,m]"), "[n,m]");
  EXPECT_EQ(broadcast("[n]", "[n]"), "[n]");
  EXPECT_EQ(broadcast("[n]", "[4]"), "[4]");
  EXPECT_EQ(broadcast("[n]", "[m]"), "[fresh]");
  EXPECT_EQ(broadcast("[]", "[5,n]"), "[5,n]");
  EXPECT_EQ(broadcast("[0]", "[1]"), "[0]");
  EXPECT_EQ(broadcast("[?]", "[?]"), "[fresh]");
  EXPECT_THAT(broadcast("[2,3]", "[4]"), HasSubstr("[2,3] and [4] do not broadcast: 3 against 4"));
}

TEST(Infer, MergesDeclaredAndInferred) {
  EXPECT_EQ(TypeOf("graph g (%x: f32[n,4]) { %y = Relu(%x) : f32[3,?] return %y }"), "f32[3,4]");
  EXPECT_THAT(TypeOf("graph g (%x: f32[n,4]) { %y = Relu(%x) : f32[n,5] return %y }"),
              HasSubstr("is declared f32[n,5], but inferred f32[n,4]"));
  EXPECT_THAT(TypeOf("graph g (%x: f32[n,4]) { %y = Relu(%x) : f16[n,4] return %y }"),
              HasSubstr("contradicts"));
}

TEST(Infer, ExtentsThatOnlyDataKnowsGetASymbolThatStays) {
  absl::StatusOr<std::unique_ptr<Graph>> parsed = Parse(
      "graph g (%x: f32[_4]) { %i = NonZero(%x) %j = NonZero(%x) return %i, %j }", StandardOps());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  Graph& graph = **parsed;
  const std::string once = Print(graph);
  EXPECT_EQ(graph.FindValue("i")->type().ToString(), "i64[1,_5]");  // _4 is taken
  EXPECT_EQ(graph.FindValue("j")->type().ToString(), "i64[1,_6]");  // not the same extent
  ASSERT_TRUE(InferTypes(&graph).ok());
  EXPECT_EQ(Print(graph), once);
  absl::StatusOr<std::unique_ptr<Graph>> back = Parse(once, StandardOps());
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_TRUE(Equal(graph, **back));
}

TEST(Infer, ContentsOfShapesFlow) {
  EXPECT_EQ(TypeOf(R"(graph g (%x: f32[n,4,6]) {
  %s = Shape(%x)
  %two = Constant {value = i64[1] [2]}
  %zero = Constant {value = i64[1] [0]}
  %i = Constant {value = i64[] [0]}
  %n = Gather(%s, %i)
  %axes = Constant {value = i64[1] [0]}
  %n1 = Unsqueeze(%n, %axes)
  %half = Mul(%n1, %two)
  %rest = Constant {value = i64[1] [-1]}
  %target = Concat(%half, %rest) {axis = 0}
  %y = Reshape(%x, %target)
  return %y
})"),
            "f32[2*n,12]");
}

TEST(Infer, ErrorsCarryNodeShapesAndOrigin) {
  absl::StatusOr<std::unique_ptr<Graph>> graph =
      Parse("graph g (%x: f32[2,3], %w: f32[4,5]) {\n  %y = MatMul(%x, %w)\n  return %y\n}",
            StandardOps(), {.file = "model.txt"});
  ASSERT_FALSE(graph.ok());
  const std::string message(graph.status().message());
  EXPECT_THAT(message, HasSubstr("model.txt:2:3"));
  EXPECT_THAT(message, HasSubstr("%y = MatMul(%x, %w)"));
  EXPECT_THAT(message, HasSubstr("[2,3]"));
  EXPECT_THAT(message, HasSubstr("[4,5]"));
}

double SecondsToInfer(int nodes) {
  Graph graph(StandardOps());
  const OpDef *add = StandardOps().Find("Add"), *relu = StandardOps().Find("Relu");
  Value* x = graph.AddInput("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("batch"), 64}));
  Value* v = x;
  for (int i = 0; i < nodes; ++i) {
    v = (i % 2 ? graph.AddNode(*add, {v, x}, {""}) : graph.AddNode(*relu, {v}, {""}))->output();
  }
  graph.AddOutput(v);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(InferTypes(&graph).ok());
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_EQ(v->type(), x->type());
  return seconds;
}

TEST(Infer, IsLinearAtAHundredThousandNodes) {
  double small = 1e9, large = 1e9;
  for (int i = 0; i < 3; ++i) {
    small = std::min(small, SecondsToInfer(10'000));
    large = std::min(large, SecondsToInfer(100'000));
  }
  std::printf("InferTypes: 10,000 nodes %.1f ms, 100,000 nodes %.1f ms\n", small * 1e3,
              large * 1e3);
  EXPECT_LT(large, 40 * small);
}

// As many fresh symbols as nodes: naming them must not search the graph each time.
TEST(Infer, FreshSymbolsAreCheap) {
  Graph graph(StandardOps());
  const OpDef* op = StandardOps().Find("NonZero");
  Value* x = graph.AddInput("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("n")}));
  for (int i = 0; i < 20'000; ++i) graph.AddOutput(graph.AddNode(*op, {x}, {""})->output());
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(InferTypes(&graph).ok());
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_LT(seconds, 2);
}

// Loops in loops: no round of inference may multiply with those around it.
TEST(Infer, NestedControlFlowStaysInsideItsTime) {
  std::string text = "graph g (%x: f32[n], %p: bool[]) {\n";
  constexpr int kDepth = 60;
  for (int i = 0; i < kDepth; ++i) {
    absl::StrAppend(&text, "%y", i, " = If(%p) {else_branch = graph () { return %x }, ",
                    "then_branch = graph () {\n");
  }
  absl::StrAppend(&text, "return %x\n");
  for (int i = kDepth - 1; i > 0; --i) absl::StrAppend(&text, "}} return %y", i, "\n");
  absl::StrAppend(&text, "}} return %y0 }");
  EXPECT_EQ(TypeOf(text, "y0"), "f32[n]");
}

}  // namespace
}  // namespace sluice
