#include "exchange/onnx_import.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/text.h"
#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

using onnx::AttributeProto;
using onnx::TensorProto;

std::string OpsOf(const Graph& graph) {
  std::string ops;
  for (const auto& node : graph.nodes()) {
    if (!node->Is("Constant")) ops += (ops.empty() ? "" : " ") + std::string(node->op_name());
  }
  return ops;
}

const Node* FindOp(const Graph& graph, absl::string_view op) {
  for (const auto& node : graph.nodes()) {
    if (node->Is(op)) return node.get();
  }
  return nullptr;
}

TEST(OnnxImport, KeepsNamesSymbolsMetadataAndOrigins) {
  auto model = EmptyModel();
  auto* g = model.mutable_graph();
  AddInput(g, "x", {-1, 3});
  AddInitializer(g, "w", {3, 2}, {1, 2, 3, 4, 5, 6});
  AddNode(g, "MatMul", {"x", "w"}, {"y"});
  AddOutput(g, "y");
  model.set_producer_name("maker");
  auto* entry = model.add_metadata_props();
  entry->set_key("author");
  entry->set_value("me");
  auto graph = Import(model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  ASSERT_EQ((*graph)->inputs().size(), 1u);
  EXPECT_EQ((*graph)->inputs()[0]->type().ToString(), "f32[n,3]");
  EXPECT_EQ((*graph)->outputs()[0]->type().ToString(), "f32[n,2]");
  EXPECT_EQ((*graph)->output_names()[0], "y");
  EXPECT_EQ((*graph)->metadata()["author"], "me");
  EXPECT_EQ((*graph)->metadata()["onnx.producer"], "maker");
  EXPECT_EQ(FindOp(**graph, "MatMul")->origin().ToString(), "test.onnx node 'node_y'");
}

TEST(OnnxImport, DistinctNamesOfExtentsStayDistinct) {
  auto model = EmptyModel();
  auto* g = model.mutable_graph();
  const char* const kNames[] = {"k+1", "k-1", "k+1", "k_1", "_0", "", "_1"};
  for (int i = 0; i < static_cast<int>(std::size(kNames)); ++i) {
    AddInput(g, absl::StrCat("x", i), {1});
    auto* dim = g->mutable_input(i)->mutable_type()->mutable_tensor_type()->mutable_shape();
    if (*kNames[i] == 0) {
      dim->mutable_dim(0)->clear_dim_value();
    } else {
      dim->mutable_dim(0)->set_dim_param(kNames[i]);
    }
  }
  AddNode(g, "Relu", {"x0"}, {"y"});
  AddOutput(g, "y");
  auto graph = Import(model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  std::vector<std::string> types;
  for (const Value* v : (*graph)->inputs()) types.push_back(v->type().ToString());
  EXPECT_EQ(types[0], "f32[k_1]");
  EXPECT_EQ(types[2], types[0]);
  types.erase(types.begin() + 2);
  EXPECT_EQ(std::set<std::string>(types.begin(), types.end()).size(), types.size())
      << absl::StrJoin(types, " ");
}

TEST(OnnxImport, AnInitializerThatIsAlsoAnInputIsAConstant) {
  auto model = EmptyModel();
  auto* g = model.mutable_graph();
  AddInput(g, "x", {2});
  AddInput(g, "b", {2});
  AddInitializer(g, "b", {2}, {1, 2});
  AddNode(g, "Add", {"x", "b"}, {"y"});
  AddOutput(g, "y");
  auto graph = Import(model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ((*graph)->inputs().size(), 1u);
  model.mutable_graph()->mutable_input(1)->mutable_type()->mutable_tensor_type()->set_elem_type(
      TensorProto::INT64);
  ExpectError(Import(model).status(), "declared i64[2], but its initializer is f32[2]");
}

TEST(OnnxImport, NodesOutOfOrderAreSorted) {
  auto model = EmptyModel();
  auto* g = model.mutable_graph();
  AddInput(g, "x", {2});
  AddNode(g, "Relu", {"a"}, {"y"});
  AddNode(g, "Neg", {"x"}, {"a"});
  AddOutput(g, "y");
  auto graph = Import(model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(OpsOf(**graph), "Neg Relu");
}

TEST(OnnxImport, ListsEveryUnknownOpWithItsNodes) {
  auto model = EmptyModel();
  auto* g = model.mutable_graph();
  AddInput(g, "x", {2});
  AddNode(g, "Frobnicate", {"x"}, {"a"});
  AddNode(g, "Frobnicate", {"a"}, {"b"});
  AddNode(g, "Wobble", {"b"}, {"y"})->set_domain("com.acme");
  AddOutput(g, "y");
  const absl::Status s = Import(model).status();
  ExpectError(s, "2 ops are not known");
  ExpectError(s, "'Frobnicate' at node 'node_a', 'node_b'");
  ExpectError(s, "'com.acme.Wobble' at node 'node_y'");
}

TEST(OnnxImport, InlinesFunctionsWithAttributeReferencesAndDefaults) {
  auto model = EmptyModel();
  auto* f = model.add_functions();
  f->set_name("Scaled");
  f->set_domain("local");
  f->add_input("v");
  f->add_output("r");
  f->add_attribute("axis");
  auto* fallback = f->add_attribute_proto();
  fallback->set_name("keepdims");
  fallback->set_type(AttributeProto::INT);
  fallback->set_i(0);
  *f->add_opset_import() = model.opset_import(0);
  auto* n = f->add_node();
  n->set_op_type("ArgMax");
  n->add_input("v");
  n->add_output("r");
  for (const char* name : {"axis", "keepdims"}) {
    auto* a = n->add_attribute();
    a->set_name(name);
    a->set_ref_attr_name(name);
    a->set_type(AttributeProto::INT);
  }
  auto* g = model.mutable_graph();
  AddInput(g, "x", {2, 5});
  auto* call = AddNode(g, "Scaled", {"x"}, {"y"});
  call->set_domain("local");
  AddInt(call, "axis", 1);
  AddOutput(g, "y");
  auto graph = Import(model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ((*graph)->outputs()[0]->name(), "y");
  EXPECT_EQ((*graph)->outputs()[0]->type().ToString(), "i64[2]");
}

TEST(OnnxImport, BodiesSeeOuterValuesAndShadowedNamesAreChanged) {
  auto model = EmptyModel();
  auto* g = model.mutable_graph();
  AddInput(g, "c", {}, TensorProto::BOOL);
  AddInput(g, "x", {2});
  auto* node = AddNode(g, "If", {"c"}, {"y"});
  for (const char* branch : {"then_branch", "else_branch"}) {
    auto* body = AddAttr(node, branch, AttributeProto::GRAPH)->mutable_g();
    body->set_name(branch);
    AddNode(body, "Relu", {"x"}, {"z"});  // "z" is also an outer name, made later
    AddOutput(body, "z");
  }
  AddNode(g, "Neg", {"y"}, {"z"});
  AddOutput(g, "z");
  auto graph = Import(model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ((*graph)->outputs()[0]->name(), "z");
  EXPECT_EQ((*graph)->outputs()[0]->type().ToString(), "f32[2]");
}

TEST(OnnxImport, ConstantsOfEveryForm) {
  auto model = EmptyModel();
  auto* g = model.mutable_graph();
  AddFloat(AddNode(g, "Constant", {}, {"a"}), "value_float", 2.5f);
  AddInts(AddNode(g, "Constant", {}, {"b"}), "value_ints", {1, 2});
  AddString(AddNode(g, "Constant", {}, {"c"}), "value_string", "hi");
  auto* sparse =
      AddAttr(AddNode(g, "Constant", {}, {"d"}), "sparse_value", AttributeProto::SPARSE_TENSOR)
          ->mutable_sparse_tensor();
  sparse->add_dims(2);
  sparse->add_dims(2);
  sparse->mutable_values()->set_data_type(TensorProto::FLOAT);
  sparse->mutable_values()->add_dims(1);
  sparse->mutable_values()->add_float_data(7);
  sparse->mutable_indices()->set_data_type(TensorProto::INT64);
  sparse->mutable_indices()->add_dims(1);
  sparse->mutable_indices()->add_int64_data(2);
  for (const char* name : {"a", "b", "c", "d"}) AddOutput(g, name);
  auto graph = Import(model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  const auto& outputs = (*graph)->outputs();
  EXPECT_EQ(outputs[0]->constant()->ToString(), "f32[] [2.5]");
  EXPECT_EQ(outputs[1]->constant()->ToString(), "i64[2] [1, 2]");
  EXPECT_EQ(outputs[2]->constant()->data<std::string>()[0], "hi");
  EXPECT_EQ(outputs[3]->constant()->ToString(), "f32[2,2] [0.0, 0.0, 7.0, 0.0]");
}

// ---- Upgrades

struct Upgrade {
  onnx::ModelProto model;
  onnx::GraphProto* graph;
  explicit Upgrade(int64_t opset) : model(EmptyModel(opset)), graph(model.mutable_graph()) {
    AddInput(graph, "x", {2, 3, 4});
  }
  // The imported graph's ops and the type of its output "y".
  std::string Result() {
    AddOutput(graph, "y");
    auto imported = Import(model);
    if (!imported.ok()) return imported.status().ToString();
    return OpsOf(**imported) + " -> " + (*imported)->outputs()[0]->type().ToString();
  }
};

TEST(OnnxUpgrade, AxesBecomeInputs) {
  Upgrade u(11);
  AddInts(AddNode(u.graph, "Unsqueeze", {"x"}, {"a"}), "axes", {0});
  AddInts(AddNode(u.graph, "Squeeze", {"a"}, {"b"}), "axes", {0});
  AddInts(AddNode(u.graph, "ReduceMean", {"b"}, {"c"}), "axes", {1});
  AddInts(AddNode(u.graph, "ReduceSum", {"c"}, {"y"}), "axes", {2});
  EXPECT_EQ(u.Result(), "Unsqueeze Squeeze ReduceMean ReduceSum -> f32[2,1,1]");
}

TEST(OnnxUpgrade, SoftmaxFlattenedBeforeOpset13) {
  Upgrade last(11);
  AddInt(AddNode(last.graph, "Softmax", {"x"}, {"y"}), "axis", 2);
  EXPECT_EQ(last.Result(), "Softmax -> f32[2,3,4]");
  Upgrade middle(11);
  AddNode(middle.graph, "Softmax", {"x"}, {"y"});
  EXPECT_EQ(middle.Result(), "Flatten Softmax Shape Reshape -> f32[2,3,4]");
}

TEST(OnnxUpgrade, ClipPadSliceTopKSplitDropoutAttributes) {
  Upgrade u(9);
  auto* clip = AddNode(u.graph, "Clip", {"x"}, {"a"});
  AddFloat(clip, "min", 0);
  auto* pad = AddNode(u.graph, "Pad", {"a"}, {"b"});
  AddInts(pad, "pads", {0, 0, 1, 0, 0, 1});
  AddFloat(pad, "value", 3);
  auto* slice = AddNode(u.graph, "Slice", {"b"}, {"c"});
  AddInts(slice, "starts", {0});
  AddInts(slice, "ends", {2});
  AddInts(slice, "axes", {1});
  AddInt(AddNode(u.graph, "TopK", {"c"}, {"d", "e"}), "k", 4);
  AddInts(AddNode(u.graph, "Split", {"d"}, {"f", "g"}), "split", {1, 1});
  AddFloat(AddNode(u.graph, "Dropout", {"f"}, {"y"}), "ratio", 0.25f);
  EXPECT_EQ(u.Result(), "Clip Pad Slice TopK Split Dropout -> f32[1,2,4]");
}

TEST(OnnxUpgrade, UpsampleAndOldResizeAreAsymmetric) {
  Upgrade u(9);
  AddInitializer(u.graph, "s", {3}, {1, 1, 2});
  AddNode(u.graph, "Upsample", {"x", "s"}, {"y"});
  AddOutput(u.graph, "y");
  auto graph = Import(u.model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  const Node* resize = FindOp(**graph, "Resize");
  ASSERT_NE(resize, nullptr);
  EXPECT_EQ(resize->String("coordinate_transformation_mode"), "asymmetric");
  EXPECT_EQ(resize->String("nearest_mode"), "floor");
  EXPECT_EQ(resize->output()->type().ToString(), "f32[2,3,8]");
}

TEST(OnnxUpgrade, ResizeOfOpset10TakesThePixelBehindWhereItShrinks) {
  const auto modes = [](std::vector<float> scales) {
    auto model = EmptyModel(10);
    AddInput(model.mutable_graph(), "x", {2, 3, 10});
    AddInitializer(model.mutable_graph(), "s", {3}, scales);
    AddNode(model.mutable_graph(), "Resize", {"x", "s"}, {"y"});
    AddOutput(model.mutable_graph(), "y");
    auto graph = Import(model);
    EXPECT_TRUE(graph.ok()) << graph.status();
    std::string found;
    if (!graph.ok()) return found;
    for (const auto& node : (*graph)->nodes()) {
      if (node->Is("Resize")) found += node->String("nearest_mode") + " ";
    }
    return found + (*graph)->outputs()[0]->type().ToString();
  };
  EXPECT_EQ(modes({1, 1, 2}), "floor f32[2,3,20]");
  EXPECT_EQ(modes({1, 1, 0.6f}), "ceil f32[2,3,6]");
  EXPECT_EQ(modes({1, 2, 0.6f}), "floor ceil f32[2,6,6]");
}

TEST(OnnxUpgrade, GroupNormalizationScalesPerGroupBecomePerChannel) {
  auto model = EmptyModel(18);
  auto* g = model.mutable_graph();
  AddInput(g, "x", {2, 4, 5});
  AddInitializer(g, "s", {2}, {1, 2});
  AddInitializer(g, "b", {2}, {0, 0});
  AddInt(AddNode(g, "GroupNormalization", {"x", "s", "b"}, {"y"}), "num_groups", 2);
  AddOutput(g, "y");
  auto graph = Import(model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(FindOp(**graph, "GroupNormalization")->input(1)->type().ToString(), "f32[4]");
}

TEST(OnnxUpgrade, BatchNormalizationOfOldTrainingForms) {
  auto model = EmptyModel(9);
  auto* g = model.mutable_graph();
  AddInput(g, "x", {2, 4, 5});
  for (const char* name : {"s", "b", "m", "v"}) AddInitializer(g, name, {4}, {1, 1, 1, 1});
  AddNode(g, "BatchNormalization", {"x", "s", "b", "m", "v"}, {"y", "m2", "v2", "sm", "sv"});
  AddOutput(g, "y");
  auto graph = Import(model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  const Node* bn = FindOp(**graph, "BatchNormalization");
  EXPECT_EQ(bn->Int("training_mode"), 1);
  EXPECT_EQ(bn->num_outputs(), 3u);
}

TEST(OnnxUpgrade, BroadcastAtAnAxisOfOpset6) {
  Upgrade u(6);
  AddInitializer(u.graph, "b", {3}, {1, 2, 3});
  auto* add = AddNode(u.graph, "Add", {"x", "b"}, {"y"});
  AddInt(add, "broadcast", 1);
  AddInt(add, "axis", 1);
  EXPECT_EQ(u.Result(), "Unsqueeze Add -> f32[2,3,4]");
}

TEST(OnnxUpgrade, OpsetsOutOfRangeAreRefused) {
  ExpectError(Import(EmptyModel(5)).status(), "opset 5");
  ExpectError(Import(EmptyModel(999)).status(), "opset 999");
}

}  // namespace
}  // namespace sluice
