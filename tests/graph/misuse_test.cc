// Wrong calls of the public classes of graph/: each ends in a status, or in a value that says that
// there is none. Never in a crash, nor in memory that is not theirs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/builder.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"
#include "passes/add_gradients.h"

namespace sluice {
namespace {

using testing::HasSubstr;

constexpr char kText[] = R"(graph g (%x: f32[n,4]) {
  %a = Abs(%x)
  %b = Neg(%a)
  return %b
})";

std::unique_ptr<Graph> MustParse(absl::string_view text = kText) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? *std::move(graph) : nullptr;
}

std::string Said(const absl::Status& status) { return std::string(status.message()); }

TEST(Misuse, ValuesOfAForeignGraphAreRefusedWhicheverGraphGoesFirst) {
  for (bool foreign_first : {false, true}) {
    std::unique_ptr<Graph> foreign = MustParse();
    auto graph = std::make_unique<Graph>(StandardOps(), "mine");
    Value* theirs = foreign->FindValue("a");
    GraphBuilder b(graph.get());
    Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{4}));
    EXPECT_EQ(b.Op("Add", {x, theirs}), nullptr);
    EXPECT_THAT(Said(b.status()), HasSubstr("'a' is a value of graph 'g'"));
    EXPECT_THAT(Said(b.status()), HasSubstr("misuse_test.cc"));
    (foreign_first ? foreign : graph).reset();
  }
}

TEST(Misuse, BelowTheBuilderTheGraphKeepsTheFirstEditThatFailed) {
  std::unique_ptr<Graph> foreign = MustParse();
  Value* const theirs = foreign->FindValue("a");
  Node* const their_node = theirs->producer();
  const OpDef& relu = *StandardOps().Find("Relu");
  struct Case {
    const char* what;
    std::function<void(Graph&)> edit;
    const char* says;
  };
  const Case cases[] = {
      {"AddNode", [&](Graph& g) { g.AddNode(relu, {&theirs, 1}, {""}); }, "a value of graph 'g'"},
      {"AddNode before", [&](Graph& g) { g.AddNode(relu, {}, {""}, their_node); },
       "a node of another graph"},
      {"SetInput", [&](Graph& g) { g.FindValue("a")->producer()->SetInput(0, theirs); },
       "a value of graph 'g'"},
      {"AddControlInput",
       [&](Graph& g) { g.FindValue("a")->producer()->AddControlInput(their_node); },
       "a node of another graph"},
      {"no control input",
       [&](Graph& g) { g.FindValue("a")->producer()->AddControlInput(nullptr); }, "is null"},
      {"TakeBodies", [&](Graph& g) { g.FindValue("a")->producer()->TakeBodies(their_node); },
       "bodies"},
      {"AddOutput", [&](Graph& g) { g.AddOutput(theirs, "y"); }, "a value of graph 'g'"},
      {"no output", [&](Graph& g) { g.AddOutput(nullptr, "y"); }, "the value is null"},
      {"SetOutput", [&](Graph& g) { g.SetOutput(0, theirs); }, "a value of graph 'g'"},
      {"no such output", [&](Graph& g) { g.SetOutput(7, g.FindValue("a")); }, "has 1 outputs"},
      {"EraseNode", [&](Graph& g) { g.EraseNode(g.FindValue("a")->producer()); },
       "it is still used"},
      {"erase another's node", [&](Graph& g) { g.EraseNode(their_node); }, "another graph"},
      {"erase no node", [&](Graph& g) { g.EraseNode(nullptr); }, "there is none"},
      {"EraseInput", [&](Graph& g) { g.EraseInput(g.FindValue("x")); }, "it is still used"},
      {"erase what is no input", [&](Graph& g) { g.EraseInput(g.FindValue("b")); },
       "cannot be erased"},
      {"erase no input", [&](Graph& g) { g.EraseInput(nullptr); }, "the value is null"},
      {"MoveBefore", [&](Graph& g) { g.MoveBefore(g.FindValue("a")->producer(), their_node); },
       "within its graph"},
      {"ReplaceAllUses", [&](Graph& g) { g.ReplaceAllUses(g.FindValue("a"), theirs); },
       "a value of graph 'g'"},
      {"replace by nothing", [&](Graph& g) { g.ReplaceAllUses(g.FindValue("a"), nullptr); },
       "cannot be replaced by nothing"},
      {"RenameValue", [&](Graph& g) { g.RenameValue(nullptr, "z"); }, "no value"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    std::unique_ptr<Graph> graph = MustParse();
    graph->set_name("mine");
    c.edit(*graph);
    EXPECT_THAT(Said(graph->status()), HasSubstr(c.says));
    EXPECT_EQ(Verify(*graph), graph->status());
    EXPECT_EQ(Verify(*graph->Clone()), graph->status());
  }
  EXPECT_TRUE(Verify(*foreign).ok()) << Verify(*foreign);
  EXPECT_EQ(theirs->uses().size(), 1u);
}

TEST(Misuse, ABodysEditsAreItsProgramsAffair) {
  std::unique_ptr<Graph> foreign = MustParse();
  Graph graph(StandardOps(), "mine");
  GraphBuilder b(&graph);
  Node* node = b.RawOp("If", {}, 1);
  node->AddBody("then_branch")->AddOutput(foreign->FindValue("a"));
  EXPECT_THAT(Said(graph.status()), HasSubstr("a value of graph 'g'"));
}

TEST(Misuse, AFunctionThatIsNull) {
  std::unique_ptr<Graph> graph = MustParse();
  graph->functions()["f"];
  EXPECT_THAT(Said(Verify(*graph)), HasSubstr("function 'f' is null"));
  EXPECT_THAT(Said(Verify(*graph->Clone())), HasSubstr("function 'f' is null"));
  EXPECT_FALSE(InferTypes(graph.get()).ok());
  EXPECT_TRUE(Equal(*graph, *graph));
  EXPECT_FALSE(Print(*graph).empty());
}

TEST(Misuse, NodesAndValuesThatAreNot) {
  std::unique_ptr<Graph> graph = MustParse();
  Node* node = graph->FindValue("a")->producer();
  EXPECT_EQ(node->output(1), nullptr);
  EXPECT_EQ(node->input(9), nullptr);
  EXPECT_EQ(node->body("then_branch"), nullptr);
  EXPECT_EQ(graph->AddNode(*StandardOps().Find("Relu"), {}, {})->name(), "");
  EXPECT_THAT(Said(Verify(*graph)), HasSubstr("0 inputs"));
  EXPECT_EQ(InferNode(nullptr).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(InferTypes(nullptr).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(AddGradients(nullptr, {}, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Misuse, OfTheBuilder) {
  std::unique_ptr<Graph> foreign = MustParse();
  struct Case {
    const char* what;
    std::function<void(GraphBuilder&, Value*)> call;
    const char* says;
  };
  const Case cases[] = {
      {"no output", [](GraphBuilder& b, Value*) { b.Output(nullptr, "y"); }, "'y' is null"},
      {"a foreign output", [&](GraphBuilder& b, Value*) { b.Output(foreign->FindValue("a"), "y"); },
       "a value of graph 'g'"},
      {"an output's name twice",
       [](GraphBuilder& b, Value* x) {
         b.Output(x, "y");
         b.Output(b.Op("Relu", {x}), "y");
       },
       "'y' is 'x' already"},
      {"an invalid constant", [](GraphBuilder& b, Value*) { b.Constant(Tensor()); },
       "the tensor is invalid"},
      {"a negative extent",
       [](GraphBuilder& b, Value*) { b.Input("z", Type::Tensor(DType::kF32, Shape{-1, 3})); },
       "dimension 0 is negative"},
      {"no outputs of a node", [](GraphBuilder& b, Value* x) { b.OpN("Relu", {&x, 1}, 0); },
       "0 outputs"},
      {"outputs without end",
       [](GraphBuilder& b, Value* x) { b.OpN("Split", {&x, 1}, SIZE_MAX, {{"axis", 0}}); },
       "expected 1 to 5000000"},
      {"a foreign node finished",
       [&](GraphBuilder& b, Value*) { b.Finish(foreign->FindValue("a")->producer()); },
       "another graph"},
      {"an attribute of another kind",
       [](GraphBuilder& b, Value* x) { b.Op("Softmax", {x}, {{"axis", "last"}}); },
       "is of kind string, expected int"},
      {"an invalid variable", [](GraphBuilder& b, Value*) { b.Variable("v", Tensor()); },
       "holds no tensor"},
      {"a number that the dtype does not hold",
       [](GraphBuilder& b, Value*) {
         b.ScalarLike(b.Input("bytes", Type::Tensor(DType::kI8)), 1e30);
       },
       "cannot hold 1e+30"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    Graph graph(StandardOps(), "mine");
    GraphBuilder b(&graph);
    c.call(b, b.Input("x", Type::Tensor(DType::kF32, Shape{4})));
    EXPECT_THAT(Said(b.status()), HasSubstr(c.says));
  }
  GraphBuilder none(nullptr);
  EXPECT_EQ(none.Op("Relu", {none.Input("x", Type())}), nullptr);
  none.Output(nullptr);
  EXPECT_THAT(Said(none.status()), HasSubstr("needs a graph"));
  Graph graph(StandardOps(), "mine");
  EXPECT_THAT(Said(GraphBuilder(&graph, foreign->FindValue("a")->producer()).status()),
              HasSubstr("a node of another graph"));
}

TEST(Misuse, AnOutputThatCouldNotBeMadeIsKeptByTheGraph) {
  Graph graph(StandardOps(), "mine");
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{4}));
  b.Output(b.Op("Relu", {x}), "good");
  b.Output(b.Op("Relu", {x, x}), "bad");
  EXPECT_FALSE(b.status().ok());
  EXPECT_EQ(Verify(graph), b.status());
}

TEST(Misuse, TensorsOfASizeThatIsNotTheirsAreNone) {
  const std::vector<float> three = {1, 2, 3};
  EXPECT_TRUE(Tensor::FromSpan<float>({3}, three).valid());
  for (const Dims& dims :
       {Dims{2}, Dims{4}, Dims{}, Dims{0}, Dims{-3}, Dims{1 << 30, 1 << 30}, Dims{INT64_MAX, 3}}) {
    EXPECT_FALSE(Tensor::FromSpan<float>(dims, three).valid()) << DimsToString(dims);
  }
  const Tensor t = Tensor::Vector<float>(three);
  EXPECT_TRUE(t.Reshaped({3, 1}).valid());
  for (const Dims& dims : {Dims{2}, Dims{4}, Dims{}, Dims{0}, Dims{-3}, Dims{-1, -3}}) {
    EXPECT_FALSE(t.Reshaped(dims).valid()) << DimsToString(dims);
  }
  EXPECT_FALSE(Tensor().Reshaped({0}).valid());
  EXPECT_FALSE(Tensor::Wrap(DType::kF32, {-1}, three.data(), nullptr).valid());
  EXPECT_FALSE(Tensor::Wrap(DType::kF32, {INT64_MAX, 2}, three.data(), nullptr).valid());
  EXPECT_FALSE(Tensor::Wrap(DType::kF32, {3}, nullptr, nullptr).valid());
  EXPECT_FALSE(Tensor::Wrap(DType::kInvalid, {3}, three.data(), nullptr).valid());
  EXPECT_TRUE(Tensor::Wrap(DType::kF32, {0}, nullptr, nullptr).valid());
}

TEST(Misuse, ElementsAreReadInTheirOwnSizeAlone) {
  const Tensor t = Tensor::Vector<float>({1, 2, 3});
  EXPECT_TRUE(t.values<double>().empty());
  EXPECT_TRUE(t.values<std::string>().empty());
  EXPECT_TRUE(Tensor::Scalar<std::string>("x").values<uint8_t>().empty());
  EXPECT_EQ(t.values<float>().size(), 3u);
  EXPECT_EQ(t.At<float>(2), 3);
  EXPECT_EQ(t.At<float>(3), 0);
  EXPECT_EQ(t.At<float>(-1), 0);
  EXPECT_EQ(t.At<double>(0), 0);
  EXPECT_EQ(Tensor().At<float>(0), 0);
  EXPECT_EQ(Tensor().ToString(), "invalid[] []");
  EXPECT_TRUE(Tensor().Aligned().ok());
  EXPECT_FALSE(Tensor().AsInts().has_value());
}

TEST(Misuse, AttributesOfAnotherKindAreEmpty) {
  const Attribute text("text");
  EXPECT_EQ(text.as_int(), 0);
  EXPECT_EQ(text.as_float(), 0);
  EXPECT_TRUE(text.as_ints().empty());
  EXPECT_TRUE(text.as_floats().empty());
  EXPECT_TRUE(text.as_strings().empty());
  EXPECT_EQ(text.as_dtype(), DType::kInvalid);
  EXPECT_FALSE(text.as_tensor().valid());
  EXPECT_TRUE(text.as_type().is_unknown());
  EXPECT_EQ(Attribute(1).as_string(), "");
}

TEST(Misuse, TypesWithoutAShapeHaveNoExtents) {
  const Type open = Type::Tensor(DType::kF32);
  EXPECT_TRUE(open.shape().empty());
  EXPECT_EQ(open.rank(), 0);
  EXPECT_TRUE(open.dim(0).is_unknown());
  EXPECT_TRUE(Type().element().is_unknown());
  const Type two = Type::Tensor(DType::kF32, Shape{1, 2});
  EXPECT_TRUE(two.dim(2).is_unknown());
  EXPECT_TRUE(two.dim(-1).is_unknown());
  EXPECT_TRUE(BroadcastShapes({Dim::Symbol("a")}, {Dim::Symbol("b")}, nullptr)->at(0).is_unknown());
  EXPECT_TRUE(JoinTypes(two, Type::Tensor(DType::kF32, Shape{1, 3}), nullptr).dim(1).is_unknown());
}

}  // namespace
}  // namespace sluice
