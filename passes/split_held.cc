#include "passes/split_held.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "graph/effects.h"
#include "graph/infer.h"
#include "graph/patch.h"

namespace sluice {
namespace {

// Bytes of a value whose extents are known; -1 where they are not.
int64_t BytesOf(const Value& v) {
  if (!v.type().is_tensor() || v.type().dtype() == DType::kString) return -1;
  const std::optional<Dims> dims = v.type().StaticDims();
  if (!dims.has_value()) return -1;
  const absl::StatusOr<int64_t> elements = ElementCount(*dims, ByteSize(v.type().dtype()));
  return elements.ok() ? *elements * static_cast<int64_t>(ByteSize(v.type().dtype())) : -1;
}

// What the program that stays reads of what is held.
class Border {
 public:
  Border(const Graph& graph, const PassContext& context)
      : graph_(graph), most_(context.fold_result_bytes), left_(context.fold_total_bytes) {}

  std::vector<Value*> Find() {
    for (Value* v : graph_.outputs()) Want(v);
    ReadsOf(graph_);
    return values_;
  }

 private:
  void ReadsOf(const Graph& graph) {
    for (const auto& node : graph.nodes()) {
      if (graph.parent() == nullptr && IsHeldNode(*node)) continue;
      for (Value* v : node->inputs()) Want(v);
      for (const auto& [name, body] : node->bodies()) {
        ReadsOf(*body);
        for (Value* v : body->outputs()) Want(v);
      }
    }
  }
  bool IsHeldNode(const Node& node) const {
    return node.graph() == &graph_ && !node.Is("Constant") && node.output()->held();
  }
  // Where it may not be a result of the other program, its node stays, and what that reads counts.
  void Want(Value* v) {
    if (v == nullptr || v->producer() == nullptr || !IsHeldNode(*v->producer()) ||
        !seen_.insert(v).second)
      return;
    const Node& node = *v->producer();
    int64_t read = 0;
    for (const Value* input : node.inputs()) {
      if (input != nullptr) read += std::max<int64_t>(0, BytesOf(*input));
    }
    const int64_t bytes = BytesOf(*v);
    if (bytes >= 0 && bytes <= left_ && bytes <= std::max(most_, read)) {
      left_ -= bytes;
      values_.push_back(v);
      return;
    }
    for (Value* input : node.inputs()) Want(input);
  }

  const Graph& graph_;
  const int64_t most_;
  int64_t left_;
  absl::flat_hash_set<const Value*> seen_;
  std::vector<Value*> values_;
};

}  // namespace

absl::StatusOr<bool> SplitHeld::Run(Graph& graph, PassContext& context) const {
  if (context.held == nullptr || context.held->graph != nullptr) return false;
  if (std::none_of(graph.inputs().begin(), graph.inputs().end(),
                   [](const Value* v) { return v->held(); }))
    return false;
  // What the passes before changed is known to inference now.
  if (absl::Status s = InferTypes(&graph); !s.ok()) return false;
  std::vector<Value*> values = Border(graph, context).Find();
  if (values.empty() || !context.Spend()) return false;

  std::unique_ptr<Graph> held = graph.Clone();
  held->ClearOutputs();
  for (Value* v : values) held->AddOutput(held->FindValue(v->name()));
  EraseUnread(held.get());
  std::vector<Value*> inputs = held->inputs();
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i]->used()) {
      context.held->inputs.push_back(static_cast<int>(i));
    } else {
      held->EraseInput(inputs[i]);
    }
  }
  for (Value* v : values) {
    context.Applied(name(), *v->producer(), "made once a version of the state");
    const std::string value_name = v->name();
    graph.RenameValue(v, graph.UniqueName(value_name));
    Value* input = graph.AddInput(value_name, v->type());
    input->set_held(true);
    input->set_known_dims(v->known_dims());
    graph.ReplaceAllUses(v, input);
  }
  EraseUnread(&graph);
  context.held->graph = std::move(held);
  return true;
}

}  // namespace sluice
