// Memory that cannot be had, wherever it was wanted, ends in ResourceExhausted: each allocation of
// reading, writing, parsing, printing and copying a model is refused in turn.
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/no_throw.h"
#include "exchange/model.h"
#include "graph/graph.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"
#include "tests/exchange/model_builder.h"
#include "tests/testing/refused_memory.h"

namespace sluice {
namespace {

// Names too long to lie inside of a string, attributes, bodies, functions, signatures, metadata.
std::string Text() {
  std::string text =
      R"(graph everything_that_a_graph_can_hold (%image_of_the_first_camera: f32[batch,1,12,12], %condition_of_the_branch: bool[]) {
  %weights_of_the_convolution = Constant {value = f32[4,1,3,3] {random = 1}}
  %features_of_the_convolution = Conv(%image_of_the_first_camera, %weights_of_the_convolution) {pads = [1, 1, 1, 1], strides = [1, 1], dilations = [1, 1]}
  %activated_by_the_branch = If(%condition_of_the_branch) {else_branch = graph () {
    %negative_of_the_features = Neg(%features_of_the_convolution)
    return %negative_of_the_features
  }, then_branch = graph () {
    %inner_condition_of_the_branch = Not(%condition_of_the_branch)
    %value_of_the_inner_branch = If(%inner_condition_of_the_branch) {else_branch = graph () {
      %rectified_features = Relu(%features_of_the_convolution)
      return %rectified_features
    }, then_branch = graph () {
      return %features_of_the_convolution
    }}
    return %value_of_the_inner_branch
  }}
  %table_of_the_classifier = Constant {value = f32[200,100] {random = 2}}
)";
  std::string last = "%activated_by_the_branch";
  for (int i = 0; i < 40; ++i) {  // tables that grow some times
    const std::string next = absl::StrCat("%layer_of_the_long_chain_", i);
    absl::StrAppend(&text, "  ", next, " = Add(", last, ", %features_of_the_convolution)\n");
    last = next;
  }
  absl::StrAppend(&text, "  return ", last, " as \"the sum of all that was added\", ",
                  "%table_of_the_classifier\n}\n",
                  "function function_that_is_not_called (%argument_of_the_function) {\n",
                  "  %result_of_the_function = Relu(%argument_of_the_function)\n",
                  "  return %result_of_the_function\n}\n",
                  "metadata \"author of the whole of it\" = \"somebody with a long name\"\n");
  return text;
}

std::unique_ptr<Graph> Model() {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(Text(), StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  if (!graph.ok()) return nullptr;
  Node* table = (*graph)->FindValue("table_of_the_classifier")->producer();
  Tensor numbers = *table->GetTensor("value");
  (void)numbers.mutable_raw();  // no longer a seed: a file must hold them
  table->SetAttr("value", numbers);
  return *std::move(graph);
}

TEST(FailingAllocations, OfParsingPrintingAndCopying) {
  const std::string text = Text();
  RefuseEach(1500, [&]() -> absl::Status {
    try {
      absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
      if (!graph.ok()) return graph.status();
      if (absl::Status s = Verify(**graph); !s.ok()) return s;
      const auto clone = (*graph)->Clone();  // these two give no Status
      if (absl::Status s = InferTypes(clone.get()); !s.ok()) return s;
      const std::string printed = Print(*clone);
      absl::StatusOr<std::unique_ptr<Graph>> again = Parse(printed, StandardOps());
      if (!again.ok()) return again.status();
      return Equal(**again, **graph) ? absl::OkStatus() : absl::InternalError("another graph");
    } catch (...) {
      return ExceptionStatus();
    }
  });
}

// An edit that memory ran out for leaves a graph that can be read, edited and destroyed.
TEST(FailingAllocations, OfEdits) {
  const auto model = Model();
  ASSERT_NE(model, nullptr);
  RefuseEach(1500, [&]() -> absl::Status {
    std::unique_ptr<Graph> graph;
    try {
      graph = model->Clone();
      Value* features = graph->FindValue("features_of_the_convolution");
      Node* branch = graph->FindValue("activated_by_the_branch")->producer();
      Node* copy = graph->AddNode(branch->op(), branch->inputs(),
                                  {std::string("copy_of_the_node_with_bodies")}, branch);
      copy->TakeBodies(branch);
      copy->AddControlInput(features->producer());
      graph->ReplaceAllUses(branch->output(), copy->output());
      graph->EraseNode(branch);
      graph->RenameValue(features, "another_name_for_the_features");
      copy->SetInput(3, features);
      graph->AddOutput(features, "a_further_output_of_the_graph");
      graph->ReplaceAllUses(copy->output(), features);
      graph->EraseNode(copy);
      graph->MoveBefore(graph->nodes().back().get(), nullptr);
      graph->AddInput("a_further_input_of_the_graph", *Type::Parse("f32[n]"));
      return graph->status();
    } catch (...) {
      const absl::Status status = ExceptionStatus();
      GiveMemory();
      if (graph == nullptr) return status;
      (void)Verify(*graph);
      (void)Print(*graph);
      graph->AddOutput(graph->AddInput("one_more_input", *Type::Parse("f32[n]")));
      (void)graph->Clone();
      return status;
    }
  });
}

TEST(FailingAllocations, OfReadingAndWriting) {
  const auto model = Model();
  ASSERT_NE(model, nullptr);
  for (const char* form : {"m.onnx", "m.sluice", "m.sluice.txt", "m"}) {
    for (const FileAccess access : {FileAccess::kMap, FileAccess::kCopy}) {
      TemporaryFolder folder;
      const std::string path = folder / form;
      ASSERT_TRUE(WriteModel(*model, path).ok());
      const size_t files = folder.Count();
      RefuseEach(60, [&]() -> absl::Status {
        if (absl::Status s = WriteModel(*model, path); !s.ok()) return s;
        absl::StatusOr<std::unique_ptr<Graph>> read = ReadModel(path, {.access = access});
        return read.status();
      });
      // Whatever failed, one model lies there, whole, and nothing beside it.
      EXPECT_TRUE(ReadModel(path).ok()) << form;
      EXPECT_EQ(folder.Count(), files) << form;
    }
  }
}

}  // namespace
}  // namespace sluice
