#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/builder.h"
#include "graph/graph.h"
#include "graph/text.h"
#include "ops/op.h"
#include "tests/graph/random_graph.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::unique_ptr<Graph> MustParse(absl::string_view text, const OpRegistry& ops = TestOps()) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, ops, {.infer = false});
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? *std::move(graph) : nullptr;
}

std::string ErrorOf(const Graph& graph) { return std::string(Verify(graph).message()); }

TEST(Verify, AcceptsLegalGraphs) {
  for (uint32_t seed = 0; seed < 100; ++seed) {
    const absl::Status s = Verify(*RandomGraph(seed).Make());
    ASSERT_TRUE(s.ok()) << seed << s;
  }
}

TEST(Verify, ChecksNodesAgainstTheirDeclarations) {
  const char* const cases[][2] = {
      {"%y = Relu()", "0 inputs, expected 1"},
      {"%y = Relu(%x, %x)", "2 inputs, expected 1"},
      {"%y = Relu(_)", "is required and absent"},
      {"%y, %z = Relu(%x)", "2 outputs, expected 1"},
      {"%y = Relu(%x) {alpha = 1.0}", "unknown attribute 'alpha'"},
      {"%y = Softmax(%x) {axis = 1.5}", "attribute 'axis' is of kind float, expected int"},
      {"%y = Constant()", "attribute 'value' is missing"},
      {"%y = Relu(%x) {b = graph () { return }}", "a body that the op does not know"},
      {"%y = If(%b) {then_branch = graph () { return %x }}", "body 'else_branch' is missing"},
      {"%y = Relu(%s)", "is string, expected one of"},
      {"%y = Add(%x, %b)", "expected one of"},
      {"%y = Add(%x, %i)", "but input 0 is f32"},
      {"%y = Relu(%q)", "expected a tensor"},
  };
  for (const auto& [node, message] : cases) {
    const std::string text = absl::StrCat(
        "graph g (%x: f32[2], %b: bool[], %s: string[2], %i: i64[2], %q: sequence<f32[2]>) { ",
        node, " return %y }");
    absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps(), {.infer = false});
    ASSERT_TRUE(graph.ok()) << graph.status();
    EXPECT_THAT(ErrorOf(**graph), HasSubstr(message)) << node;
    EXPECT_THAT(ErrorOf(**graph), HasSubstr("at %y")) << node;          // the node's line
    EXPECT_THAT(ErrorOf(**graph), HasSubstr("from <text>:1")) << node;  // and where it came from
  }
}

TEST(Verify, FindsCyclesOfDataAndOfControl) {
  std::unique_ptr<Graph> data =
      MustParse("graph g (%x) { %a = Any(%x) %b = Any(%a) %c = Any(%b) return %c }");
  Node* a = data->FindValue("a")->producer();
  a->SetInput(0, data->FindValue("c"));
  EXPECT_THAT(ErrorOf(*data), HasSubstr("there is a cycle"));
  EXPECT_THAT(std::string(data->SortTopologically().message()),
              HasSubstr("cycle through or before: 'a' (Any), 'b' (Any), 'c' (Any)"));

  std::unique_ptr<Graph> control = MustParse("graph g () { %a = Any() %b = Any() return %b }");
  a = control->FindValue("a")->producer();
  Node* b = control->FindValue("b")->producer();
  b->AddControlInput(a);
  EXPECT_TRUE(Verify(*control).ok());
  a->AddControlInput(b);
  EXPECT_THAT(ErrorOf(*control), HasSubstr("control input 'b' does not stand before it"));
  EXPECT_FALSE(control->SortTopologically().ok());

  std::unique_ptr<Graph> through_body = MustParse(R"(graph g () {
  %a = Bodies() {b_body = graph () { %i = Any() return %i }, z_body = graph () { return }}
  %b = Any(%a)
  return %b
})");
  Graph* body = through_body->FindValue("a")->producer()->body("b_body");
  body->FindValue("i")->producer()->SetInput(0, through_body->FindValue("b"));
  EXPECT_FALSE(Verify(*through_body).ok());
  EXPECT_FALSE(through_body->SortTopologically().ok());
}

TEST(Verify, SortingMendsAWrongOrder) {
  std::unique_ptr<Graph> graph =
      MustParse("graph g (%x) { %a = Any(%x) %b = Any(%a) %c = Any(%b) return %c }");
  graph->MoveBefore(graph->FindValue("a")->producer(), nullptr);
  EXPECT_FALSE(Verify(*graph).ok());
  ASSERT_TRUE(graph->SortTopologically().ok());
  EXPECT_TRUE(Verify(*graph).ok());
}

TEST(Verify, NoNameShadowsAnotherWhereverTheyStand) {
  std::unique_ptr<Graph> graph = MustParse(R"(graph g () {
  %a = Bodies() {b_body = graph () { %i = Any() return %i }, z_body = graph () { return }}
  %b = Any(%a)
  return %b
})");
  Value* b = graph->FindValue("b");
  graph->RenameValue(b, "i");  // which a body inside has
  EXPECT_NE(b->name(), "i");
  EXPECT_EQ(graph->FindValue(b->name()), b);
  EXPECT_TRUE(Verify(*graph).ok());
}

TEST(Verify, RefusesDeepNesting) {
  Graph graph(TestOps());
  Graph* inner = &graph;
  for (int i = 0; i < 70; ++i) {
    Node* node = inner->AddNode(*TestOps().Find("Bodies"), {}, {""});
    node->AddBody("z_body");
    inner = node->AddBody("b_body");
  }
  EXPECT_THAT(ErrorOf(graph), HasSubstr("nested deeper than 64"));
}

TEST(Verify, SignaturesNameInputsAndOutputs) {
  std::unique_ptr<Graph> graph = MustParse("graph g (%x) { return %x as \"y\" }");
  graph->signatures()["s"] = {{"x"}, {"y"}};
  EXPECT_TRUE(Verify(*graph).ok());
  graph->signatures()["s"] = {{"y"}, {}};
  EXPECT_THAT(ErrorOf(*graph), HasSubstr("names input 'y'"));
  graph->signatures()["s"] = {{}, {"x"}};
  EXPECT_THAT(ErrorOf(*graph), HasSubstr("names output 'x'"));
}

constexpr char kVariable[] = R"(graph g (%x: f32[2]) {
  %v = Variable {name = "v", value = f32[2] [1.0, 2.0]}
  %r = Relu(%v)
  %w = Assign(%v, %x)
  return %r, %w
})";

TEST(Verify, TwoWritesOfAVariableNeedAnOrderAndReadsNone) {
  std::unique_ptr<Graph> graph = MustParse(kVariable, StandardOps());
  EXPECT_TRUE(Verify(*graph).ok()) << Verify(*graph);

  const char kTwice[] = R"(graph g (%x: f32[2]) {
  %v = Variable {name = "v", value = f32[2] [1.0, 2.0]}
  %a = Assign(%v, %x)
  %b = Assign(%v, %x)
  return %a, %b
})";
  graph = MustParse(kTwice, StandardOps());
  EXPECT_THAT(ErrorOf(*graph), HasSubstr("writes variable 'v', and so does 'b', with no order"));
  graph->FindValue("b")->producer()->SetInput(1, graph->FindValue("a"));  // data orders them
  EXPECT_TRUE(Verify(*graph).ok()) << Verify(*graph);
  graph = MustParse(kTwice, StandardOps());
  graph->FindValue("b")->producer()->AddControlInput(graph->FindValue("a")->producer());
  EXPECT_TRUE(Verify(*graph).ok()) << Verify(*graph);

  // No signature has both.
  graph = MustParse(kTwice, StandardOps());
  graph->signatures()["one"] = {{"x"}, {}, {"a"}};
  graph->signatures()["other"] = {{"x"}, {}, {"b"}};
  EXPECT_TRUE(Verify(*graph).ok()) << Verify(*graph);
  graph->signatures()["both"] = {{"x"}, {}, {"a", "b"}};
  EXPECT_THAT(ErrorOf(*graph), HasSubstr("no order"));
}

TEST(Verify, SignaturesDoWhatWritesState) {
  std::unique_ptr<Graph> graph = MustParse(kVariable, StandardOps());
  graph->signatures()["s"] = {{"x"}, {}, {"w"}};
  EXPECT_TRUE(Verify(*graph).ok()) << Verify(*graph);
  for (const char* name : {"r", "x", "nothing"}) {
    graph->signatures()["s"] = {{"x"}, {}, {name}};
    EXPECT_THAT(ErrorOf(*graph), HasSubstr("which is no node of the graph that writes state"));
  }
}

// `body` of a Loop over a variable %v, and what stands behind the loop.
std::string LoopOverVariable(absl::string_view body, absl::string_view behind) {
  return absl::StrCat(R"(graph g (%n: i64[], %x: f32[2]) {
  %v = Variable {name = "v", value = f32[2] [1.0, 2.0]}
  %more = Constant {value = bool[] [true]}
  %y = Loop(%n, %more, %x) {body = graph (%i: i64[], %c: bool[], %s: f32[2]) {
)",
                      body, "    return %c, %t\n  }}\n", behind, "\n}");
}

TEST(Verify, WritesInBodiesNeedAnOrderWhereTheyMeet) {
  const auto check = [](const std::string& text) {
    absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
    EXPECT_TRUE(graph.ok()) << graph.status();
    return graph.ok() ? Verify(**graph) : graph.status();
  };
  // In one iteration.
  EXPECT_TRUE(check(LoopOverVariable("%t = Add(%v, %s) %w = Assign(%v, %s)", "return %y")).ok());
  EXPECT_THAT(
      std::string(check(LoopOverVariable("%t = Assign(%v, %s) %w = Assign(%v, %s)", "return %y"))
                      .message()),
      HasSubstr("'w', with no order"));
  // Outside and inside: ordered against the loop.
  const std::string write = "%t = Assign(%v, %s)";
  EXPECT_THAT(
      std::string(check(LoopOverVariable(write, "%r = Assign(%v, %x) return %y, %r")).message()),
      HasSubstr("no order"));
  EXPECT_TRUE(check(LoopOverVariable(write, "%r = Assign(%v, %y) return %r")).ok());
  EXPECT_TRUE(check(LoopOverVariable(write, "%r = Assign(%v, %x) after (%y) return %y, %r")).ok());
  // One branch alone runs.
  EXPECT_TRUE(check(R"(graph g (%b: bool[]) {
  %v = Variable {name = "v", value = f32[1] [1.0]}
  %y = If(%b) {then_branch = graph () { %p = Assign(%v, %v) return %p },
               else_branch = graph () { %q = Neg(%v) %r = Assign(%v, %q) return %r }}
  return %y
})")
                  .ok());
}

}  // namespace
}  // namespace sluice
