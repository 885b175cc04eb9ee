// The rules of the ONNX specification that a model's structure must follow, asked of the message
// alone: what onnx.checker and ONNX Runtime refuse.
#ifndef SLUICE_TESTS_EXCHANGE_ONNX_RULES_H_
#define SLUICE_TESTS_EXCHANGE_ONNX_RULES_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "proto/onnx.pb.h"

namespace sluice {

class OnnxRules {
 public:
  // What is broken, a line each.
  static std::vector<std::string> Broken(const onnx::ModelProto& model) {
    OnnxRules rules;
    for (const auto& import : model.opset_import()) rules.domains_.insert(import.domain());
    if (model.ir_version() < 4) rules.Add("initializers would have to be inputs");
    rules.Check(model.graph(), /*main=*/true, {});
    return rules.broken_;
  }

 private:
  using Names = absl::flat_hash_set<std::string>;
  template <typename... Args>
  void Add(const Args&... args) {
    broken_.push_back(absl::StrCat(args...));
  }

  static bool HasRank(const onnx::ValueInfoProto& value) {
    return !value.type().has_tensor_type() || value.type().tensor_type().has_shape();
  }

  // `around`: every name of the graphs around, also of values that come later.
  void Check(const onnx::GraphProto& graph, bool main, const Names& around) {
    Names mine, made, visible = visible_;
    auto define = [&](const std::string& name) {
      if (name.empty()) Add("a value without a name");
      if (around.contains(name)) Add("'", name, "' is also around its body");
      if (!mine.insert(name).second) Add("'", name, "' stands twice");
    };
    for (const auto& input : graph.input()) {
      define(input.name());
      visible_.insert(input.name());
      if (!input.has_type() || (main && !HasRank(input))) Add("input '", input.name(), "' is open");
    }
    for (const auto& t : graph.initializer()) {
      const bool is_input = main && mine.contains(t.name());
      if (!is_input) define(t.name());
      visible_.insert(t.name());
    }
    for (const auto& node : graph.node()) {
      for (const std::string& name : node.output()) {
        if (!name.empty()) define(name), made.insert(name);
      }
    }
    Names inside = around;
    inside.insert(mine.begin(), mine.end());
    for (const auto& node : graph.node()) {
      if (!domains_.contains(node.domain())) Add("opset of '", node.domain(), "' is not imported");
      if (!node_names_.insert(node.name()).second) Add("node '", node.name(), "' stands twice");
      for (const std::string& name : node.input()) {
        if (!name.empty() && !visible_.contains(name))
          Add("'", name, "' is read before it is made");
      }
      Names attributes;
      for (const auto& a : node.attribute()) {
        if (!attributes.insert(a.name()).second) Add("attribute '", a.name(), "' stands twice");
        if (a.has_g()) Check(a.g(), /*main=*/false, inside);
      }
      for (const std::string& name : node.output()) visible_.insert(name);
    }
    Names outputs;
    for (const auto& output : graph.output()) {
      const bool straight = main && (mine.contains(output.name()));
      if (!made.contains(output.name()) && !straight) Add("'", output.name(), "' is made nowhere");
      if (!outputs.insert(output.name()).second) Add("output '", output.name(), "' stands twice");
      if (!output.has_type() || !HasRank(output)) Add("output '", output.name(), "' has no rank");
    }
    for (const auto& value : graph.value_info()) {
      if (!mine.contains(value.name())) Add("'", value.name(), "' has a type, but is no value");
    }
    visible_ = std::move(visible);
  }

  std::vector<std::string> broken_;
  Names domains_, visible_, node_names_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_EXCHANGE_ONNX_RULES_H_
