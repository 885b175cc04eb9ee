// Models whose structure is hostile (ATTACKS.md, classes 8 and 9): recursion, depth, cycles, names,
// and very many of anything.
#include <chrono>

#include "absl/strings/str_cat.h"
#include "exchange/onnx_import.h"
#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

using onnx::AttributeProto;

// From bytes and from a file: one answer.
absl::Status ImportBytesAndFile(const std::string& bytes) {
  TemporaryFolder folder;
  const absl::Status memory = ImportOnnxBytes(bytes).status(),
                     file = ImportOnnx(folder.Write("m.onnx", bytes)).status();
  EXPECT_EQ(memory.code(), file.code()) << memory << " against " << file;
  return memory;
}
absl::Status ImportBoth(const onnx::ModelProto& model) {
  return ImportBytesAndFile(model.SerializeAsString());
}

// ---- 8: recursion

// A length-delimited field as it stands in the file.
std::string Field(int number, const std::string& content) {
  std::string out;
  for (size_t n : {static_cast<size_t>(number << 3 | 2), content.size()}) {
    for (; n >= 128; n >>= 7) out += static_cast<char>((n & 127) | 128);
    out += static_cast<char>(n);
  }
  return out + content;
}

onnx::FunctionProto Function(const std::string& name, const std::string& op, int calls) {
  onnx::FunctionProto f;
  f.set_name(name);
  f.set_domain("local");
  f.add_input("v0");
  for (int i = 0; i < calls; ++i) {
    auto* n = f.add_node();
    n->set_op_type(op);
    n->set_domain(op == "Relu" ? "" : "local");
    n->add_input("v" + std::to_string(i));
    n->add_output("v" + std::to_string(i + 1));
  }
  f.add_output("v" + std::to_string(calls));
  auto* import = f.add_opset_import();
  import->set_domain("");
  import->set_version(21);
  return f;
}

onnx::ModelProto CallingModel(const std::string& function) {
  auto model = EmptyModel();
  AddInput(model.mutable_graph(), "x", {2});
  AddNode(model.mutable_graph(), function, {"x"}, {"y"})->set_domain("local");
  AddOutput(model.mutable_graph(), "y");
  return model;
}

TEST(Recursion, FunctionsThatCallThemselves) {
  auto self = CallingModel("F");
  *self.add_functions() = Function("F", "F", 1);
  ExpectError(ImportBoth(self), "calls itself");
  auto each_other = CallingModel("F");
  *each_other.add_functions() = Function("F", "G", 1);
  *each_other.add_functions() = Function("G", "F", 1);
  ExpectError(ImportBoth(each_other), "calls itself");
  for (const char* name : {"then_branch", "else_branch", "body"}) {  // of If and Loop
    auto in_body = CallingModel("F");
    onnx::FunctionProto f = Function("F", "Relu", 1);
    f.mutable_node(0)->set_op_type(name == std::string("body") ? "Loop" : "If");
    auto* body = AddAttr(f.mutable_node(0), name, AttributeProto::GRAPH)->mutable_g();
    AddNode(body, "G", {"v0"}, {"z"})->set_domain("local");
    *in_body.add_functions() = f;
    *in_body.add_functions() = Function("G", "F", 1);
    ExpectError(ImportBoth(in_body), "calls itself");
  }
}

TEST(Recursion, TenWayFunctionsTenDeepMeetTheNodeBudgetAtOnce) {
  auto model = CallingModel("F0");
  for (int i = 0; i < 10; ++i)
    *model.add_functions() =
        Function("F" + std::to_string(i), i == 9 ? "Relu" : "F" + std::to_string(i + 1), 10);
  const auto begin = std::chrono::steady_clock::now();
  ExpectError(Import(model).status(), "nodes with its functions inlined");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

TEST(Recursion, LongChainsOfFunctionsMeetTheDepthBudget) {
  auto model = CallingModel("F0");
  for (int i = 0; i < 1000; ++i)
    *model.add_functions() =
        Function("F" + std::to_string(i), i == 999 ? "Relu" : "F" + std::to_string(i + 1), 1);
  ExpectError(Import(model).status(), "nest deeper");
}

TEST(Recursion, DeepSubgraphsMeetTheDepthBudget) {
  for (const auto& [op, body] : {std::pair("If", "then_branch"), std::pair("Loop", "body")}) {
    for (int depth : {70, 10'000}) {
      std::string bytes;
      // By hand, from the inside out: a message that deep cannot be built as an object.
      for (int i = 0; i < depth; ++i) {
        const std::string attribute =
            Field(1, body) + "\xa0\x01\x05" + Field(6, bytes);  // type = GRAPH
        bytes = Field(1, Field(2, "y") + Field(4, op) + Field(5, attribute));
      }
      ExpectError(ImportBytesAndFile(EmptyModel().SerializeAsString() + Field(7, bytes)), "deeper");
    }
  }
}

// The wire format's groups are long gone from every schema, but parsers still skip them by
// recursion.
TEST(Recursion, NestedGroupsMeetTheDepthBudget) {
  const std::string good = CallingModel("Relu").SerializeAsString();
  for (int depth : {1, 300, 1'000'000}) {
    std::string groups;
    for (int i = 0; i < depth; ++i) groups += "\xfb\x01";  // field 31, start of a group
    std::string closed = groups;
    for (int i = 0; i < depth; ++i) closed += "\xfc\x01";
    for (const std::string& group : {groups, closed}) {
      const std::string node = Field(1, group), subgraph = Field(5, Field(6, node));
      for (const std::string& bytes : {good + group, group + good, good + Field(7, group),
                                       good + Field(7, node), good + Field(7, Field(1, subgraph)),
                                       good + Field(7, Field(5, group)), good + Field(25, group)}) {
        const absl::Status s = ImportBytesAndFile(bytes);
        EXPECT_TRUE(!s.ok() || (depth == 1 && group == closed)) << depth;
      }
    }
  }
}

// ---- 9: graph shape

TEST(GraphShape, CyclesDuplicatesAndDanglingNamesAreErrors) {
  auto cycle = EmptyModel();
  AddNode(cycle.mutable_graph(), "Relu", {"b"}, {"a"});
  AddNode(cycle.mutable_graph(), "Neg", {"a"}, {"b"});
  AddOutput(cycle.mutable_graph(), "a");
  ExpectError(ImportBoth(cycle), "cycle");
  auto twice = EmptyModel();
  AddInput(twice.mutable_graph(), "x", {2});
  AddNode(twice.mutable_graph(), "Relu", {"x"}, {"a"});
  AddNode(twice.mutable_graph(), "Neg", {"x"}, {"a"});
  AddOutput(twice.mutable_graph(), "a");
  ExpectError(ImportBoth(twice), "defined twice");
  auto dangling = EmptyModel();
  AddNode(dangling.mutable_graph(), "Relu", {"nothing"}, {"a"});
  AddOutput(dangling.mutable_graph(), "a");
  ExpectError(ImportBoth(dangling), "'nothing' is not made");
  auto output = EmptyModel();
  AddOutput(output.mutable_graph(), "nothing");
  ExpectError(ImportBoth(output), "'nothing' is not made");
  auto none = EmptyModel();
  AddNode(none.mutable_graph(), "Relu", {}, {});
  ExpectError(ImportBoth(none), "no outputs");
  auto initializers = EmptyModel();
  AddInitializer(initializers.mutable_graph(), "w", {1}, {1});
  AddInitializer(initializers.mutable_graph(), "w", {1}, {2});
  ExpectError(ImportBoth(initializers), "defined twice");
  auto inputs = EmptyModel();
  AddInput(inputs.mutable_graph(), "x", {1});
  AddInput(inputs.mutable_graph(), "x", {1});
  ExpectError(ImportBoth(inputs), "defined twice");
}

TEST(GraphShape, EmptyAndRepeatedNames) {
  auto outputs = EmptyModel();
  AddInput(outputs.mutable_graph(), "x", {2});
  AddOutput(outputs.mutable_graph(), "x");
  AddOutput(outputs.mutable_graph(), "x");
  EXPECT_TRUE(ImportBoth(outputs).ok());  // one value, fetched twice
  auto input = EmptyModel();
  AddInput(input.mutable_graph(), "", {2});
  ExpectError(ImportBoth(input), "no name");
  auto output = EmptyModel();
  AddOutput(output.mutable_graph(), "");
  ExpectError(ImportBoth(output), "");
  auto initializer = EmptyModel();
  AddInitializer(initializer.mutable_graph(), "", {1}, {1});
  ExpectError(ImportBoth(initializer), "no name");
  auto op = EmptyModel();
  AddNode(op.mutable_graph(), "", {}, {"y"});
  ExpectError(ImportBoth(op), "not known");
  auto absent = EmptyModel();  // an input that the op needs
  AddNode(absent.mutable_graph(), "Relu", {""}, {"y"});
  AddOutput(absent.mutable_graph(), "y");
  ExpectError(ImportBoth(absent), "Relu");
  auto functions = CallingModel("F");
  for (int i = 0; i < 2; ++i) *functions.add_functions() = Function("F", "Relu", 1);
  ExpectError(ImportBoth(functions), "defined twice");
  auto parameters = CallingModel("F");
  *parameters.add_functions() = Function("F", "Relu", 1);
  parameters.mutable_functions(0)->add_input("v0");
  ExpectError(ImportBoth(parameters), "v0");
}

TEST(GraphShape, UnusedInitializersAreDropped) {
  auto model = EmptyModel();
  auto* g = model.mutable_graph();
  AddInput(g, "x", {2});
  AddInitializer(g, "unused", {1}, {1});
  AddNode(g, "Relu", {"x"}, {"y"});
  AddOutput(g, "y");
  auto graph = Import(model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ((*graph)->num_nodes(), 1u);
}

TEST(GraphShape, AMillionNodesAndAMillionInputsImportInLinearTime) {
  auto chain = [](int n) {
    auto model = EmptyModel();
    auto* g = model.mutable_graph();
    AddInput(g, "v0", {2});
    for (int i = n; i-- > 0;) {  // backwards: they must be sorted too
      auto* node = g->add_node();
      node->set_op_type("Relu");
      node->add_input(absl::StrCat("v", i));
      node->add_output(absl::StrCat("v", i + 1));
    }
    AddOutput(g, absl::StrCat("v", n));
    return model.SerializeAsString();
  };
  auto seconds = [&](int n) {
    const std::string bytes = chain(n);
    const auto begin = std::chrono::steady_clock::now();
    auto graph = ImportOnnxBytes(bytes);
    EXPECT_TRUE(graph.ok()) << graph.status();
    if (graph.ok()) EXPECT_EQ((*graph)->num_nodes(), static_cast<size_t>(n));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const double few = seconds(100'000), many = seconds(1'000'000);
  EXPECT_LT(many, 30 * few + 1) << few;
  auto wide = EmptyModel();
  AddInput(wide.mutable_graph(), "x", {2});
  auto* sum = AddNode(wide.mutable_graph(), "Sum", {}, {"y"});
  for (int i = 0; i < 1'000'000; ++i) sum->add_input("x");
  AddOutput(wide.mutable_graph(), "y");
  EXPECT_TRUE(Import(wide).ok());
  OnnxImportOptions options;
  options.max_nodes = 100;
  ExpectError(ImportOnnxBytes(chain(1000), "m", options).status(), "100");
}

}  // namespace
}  // namespace sluice
