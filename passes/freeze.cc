#include "passes/freeze.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/no_throw.h"
#include "graph/builder.h"
#include "graph/default_inputs.h"
#include "graph/text.h"
#include "passes/inline_calls.h"
#include "passes/lift_state.h"

namespace sluice {
namespace {

absl::StatusOr<Tensor> ValueOf(const StateVariable& variable, const StateSnapshot& snapshot) {
  for (const auto& [name, value] : snapshot.variables) {
    if (name != variable.name) continue;
    if (Type::Of(value) == Type::Of(variable.initial)) return value;
    return absl::InvalidArgumentError(
        absl::StrCat("variable ", Shown(name), " is ", variable.initial.TypeString(),
                     ", but the snapshot holds ", value.TypeString()));
  }
  return variable.initial;
}

bool IsWeight(const Value& constant) {
  const Tensor& t = *constant.constant();
  if (!IsFloat(t.dtype()) || t.elements() < 2 || IsDefaultInput(constant)) return false;
  return std::none_of(constant.uses().begin(), constant.uses().end(),
                      [](const Use& use) { return use.node->Is("Resize"); });
}

}  // namespace

std::vector<std::string> Unfreeze(Graph* graph,
                                  absl::FunctionRef<bool(absl::string_view name)> wanted) {
  std::vector<Node*> weights;
  for (const auto& node : graph->nodes()) {
    if (node->Is("Constant") && IsWeight(*node->output()) && wanted(node->output()->name()))
      weights.push_back(node.get());
  }
  std::vector<std::string> names;
  for (Node* node : weights) {
    GraphBuilder b(graph, node);
    b.SetOrigin(node->origin());
    Value* constant = node->output();
    names.push_back(constant->name());
    Value* variable = b.Variable(names.back(), *constant->constant());
    if (variable == nullptr) continue;  // the graph says so
    graph->ReplaceAllUses(constant, variable);
    graph->EraseNode(node);
    graph->RenameValue(variable, names.back());
  }
  return names;
}

absl::StatusOr<Frozen> Freeze(const Graph& graph, const StateSnapshot& snapshot,
                              absl::FunctionRef<bool(absl::string_view name)> wanted) try {
  std::unique_ptr<Graph> work = graph.Clone();
  PassContext context;
  if (absl::StatusOr<bool> s = InlineCalls().Run(*work, context); !s.ok()) return s.status();
  absl::StatusOr<LiftedState> lifted = LiftState(work.get());
  if (!lifted.ok()) return lifted.status();

  Frozen frozen;
  std::vector<bool> freezes;
  for (const StateVariable& v : lifted->variables) {
    freezes.push_back(wanted(v.name));
    if (freezes.back()) frozen.variables.push_back(v.name);
  }
  // What is left of the signatures, and of what they do.
  absl::flat_hash_set<std::string> writers, kept;
  for (const StateUpdate& u : lifted->updates) {
    if (!freezes[static_cast<size_t>(u.variable)]) continue;
    writers.insert(u.effect);
    if (lifted->signatures.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the program assigns variable ",
                       Shown(lifted->variables[static_cast<size_t>(u.variable)].name), " (at ",
                       Shown(u.effect), ") and has no signature that does not"));
    }
  }
  LiftedState left;
  for (const auto& [name, signature] : lifted->signatures) {
    const bool writes =
        std::any_of(signature.does.begin(), signature.does.end(),
                    [&](const std::string& effect) { return writers.contains(effect); });
    if (writes) {
      frozen.dropped_signatures.push_back(name);
      continue;
    }
    left.signatures.emplace(name, signature);
    kept.insert(signature.does.begin(), signature.does.end());
  }
  if (left.signatures.empty() && !lifted->signatures.empty()) {
    return absl::FailedPreconditionError(
        "every signature writes a variable that is to be frozen: none would be left");
  }

  const std::vector<Value*> inputs = work->inputs(), outputs = work->outputs();
  const std::vector<std::string> names = work->output_names();
  const size_t own = outputs.size() - lifted->updates.size();
  std::vector<int> place(lifted->variables.size(), -1);  // of those that stay variables
  std::vector<Value*> gone;
  Node* const first = work->nodes().empty() ? nullptr : work->nodes().front().get();
  for (size_t i = 0; i < lifted->variables.size(); ++i) {
    StateVariable& v = lifted->variables[i];
    Value* input = inputs[static_cast<size_t>(v.input)];
    if (!freezes[i]) {
      place[i] = static_cast<int>(left.variables.size());
      v.input -= static_cast<int>(gone.size());
      left.variables.push_back(v);
      continue;
    }
    absl::StatusOr<Tensor> value = ValueOf(v, snapshot);
    if (!value.ok()) return value.status();
    GraphBuilder b(work.get(), first);
    b.SetOrigin(v.origin);
    Value* constant = b.Constant(*std::move(value));
    if (constant == nullptr) return b.status();
    const std::string name = input->name();
    work->ReplaceAllUses(input, constant);
    gone.push_back(input);
    work->RenameValue(input, "");
    work->RenameValue(constant, name);
  }
  const std::vector<Value*> now = work->outputs();
  work->ClearOutputs();
  for (size_t i = 0; i < own; ++i) work->AddOutput(now[i], names[i]);
  for (StateUpdate u : lifted->updates) {
    if (!lifted->signatures.empty() && !kept.contains(u.effect)) continue;
    const size_t output = static_cast<size_t>(u.output);
    u.output = static_cast<int>(work->outputs().size());
    u.variable = place[static_cast<size_t>(u.variable)];
    work->AddOutput(now[output], names[output]);
    left.updates.push_back(u);
  }
  for (Value* input : gone) work->EraseInput(input);
  LowerState(left, work.get());
  if (absl::Status s = Verify(*work); !s.ok()) return s;
  frozen.graph = std::move(work);
  return frozen;
} catch (...) {
  return ExceptionStatus();
}

}  // namespace sluice
