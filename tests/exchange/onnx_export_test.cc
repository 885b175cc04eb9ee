// What is written as ONNX follows ONNX's rules, whatever the graph's names are.
#include "exchange/onnx_export.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "graph/builder.h"
#include "graph/default_inputs.h"
#include "graph/text.h"
#include "ops/op.h"
#include "tests/exchange/model_builder.h"
#include "tests/testing/onnx_rules.h"

namespace sluice {
namespace {

onnx::ModelProto Written(const Graph& graph) {
  onnx::ModelProto model;
  auto bytes = ExportOnnxBytes(graph);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  if (bytes.ok()) EXPECT_TRUE(model.ParseFromString(*bytes));
  for (const std::string& broken : BrokenOnnxRules(model)) ADD_FAILURE() << broken;
  if (bytes.ok()) {
    auto back = ImportOnnxBytes(*bytes);
    EXPECT_TRUE(back.ok()) << back.status();
  }
  return model;
}

onnx::ModelProto WrittenText(const char* text) {
  auto graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? Written(**graph) : onnx::ModelProto();
}

// Values inside that are called as outputs of the model, and values that leave it twice.
TEST(OnnxExport, NamesOfOutputsStandOnce) {
  const onnx::ModelProto model = WrittenText(R"(
graph main (%x: f32[2], %n: i64[], %c: bool[]) {
  %a = Loop(%n, %c, %x) {body = graph (%i: i64[], %go: bool[], %s: f32[2]) {
    %y = Add(%s, %s)
    %z = Relu(%y)
    return %go, %y
  }}
  %b = If(%c) {else_branch = graph () {
    %z = Neg(%a)
    return %z
  }, then_branch = graph () {
    return %a
  }}
  %y_inner = Relu(%b)
  return %y_inner as "y", %b as "z", %b as "z2", %x as "x", %x as "w"
}
)");
  std::vector<std::string> outputs;
  for (const auto& o : model.graph().output()) outputs.push_back(o.name());
  EXPECT_EQ(outputs, (std::vector<std::string>{"y", "z", "z2", "x", "w"}));
}

TEST(OnnxExport, BodiesThatReturnWhatTheyTake) {
  WrittenText(R"(
graph main (%x: f32[2], %n: i64[], %c: bool[]) {
  %k = Constant {value = f32[2] [1.0, 2.0]}
  %a, %b, %d = Loop(%n, %c, %x, %k, %x) {body = graph (%i: i64[], %go: bool[], %s: f32[2], %t: f32[2], %u: f32[2]) {
    %m = Constant {value = f32[2] [3.0, 4.0]}
    %r = Add(%s, %t)
    return %go, %r, %r, %m
  }}
  return %a, %b, %d, %k
}
)");
}

// A number inside a body holds in every iteration; an extent that grows is open; a rank is known.
TEST(OnnxExport, BodiesHaveRanksAndFixedExtents) {
  const onnx::ModelProto model = WrittenText(R"(
graph main (%x: f32[batch,3], %n: i64[], %c: bool[]) {
  %a, %b = Loop(%n, %c, %x) {body = graph (%i: i64[], %go: bool[], %s: f32[rows,3]) {
    %r = Concat(%s, %x) {axis = 0}
    %t = Neg(%x)
    return %go, %r, %t
  }}
  %y = Relu(%a)
  return %y, %b
}
)");
  ASSERT_EQ(model.graph().node_size(), 2);
  const auto& body = model.graph().node(0).attribute(0).g();
  const auto shape = [](const onnx::ValueInfoProto& v) {
    std::string text;
    for (const auto& d : v.type().tensor_type().shape().dim())
      text += d.has_dim_value() ? std::to_string(d.dim_value()) + " " : d.dim_param() + "? ";
    return text;
  };
  EXPECT_EQ(shape(body.output(1)), "? 3 ");
  EXPECT_EQ(shape(body.output(2)), "batch? 3 ");
  ASSERT_EQ(model.graph().value_info_size(), 1);  // of the loop's first result
  EXPECT_EQ(model.graph().value_info(0).type().tensor_type().shape().dim_size(), 2);
}

// The names of the function's values are those of a body in the graph that calls it.
TEST(OnnxExport, AFunctionsNamesKeepAwayFromBodies) {
  WrittenText(R"(
graph main (%x: f32[2], %c: bool[]) {
  %a = If(%c) {else_branch = graph () {
    %v0 = Neg(%x)
    %v1 = Relu(%v0)
    return %v1
  }, then_branch = graph () {
    %v1 = Abs(%x)
    return %v1
  }}
  %b = Call(%a) {function = "f"}
  return %b
}

function f (%x) {
  %v0 = Exp(%x)
  %v1 = Neg(%v0)
  return %v1
}
)");
}

// The function says no types: what its values are follows from the call.
TEST(OnnxExport, WhatAFunctionReturnsHasAType) {
  const onnx::ModelProto model = WrittenText(R"(
graph main (%x: f16[2,3]) {
  %y = Call(%x) {function = "f"}
  return %y
}

function f (%x) {
  %y = MeanVarianceNormalization(%x) {axes = [1]}
  return %y
}
)");
  ASSERT_EQ(model.graph().output_size(), 1);
  const onnx::TypeProto::Tensor& y = model.graph().output(0).type().tensor_type();
  EXPECT_EQ(y.elem_type(), onnx::TensorProto::FLOAT16);
  EXPECT_EQ(y.shape().dim_size(), 2);
}

std::vector<std::string> Ops(const onnx::ModelProto& model) {
  std::vector<std::string> ops;
  for (const auto& node : model.graph().node()) ops.push_back(node.op_type());
  return ops;
}

// Types that our op takes and ONNX's does not: narrow ones go through f32, f64 by the expansion.
TEST(OnnxExport, ElementTypesThatASchemaLacks) {
  using Strings = std::vector<std::string>;
  const auto written = [](const std::string& line, const std::string& dtype) {
    const std::string text = "graph main (%x: " + dtype +
                             "[2,3], %i: i64[2], %b: bool[2]) {\n  %y = " + line +
                             "\n  return %y\n}\n";
    return WrittenText(text.c_str());
  };
  const struct {
    const char *op, *line;
    bool f16;
  } cases[] = {
      {"Celu", "Celu(%x)", true},
      {"MeanVarianceNormalization", "MeanVarianceNormalization(%x) {axes = [1]}", true},
      {"Compress", "Compress(%x, %b) {axis = 0}", false},
      {"Einsum", "Einsum(%x) {equation = \"ij->ji\"}", false},
      {"ReverseSequence", "ReverseSequence(%x, %i) {batch_axis = 0, time_axis = 1}", false},
      {"Shrink", "Shrink(%x)", false}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.op);
    const Strings around = {"Cast", c.op, "Cast"}, alone = {c.op};
    EXPECT_EQ(Ops(written(c.line, "bf16")), around);
    EXPECT_EQ(Ops(written(c.line, "f16")), c.f16 ? around : alone);
    EXPECT_EQ(Ops(written(c.line, "f32")), alone);
    const Strings f64 = Ops(written(c.line, "f64"));
    if (c.f16) {
      EXPECT_EQ(std::count(f64.begin(), f64.end(), c.op), 0);
    } else {
      EXPECT_EQ(f64, alone);
    }
  }
  EXPECT_EQ(Ops(WrittenText(R"(
graph main (%i: i64[2], %v: bf16[2]) {
  %depth = Constant {value = i64[] [3]}
  %y = OneHot(%i, %depth, %v)
  return %y
}
)")),
            (Strings{"Cast", "OneHot", "Cast"}));
}

TEST(OnnxExport, OneHotOfASingleIndexHasAnAxisForAWhile) {
  const onnx::ModelProto model = WrittenText(R"(
graph main (%i: i64[], %v: f32[2]) {
  %depth = Constant {value = i64[] [3]}
  %y = OneHot(%i, %depth, %v)
  return %y
}
)");
  EXPECT_EQ(Ops(model), (std::vector<std::string>{"Unsqueeze", "OneHot", "Squeeze"}));
  EXPECT_EQ(model.graph().output(0).type().tensor_type().shape().dim_size(), 1);
}

TEST(OnnxExport, MeanVarianceNormalizationSaysItsAxes) {
  const onnx::ModelProto model = WrittenText(R"(
graph main (%x: f32[2,3,4,5]) {
  %y = MeanVarianceNormalization(%x)
  return %y
}
)");
  ASSERT_EQ(model.graph().node(0).attribute_size(), 1);
  EXPECT_EQ(model.graph().node(0).attribute(0).ints_size(), 3);
}

// 2 i - 1 elements become 2 i: a negative padding, unless what is missing is said to be behind.
TEST(OnnxExport, TransposedConvolutionsThatPadLessThanNothing) {
  const auto attributes = [](const char* auto_pad, int kernel) {
    const std::string text = std::string("graph main (%x: f32[1,1,5], %w: f32[1,1,") +
                             std::to_string(kernel) +
                             "]) {\n  %y = ConvTranspose(%x, %w) {auto_pad = \"" + auto_pad +
                             "\", strides = [2]}\n  return %y\n}\n";
    const onnx::ModelProto model = WrittenText(text.c_str());
    EXPECT_EQ(model.graph().output(0).type().tensor_type().shape().dim(2).dim_value(), 10);
    std::map<std::string, std::string> said;
    for (const auto& a : model.graph().node(0).attribute()) {
      said[a.name()] = a.s();
      for (int64_t i : a.ints()) said[a.name()] += std::to_string(i) + " ";
    }
    return said;
  };
  using Said = std::map<std::string, std::string>;
  EXPECT_EQ(attributes("SAME_UPPER", 1),
            (Said{{"output_padding", "1 "}, {"pads", "0 0 "}, {"strides", "2 "}}));
  EXPECT_EQ(attributes("SAME_LOWER", 3), (Said{{"auto_pad", "SAME_LOWER"}, {"strides", "2 "}}));
}

TEST(OnnxExport, VariablesAreConstantsAndAssigningIsRefused) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* v = b.Variable("v", Tensor::Vector<float>({1, 2}));
  b.Output(b.Op("Neg", {v}), "y");
  ASSERT_TRUE(b.status().ok()) << b.status();
  const auto first = [](const onnx::ModelProto& model) {
    float f = 0;
    std::memcpy(&f, model.graph().initializer(0).raw_data().data(), sizeof f);
    return f;
  };
  EXPECT_EQ(first(Written(graph)), 1);
  // Assigning is more than ONNX can say, wherever it stands.
  Value* next = b.Op("Assign", {v, b.Op("Exp", {v})});
  ASSERT_TRUE(b.status().ok()) << b.status();
  ExpectError(ExportOnnxBytes(graph).status(), "ONNX has no state");
  b.Output(next, "next");
  ExpectError(ExportOnnxBytes(graph).status(), "ONNX has no state");
}

TEST(OnnxExport, InputsWithADefaultAreInputsAndInitializers) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* w = InputOr(b, "w", *Type::Parse("f32[m]"), Tensor::Vector<float>({1, 2}));
  Value* x = b.Input("x", *Type::Parse("f32[2]"));
  b.Output(b.Op("Add", {x, w}), "y");
  b.Output(w, "w");
  ASSERT_TRUE(b.status().ok()) << b.status();
  const onnx::ModelProto model = Written(graph);
  ASSERT_EQ(model.graph().input_size(), 2);
  EXPECT_EQ(model.graph().input(0).name(), "w");
  EXPECT_EQ(model.graph().input(0).type().tensor_type().shape().dim(0).dim_param(), "m");
  ASSERT_EQ(model.graph().initializer_size(), 1);
  EXPECT_EQ(model.graph().initializer(0).name(), "w");
}

TEST(OnnxImport, InitializersThatAreInputsMayBeFed) {
  onnx::ModelProto model = EmptyModel();
  auto* graph = model.mutable_graph();
  AddInput(graph, "w", {2});
  AddInput(graph, "x", {2});
  AddInput(graph, "unused", {1});
  AddInitializer(graph, "w", {2}, {1, 2});
  AddInitializer(graph, "unused", {1}, {7});
  AddInitializer(graph, "dropped", {1}, {7});
  AddNode(graph, "Add", {"x", "w"}, {"y"});
  AddOutput(graph, "y");
  auto imported = Import(model);
  ASSERT_TRUE(imported.ok()) << imported.status();
  std::string names;
  for (const GraphInput& input : AllInputs(**imported))
    names += input.value->name() + (input.has_default ? "? " : " ");
  EXPECT_EQ(names, "w? x unused? ");
  EXPECT_EQ((*imported)->FindValue("dropped"), nullptr);
}

// A loop feeds every input of its body: a default there is never used.
TEST(OnnxImport, DefaultsOfBodiesInputsAreNeverUsed) {
  onnx::ModelProto model = EmptyModel();
  auto* graph = model.mutable_graph();
  AddInput(graph, "n", {}, onnx::TensorProto::INT64);
  AddInput(graph, "c", {}, onnx::TensorProto::BOOL);
  AddInput(graph, "x", {2});
  onnx::NodeProto* loop = AddNode(graph, "Loop", {"n", "c", "x"}, {"y"});
  auto* body = AddAttr(loop, "body", onnx::AttributeProto::GRAPH)->mutable_g();
  AddInput(body, "i", {}, onnx::TensorProto::INT64);
  AddInput(body, "go", {}, onnx::TensorProto::BOOL);
  AddInput(body, "s", {2});
  AddInitializer(body, "s", {2}, {1, 2});
  AddNode(body, "Identity", {"go"}, {"go_on"});
  AddNode(body, "Neg", {"s"}, {"t"});
  AddOutput(body, "go_on");
  AddOutput(body, "t");
  AddOutput(graph, "y");
  auto imported = Import(model);
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ((*imported)->outputs()[0]->type().ToString(), "f32[2]");
}

}  // namespace
}  // namespace sluice
