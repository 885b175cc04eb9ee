// Names that a file chose, in every message of graph/ (ATTACKS.md 17).
#include "tests/testing/odd_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/builder.h"
#include "graph/graph_def.h"
#include "graph/infer.h"
#include "graph/patch.h"
#include "graph/text.h"
#include "ops/op.h"

namespace sluice {
namespace {

using testing::HasSubstr;

void ExpectSafe(const absl::Status& status, absl::string_view about) {
  EXPECT_FALSE(status.ok()) << about;
  EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(about)));
  EXPECT_EQ(Unsafe(status.message()), "") << status.message().substr(0, 3000);
}

TEST(OddNames, ShownIsShortEscapedAndPlainWhereItCan) {
  EXPECT_EQ(Shown("conv1"), "'conv1'");
  EXPECT_EQ(Shown("it's\n"), "'it\\'s\\n'");
  EXPECT_EQ(Shown(std::string(1000, 'a')), "'" + std::string(200, 'a') + "'... (1000 bytes)");
  EXPECT_EQ(Shown(std::string(199, 'a') + "\xc3\xbc" + std::string(9, 'b')),
            "'" + std::string(199, 'a') + "'... (210 bytes)");  // no half character
  EXPECT_EQ(ShownValue("layer/conv1"), "%layer/conv1");
  EXPECT_EQ(ShownValue("a b"), "%\"a b\"");
  EXPECT_EQ(Escaped("dir/model.onnx"), "dir/model.onnx");
  EXPECT_EQ(Escaped("a\x1b[0m"), "a\\x1b[0m");
}

class OddNamesTest : public testing::TestWithParam<size_t> {
 protected:
  std::string Name(absl::string_view tag = "") { return OddNames(tag)[GetParam()]; }
  const OpDef& Op(absl::string_view name) { return *StandardOps().Find(name); }
};

TEST_P(OddNamesTest, InVerify) {
  {
    Graph graph(StandardOps(), Name());  // an input that comes later
    Value* x = graph.AddInput(Name("x"), Type::Tensor(DType::kF32));
    Node* a = graph.AddNode(Op("Relu"), {x}, {Name("a")});
    Node* b = graph.AddNode(Op("Relu"), {a->output()}, {Name("b")});
    a->mutable_origin() = {.file = Name("file"), .name = Name("node"), .passes = Name("passes")};
    a->SetInput(0, b->output());
    ExpectSafe(Verify(graph), "is not defined before it");
    ExpectSafe(graph.SortTopologically(), "cycle");
    a->SetInput(0, x);
    a->AddControlInput(b);
    ExpectSafe(Verify(graph), "control input");
  }
  {
    Graph graph(StandardOps(), Name());
    Node* variable = graph.AddNode(Op("Variable"), {}, {Name("v")});
    variable->SetAttr("name", Name("v"));
    variable->SetAttr("value", Tensor::Scalar<float>(1));
    Node* read = graph.AddNode(Op("Relu"), {variable->output()}, {Name("r")});
    graph.AddNode(Op("Assign"), {variable->output(), read->output()}, {Name("w")});
    graph.AddNode(Op("Assign"), {variable->output(), read->output()}, {Name("n")});
    ExpectSafe(Verify(graph), "writes variable");
  }
  {
    Graph graph(StandardOps(), Name());
    Value* x = graph.AddInput(Name("x"), Type::Tensor(DType::kF32));
    graph.AddOutput(x);
    graph.signatures()[Name()] = {{Name("y")}, {}};
    ExpectSafe(Verify(graph), "names input");
    graph.signatures()[Name()] = {{}, {Name("y")}};
    ExpectSafe(Verify(graph), "names output");
  }
  {
    Graph graph(StandardOps(), Name());
    Value* x = graph.AddInput(Name("x"), Type::Tensor(DType::kF32));
    Node* node = graph.AddNode(Op("Relu"), {x}, {Name("y")});
    node->SetAttr(Name("attribute"), Name("value"));
    ExpectSafe(Verify(graph), "unknown attribute");
  }
  {
    Graph graph(StandardOps(), Name());
    Value* b = graph.AddInput(Name("b"), Type::Tensor(DType::kBool));
    Node* node = graph.AddNode(Op("If"), {b}, {Name("y")});
    for (const char* branch : {"then_branch", "else_branch"}) {
      Graph* body = node->AddBody(branch);
      body->set_name(Name(branch));
      body->AddOutput(b);
    }
    Graph* body = node->body("then_branch");
    body->RenameValue(body->AddInput("z", Type()), Name("b"));
    absl::Status status = Verify(graph);  // whatever it says of this one
    EXPECT_EQ(Unsafe(status.message()), "");
    node->AddBody(Name("body"));
    EXPECT_EQ(Unsafe(Verify(graph).message()), "");
  }
}

TEST_P(OddNamesTest, InInferenceBuilderAndPatch) {
  Graph graph(StandardOps(), Name());
  Value* x = graph.AddInput(Name("x"), Type::Tensor(DType::kF32, Shape{2, 3}));
  Value* y = graph.AddInput(Name("y"), Type::Tensor(DType::kF32, Shape{4, 5}));
  Node* node = graph.AddNode(Op("Add"), {x, y}, {Name("z")});
  node->mutable_origin() = {.file = Name("file"), .name = Name("node"), .passes = Name("passes")};
  ExpectSafe(InferNode(node), "do not broadcast");
  node->SetInput(1, x);
  node->output()->set_type(Type::Tensor(DType::kI64, Shape{7}));
  ExpectSafe(InferNode(node), "is declared");

  GraphBuilder taken(&graph);
  taken.Input(Name("x"), Type::Tensor(DType::kF32));
  ExpectSafe(taken.status(), "the name is taken");
  GraphBuilder unknown(&graph);
  unknown.Op(Name("op"), {x});
  ExpectSafe(unknown.status(), "no op is called");

  Patch patch(&graph, node, Name("pass"));
  patch.Replace(x, y);
  ExpectSafe(patch.Commit(), "cannot be replaced");
}

TEST_P(OddNamesTest, InTextAndGraphDef) {
  const std::string name = Quote(Name());
  const OpRegistry& ops = StandardOps();
  ExpectSafe(Parse(absl::StrCat("graph g () { return %", name, " }"), ops).status(), "not defined");
  ExpectSafe(Parse(absl::StrCat("graph g () { %a = ", name, "() return }"), ops).status(), "");
  ExpectSafe(Parse(absl::StrCat("graph g (%", name, ", %", name, ") { return }"), ops).status(),
             "twice");
  ExpectSafe(Parse("graph g (%x: f32[" + Name() + "(]) { return %x }", ops).status(), "");
  ExpectSafe(Type::Parse("f32[" + Name("/")).status(), "");

  proto::GraphDef def;
  def.set_format_version(1);
  auto* node = def.add_nodes();
  node->set_op(Name("op"));
  node->add_outputs()->set_name(Name("out"));
  EXPECT_EQ(Unsafe(Import(def, ops, nullptr).status().message()), "");
}

TEST_P(OddNamesTest, OfFunctionsInTextAndGraphDef) {
  const std::string f = Quote(Name("f"));
  const OpRegistry& ops = StandardOps();
  const std::string function = absl::StrCat("function ", f, " (%a: f32[n]) { return %a }\n");
  auto main = [&](absl::string_view inputs) {
    return absl::StrCat("graph g (%x: f32[2]) {\n  %y = Call(", inputs, ") {function = ", f,
                        "}\n  return %y\n}\n");
  };
  const absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(main("%x") + function, ops);
  ASSERT_TRUE(graph.ok()) << graph.status();
  std::string difference;
  const absl::StatusOr<std::unique_ptr<Graph>> again = Parse(Print(**graph), ops);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(Equal(**graph, **again, &difference)) << difference;
  ExpectSafe(Parse(main("%x") + function + function, ops).status(), "is defined twice");
  ExpectSafe(Parse(main("%x, %x") + function, ops).status(), "takes 1 inputs");
  const std::string damaged = absl::StrCat("function ", f, " (%a: f32[n]) { return %b }\n");
  ExpectSafe(Parse(main("%x") + damaged, ops).status(), "not defined");

  proto::GraphDef def;
  def.set_format_version(1);
  for (int i = 0; i < 2; ++i) def.add_functions()->set_name(Name("f"));
  EXPECT_EQ(Unsafe(Import(def, ops, nullptr).status().message()), "");
}

TEST_P(OddNamesTest, AsDimensionsAndInComparisons) {
  const Type type = Type::Tensor(DType::kF32, Shape{Dim::Symbol(LegalSymbol(Name())), Dim(3)});
  EXPECT_EQ(Unsafe(type.ToString()), "");
  EXPECT_LT(type.ToString().size(), 150u);
  EXPECT_NE(LegalSymbol(std::string(1000, 'a') + "b"), LegalSymbol(std::string(1000, 'a') + "c"));
  Graph a(StandardOps(), Name("a")), b(StandardOps(), Name("b"));
  std::string difference;
  EXPECT_FALSE(Equal(a, b, &difference));
  EXPECT_EQ(Unsafe(difference), "");
}

INSTANTIATE_TEST_SUITE_P(All, OddNamesTest, testing::Range<size_t>(0, OddNames("").size()));

}  // namespace
}  // namespace sluice
