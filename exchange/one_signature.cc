#include "exchange/one_signature.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/effects.h"
#include "graph/patch.h"
#include "graph/text.h"
#include "graph/training.h"

namespace sluice {
namespace {

std::string NamesOf(const std::vector<std::string>& names) {
  return absl::StrJoin(names, ", ",
                       [](std::string* out, const std::string& name) { out->append(Shown(name)); });
}

absl::StatusOr<std::string> Choose(const Graph& graph, const std::string& wanted) {
  std::vector<std::string> all, without_effects;
  for (const auto& [name, signature] : graph.signatures()) {
    all.push_back(name);
    if (signature.does.empty()) without_effects.push_back(name);
  }
  if (wanted.empty()) {
    if (without_effects.size() == 1) return without_effects[0];
    return absl::FailedPreconditionError(
        without_effects.empty()
            ? absl::StrCat("each of the graph's signatures (", NamesOf(all),
                           ") writes state, which this format has not")
            : absl::StrCat("this format holds one program: say which of the signatures ",
                           NamesOf(without_effects), " it gets"));
  }
  auto it = graph.signatures().find(wanted);
  if (it == graph.signatures().end()) {
    return absl::NotFoundError(
        absl::StrCat("the graph has no signature ", Shown(wanted), "; ",
                     all.empty() ? "it has none" : "there are: ", NamesOf(all)));
  }
  if (!it->second.does.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("signature ", Shown(wanted),
                                                      " writes state (", NamesOf(it->second.does),
                                                      "), which this format has not"));
  }
  return wanted;
}

// The signature assigns nothing: what an Assign gives is the value that it would have written.
void EraseAssigns(Graph* graph) {
  std::vector<Node*> assigns;
  for (const auto& node : graph->nodes()) {
    for (const auto& [name, body] : node->bodies()) EraseAssigns(body.get());
    if (node->Is("Assign")) assigns.push_back(node.get());
  }
  for (Node* node : assigns) {
    graph->ReplaceAllUses(node->output(), node->input(1));
    node->ClearControlInputs();
    graph->EraseNode(node);
  }
}

// Other effects that no node waits for: of other signatures.
void EraseEffects(Graph* graph) {
  std::vector<Node*> writers;
  for (const auto& node : graph->nodes()) {
    if (HasEffects(*node)) writers.push_back(node.get());
  }
  std::reverse(writers.begin(), writers.end());
  for (Node* node : writers) {
    bool read = !node->control_uses().empty();
    for (size_t i = 0; i < node->num_outputs(); ++i) read |= node->output(i)->used();
    if (!read) graph->EraseNode(node);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Graph>> OneSignature(const Graph& graph, const std::string& name) {
  const absl::StatusOr<std::string> chosen = Choose(graph, name);
  if (!chosen.ok()) return chosen.status();
  std::unique_ptr<Graph> one = graph.Clone();
  const Signature signature = one->signatures().at(*chosen);
  one->signatures().clear();
  BindTraining(one.get(), signature.training);
  const std::vector<Value*> outputs = one->outputs();
  const std::vector<std::string> names = one->output_names();
  one->ClearOutputs();
  for (const std::string& wanted : signature.outputs) {
    const auto at = std::find(names.begin(), names.end(), wanted);
    if (at != names.end()) one->AddOutput(outputs[static_cast<size_t>(at - names.begin())], wanted);
  }
  EraseAssigns(one.get());
  EraseEffects(one.get());
  EraseUnread(one.get());
  for (Value* input : std::vector<Value*>(one->inputs())) {
    if (std::find(signature.inputs.begin(), signature.inputs.end(), input->name()) !=
        signature.inputs.end())
      continue;
    if (input->used()) {
      return absl::FailedPreconditionError(absl::StrCat("signature ", Shown(*chosen),
                                                        " needs input ", Shown(input->name()),
                                                        ", which it does not list"));
    }
    one->EraseInput(input);
  }
  return one;
}

}  // namespace sluice
