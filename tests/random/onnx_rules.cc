#include "tests/random/onnx_rules.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "proto/onnx.pb.h"

namespace sluice::random {
namespace {

// The names of values that have a rank: of outputs, and of what stands in bodies.
void CollectRanks(const Graph& graph, std::set<std::string>* ranks) {
  auto collect = [&](const Value* v, const std::string& name) {
    if (v->type().is_tensor() && v->type().has_shape()) ranks->insert(name);
  };
  for (size_t i = 0; i < graph.outputs().size(); ++i)
    collect(graph.outputs()[i],
            graph.owner() == nullptr ? graph.output_names()[i] : graph.outputs()[i]->name());
  if (graph.owner() != nullptr) {
    for (const Value* v : graph.inputs()) collect(v, v->name());
  }
  for (const auto& node : graph.nodes()) {
    for (const auto& [name, body] : node->bodies()) CollectRanks(*body, ranks);
  }
}

// `ranks`: the names of values that have one.
absl::Status CheckGraph(const onnx::GraphProto& graph, std::set<std::string> names,
                        const std::set<std::string>& ranks) {
  auto define = [&](const std::string& name) -> absl::Status {
    if (name.empty() || names.insert(name).second) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("'", name, "' stands for two values"));
  };
  std::set<std::string> inputs;
  for (const auto& input : graph.input()) {
    if (absl::Status s = define(input.name()); !s.ok()) return s;
    inputs.insert(input.name());
  }
  for (const auto& tensor : graph.initializer()) {
    if (inputs.contains(tensor.name())) continue;  // its default
    if (absl::Status s = define(tensor.name()); !s.ok()) return s;
  }
  for (const auto& node : graph.node()) {
    // A body sees what stands before its node; ONNX Runtime minds the names behind it as well.
    for (const std::string& output : node.output()) {
      if (absl::Status s = define(output); !s.ok()) return s;
    }
  }
  for (const auto& node : graph.node()) {
    if (node.op_type() == "Loop" && node.input_size() < 2)
      return absl::InternalError("a Loop says neither a condition nor that it has none");
    for (const auto& attribute : node.attribute()) {
      if (!attribute.has_g()) continue;
      if (absl::Status s = CheckGraph(attribute.g(), names, ranks); !s.ok()) return s;
    }
  }
  for (const auto* list : {&graph.input(), &graph.output()}) {
    for (const auto& value : *list) {
      if (!ranks.contains(value.name())) continue;  // nobody knows it
      if (!value.type().has_tensor_type() || !value.type().tensor_type().has_shape())
        return absl::InternalError(absl::StrCat("'", value.name(), "' has no rank"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckOnnxRules(const std::string& bytes, const Graph& graph) {
  onnx::ModelProto model;
  if (!model.ParseFromString(bytes)) return absl::InternalError("the export does not parse");
  std::set<std::string> ranks;
  CollectRanks(graph, &ranks);
  return CheckGraph(model.graph(), {}, ranks);
}

}  // namespace sluice::random
