#include "graph/patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/effects.h"
#include "graph/text.h"
#include "ops/op.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::unique_ptr<Graph> MustParse(absl::string_view text) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? *std::move(graph) : nullptr;
}

// What the graph is after the edit, compared as graphs.
void ExpectEqual(const Graph& graph, absl::string_view text) {
  std::unique_ptr<Graph> expected = MustParse(text);
  ASSERT_NE(expected, nullptr);
  std::string difference;
  EXPECT_TRUE(Equal(graph, *expected, &difference)) << difference << "\n" << Print(graph);
  EXPECT_TRUE(Verify(graph).ok()) << Verify(graph);
}

constexpr char kText[] = R"(graph g (%x: f32[n,4]) {
  %a = Abs(%x)
  %b = Neg(%a)
  %c = Relu(%b)
  %d = Exp(%c)
  return %d
})";

TEST(Patch, ReplacesErasesWhatIsDeadAndKeepsNames) {
  std::unique_ptr<Graph> graph = MustParse(kText);
  Node* relu = graph->FindValue("c")->producer();
  {
    Patch patch(graph.get(), relu, "test_pass");
    Value* y = patch.builder().Op("Sqrt", {graph->FindValue("x")});
    patch.Replace(relu->output(), y);
    ASSERT_TRUE(patch.Commit().ok());
  }
  ExpectEqual(*graph, R"(graph g (%x: f32[n,4]) {
  %c = Sqrt(%x)
  %d = Exp(%c)
  return %d
})");
  EXPECT_THAT(graph->FindValue("c")->producer()->origin().ToString(),
              testing::EndsWith("via test_pass"));
}

TEST(Patch, LeavesNoTraceWithoutCommit) {
  std::unique_ptr<Graph> graph = MustParse(kText);
  {
    Patch patch(graph.get(), graph->FindValue("c")->producer(), "test_pass");
    Value* y = patch.builder().Op("Sqrt", {graph->FindValue("x")});
    patch.Replace(graph->FindValue("c"), patch.builder().Op("Neg", {y}));
  }
  ExpectEqual(*graph, kText);
}

TEST(Patch, RefusesTypesThatContradict) {
  std::unique_ptr<Graph> graph = MustParse(kText);
  {
    Patch patch(graph.get(), graph->FindValue("c")->producer(), "test_pass");
    Value* y = patch.builder().Constant(Tensor::Vector<float>({1, 2, 3}));
    patch.Replace(graph->FindValue("c"), y);
    EXPECT_THAT(patch.Commit().ToString(), HasSubstr("cannot be replaced"));
  }
  ExpectEqual(*graph, kText);
}

TEST(Patch, ABuildersErrorRefusesTheWholePatch) {
  std::unique_ptr<Graph> graph = MustParse(kText);
  {
    Patch patch(graph.get(), graph->FindValue("c")->producer(), "test_pass");
    Value* y = patch.builder().Op("NoSuchOp", {graph->FindValue("x")});
    EXPECT_EQ(y, nullptr);
    EXPECT_EQ(patch.builder().Op("Neg", {y}), nullptr);
    patch.Replace(graph->FindValue("c"), y);
    EXPECT_THAT(patch.Commit().ToString(), HasSubstr("NoSuchOp"));
  }
  ExpectEqual(*graph, kText);
}

TEST(Patch, AnExistingValueTakesOverUsesAndOutputsButKeepsItsName) {
  std::unique_ptr<Graph> graph = MustParse(R"(graph g (%x: f32[2]) {
  %a = Identity(%x)
  %b = Neg(%a)
  return %a, %b
})");
  Node* identity = graph->FindValue("a")->producer();
  Patch patch(graph.get(), identity, "test_pass");
  patch.Replace(identity->output(), identity->input(0));
  ASSERT_TRUE(patch.Commit().ok());
  ExpectEqual(*graph, R"(graph g (%x: f32[2]) {
  %b = Neg(%x)
  return %x as "a", %b
})");
}

TEST(Patch, UsesInsideBodiesFollow) {
  std::unique_ptr<Graph> graph = MustParse(R"(graph g (%x: f32[2], %p: bool[]) {
  %a = Identity(%x)
  %y = If(%p) {else_branch = graph () { return %a }, then_branch = graph () { %n = Neg(%a) return %n }}
  return %y
})");
  Node* identity = graph->FindValue("a")->producer();
  Patch patch(graph.get(), identity, "test_pass");
  patch.Replace(identity->output(), identity->input(0));
  ASSERT_TRUE(patch.Commit().ok());
  ExpectEqual(*graph, R"(graph g (%x: f32[2], %p: bool[]) {
  %y = If(%p) {else_branch = graph () { return %x as "a" }, then_branch = graph () { %n = Neg(%x) return %n }}
  return %y
})");
}

TEST(Patch, DeadNodesWithControlUsesOrStateStay) {
  std::unique_ptr<Graph> graph = MustParse(R"(graph g (%x: f32[2]) {
  %v = Variable {name = "v", value = f32[2] [0.0, 0.0]}
  %w = Assign(%v, %x)
  %a = Neg(%x)
  %b = Abs(%a) after (%w)
  return %b
})");
  Node* abs = graph->FindValue("b")->producer();
  Patch patch(graph.get(), abs, "test_pass");
  patch.Replace(abs->output(), patch.builder().Op("Exp", {graph->FindValue("x")}));
  ASSERT_TRUE(patch.Commit().ok());
  EXPECT_NE(graph->FindValue("w"), nullptr);  // stateful
  EXPECT_EQ(graph->FindValue("a"), nullptr);
  EXPECT_TRUE(Verify(*graph).ok()) << Verify(*graph);
}

TEST(Patch, ADeadNodeWhoseBodyAssignsStays) {
  std::unique_ptr<Graph> graph = MustParse(R"(graph g (%b: bool[], %x: f32[1]) {
  %v = Variable {name = "v", value = f32[1] [1.0]}
  %y = If(%b) {then_branch = graph () { %p = Assign(%v, %x) return %p },
               else_branch = graph () { return %x }}
  %z = Neg(%y)
  return %z
})");
  Patch patch(graph.get(), graph->FindValue("z")->producer(), "test");
  patch.Replace(graph->FindValue("z"), patch.builder().Op("Abs", {graph->FindValue("x")}));
  ASSERT_TRUE(patch.Commit().ok());
  EXPECT_NE(graph->FindValue("y"), nullptr);
}

TEST(Graph, RandomAndStatefulNodesAreNotPure) {
  std::unique_ptr<Graph> graph = MustParse(R"(graph g (%x: f32[1], %mode: bool[]) {
  %on = Constant {value = bool[] [true]}
  %off = Constant {value = bool[] [false]}
  %a = Dropout(%x)
  %b = Dropout(%x, _, %off)
  %c = Dropout(%x, _, %on)
  %d = Dropout(%x, _, %mode)
  %v = Variable {name = "v", value = f32[1] [1.0]}
  %w = Assign(%v, %x)
  return %a, %b, %c, %d, %w
})");
  for (const char* name : {"a", "b", "on"})
    EXPECT_TRUE(IsPure(*graph->FindValue(name)->producer())) << name;
  for (const char* name : {"c", "d", "v", "w"})
    EXPECT_FALSE(IsPure(*graph->FindValue(name)->producer())) << name;
  EXPECT_FALSE(HasEffects(*graph->FindValue("c")->producer()));
  EXPECT_TRUE(HasEffects(*graph->FindValue("w")->producer()));
}

TEST(Patch, AThousandPatchesAreFast) {
  std::unique_ptr<Graph> graph = std::make_unique<Graph>(StandardOps());
  GraphBuilder b(graph.get());
  Value* v = b.Input("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("n")}));
  for (int i = 0; i < 2000; ++i) v = b.Op(i % 2 ? "Identity" : "Neg", {v});
  b.Output(v);
  ASSERT_TRUE(b.status().ok()) << b.status();
  std::vector<Node*> nodes;
  for (const auto& node : graph->nodes()) {
    if (node->Is("Identity")) nodes.push_back(node.get());
  }
  for (Node* node : nodes) {
    Patch patch(graph.get(), node, "test_pass");
    patch.Replace(node->output(), node->input(0));
    ASSERT_TRUE(patch.Commit().ok());
  }
  EXPECT_EQ(graph->num_nodes(), 1000u);
  EXPECT_TRUE(Verify(*graph).ok());
}

TEST(Graph, ClonesAreEqualAndIndependent) {
  std::unique_ptr<Graph> graph = MustParse(kText);
  std::unique_ptr<Graph> clone = graph->Clone();
  EXPECT_TRUE(Equal(*graph, *clone));
  clone->FindValue("c")->producer()->SetInput(0, clone->FindValue("x"));
  EXPECT_FALSE(Equal(*graph, *clone));
  ExpectEqual(*graph, kText);
}

TEST(Graph, EqualSaysWhatDiffers) {
  std::unique_ptr<Graph> a = MustParse(kText), b = MustParse(kText);
  b->FindValue("c")->producer()->set_device("gpu:0");
  std::string difference;
  EXPECT_FALSE(Equal(*a, *b, &difference));
  EXPECT_THAT(difference, HasSubstr("device"));
  EXPECT_THAT(difference, HasSubstr("%c = Relu(%b) : f32[n,4] @gpu:0"));
}

TEST(Graph, AnAttributeThatEqualsItsDefaultNeedsNotBeWritten) {
  const char* const written = "graph g (%x: f32[2]) { %y = Softmax(%x) {axis = -1} return %y }";
  const char* const left_out = "graph g (%x: f32[2]) { %y = Softmax(%x) return %y }";
  EXPECT_TRUE(Equal(*MustParse(written), *MustParse(left_out)));
  EXPECT_EQ(Print(*MustParse(written)), Print(*MustParse(left_out)));
}

TEST(Builder, TheFirstErrorSticksAndNamesItsLine) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{2, 3}));
  Value* y = b.Input("y", Type::Tensor(DType::kF32, Shape{4, 5}));
  Value* bad = b.Op("Add", {x, y});
  EXPECT_EQ(bad, nullptr);
  EXPECT_EQ(b.Op("Neg", {bad}), nullptr);
  b.Output(bad);
  EXPECT_THAT(b.status().ToString(), HasSubstr("patch_test.cc:"));
  EXPECT_THAT(b.status().ToString(), HasSubstr("[2,3]"));
  EXPECT_THAT(b.status().ToString(), HasSubstr("[4,5]"));
}

TEST(Builder, NameScopesNest) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{2}));
  NameScope outer(b, "encoder");
  Value* y = nullptr;
  {
    NameScope inner(b, "layer0");
    y = b.Op("Neg", {x});
    EXPECT_EQ(y->name(), "encoder/layer0/Neg");
    EXPECT_EQ(b.Op("Neg", {x})->name(), "encoder/layer0/Neg_1");
  }
  EXPECT_EQ(b.Op("Neg", {y})->name(), "encoder/Neg");
}

}  // namespace
}  // namespace sluice
