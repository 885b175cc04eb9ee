#include "tests/testing/onnx_rules.h"

#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

using Names = absl::flat_hash_set<std::string>;

bool HasRank(const Type& type) { return type.is_tensor() && type.has_shape(); }

// The names of all values that have a rank, in `graph` and its bodies.
void CollectRanked(const Graph& graph, Names* names) {
  for (const Value* v : graph.inputs()) {
    if (HasRank(v->type())) names->insert(v->name());
  }
  for (const auto& node : graph.nodes()) {
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      if (HasRank(node->output(i)->type())) names->insert(node->output(i)->name());
    }
    for (const auto& [name, body] : node->bodies()) CollectRanked(*body, names);
  }
}

class Rules {
 public:
  explicit Rules(const Graph* exported) {
    if (exported == nullptr) return;
    CollectRanked(*exported, &ranked_.emplace());
    for (size_t i = 0; i < exported->outputs().size(); ++i) {
      const std::string& name = exported->output_names()[i];
      if (HasRank(exported->outputs()[i]->type())) {
        ranked_->insert(name);
      } else {
        ranked_->erase(name);
      }
    }
  }

  std::vector<std::string> Broken(const onnx::ModelProto& model) {
    for (const auto& import : model.opset_import()) domains_.insert(import.domain());
    if (model.ir_version() < 4) Add("initializers would have to be inputs");
    Check(model.graph(), /*main=*/true, {});
    return std::move(broken_);
  }

 private:
  template <typename... Args>
  void Add(const Args&... args) {
    broken_.push_back(absl::StrCat(args...));
  }

  static bool SaysRank(const onnx::ValueInfoProto& value) {
    return value.has_type() &&
           (!value.type().has_tensor_type() || value.type().tensor_type().has_shape());
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
      if (!input.has_type() || (main && !SaysRank(input)))
        Add("input '", input.name(), "' is open");
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
      if (node.op_type() == "Loop" && node.input_size() < 2)
        Add("Loop '", node.name(), "' says neither a condition nor that it has none");
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
      const std::string& name = output.name();
      const bool straight = main && mine.contains(name);
      if (!made.contains(name) && !straight) Add("'", name, "' is made nowhere");
      if (!outputs.insert(name).second) Add("output '", name, "' stands twice");
      if (!SaysRank(output) && (!ranked_.has_value() || ranked_->contains(name)))
        Add("output '", name, "' has no rank");
    }
    for (const auto& value : graph.value_info()) {
      if (!mine.contains(value.name())) Add("'", value.name(), "' has a type, but is no value");
    }
    visible_ = std::move(visible);
  }

  std::vector<std::string> broken_;
  std::optional<Names> ranked_;  // those whose rank is known
  Names domains_, visible_, node_names_;
};

}  // namespace

std::vector<std::string> BrokenOnnxRules(const onnx::ModelProto& model, const Graph* exported) {
  return Rules(exported).Broken(model);
}

}  // namespace sluice
