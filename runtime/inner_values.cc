#include "runtime/inner_values.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "graph/text.h"

namespace sluice {
namespace {

absl::StatusOr<Value*> Find(const Graph& graph, const std::string& name) {
  Value* v = graph.FindValue(name);
  if (v != nullptr) return v;
  return absl::NotFoundError(
      absl::StrCat("the graph has no value ", Shown(name),
                   " to feed or fetch; those inside of bodies and functions cannot be"));
}

absl::Status Feed(const std::string& name, Graph* graph) {
  absl::StatusOr<Value*> found = Find(*graph, name);
  if (!found.ok()) return found.status();
  Value* computed = *found;
  if (computed->producer() == nullptr) return absl::OkStatus();  // an input of the graph
  if (computed->producer()->Is("Variable")) {
    return absl::InvalidArgumentError(absl::StrCat(
        Shown(name), " is a variable: Session::AssignVariable() or State::Write() give it values"));
  }
  const Type type = computed->type();
  graph->RenameValue(computed, absl::StrCat(name, ".computed"));
  Value* input = graph->AddInput(name, type);
  // A result keeps the name it is fetched by.
  graph->ReplaceAllUses(computed, input);
  return absl::OkStatus();
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

absl::Status ExposeValues(absl::Span<const std::string> feeds,
                          absl::Span<const std::string> fetches, absl::string_view signature,
                          Graph* graph) {
  for (const std::string& name : feeds) {
    if (absl::Status s = Feed(name, graph); !s.ok()) return s;
  }
  for (const std::string& name : fetches) {
    const std::vector<std::string>& outputs = graph->output_names();
    const auto output = std::find(outputs.begin(), outputs.end(), name);
    if (output != outputs.end()) {  // another signature's
      const Value* fetched = graph->outputs()[static_cast<size_t>(output - outputs.begin())];
      const Value* inner = graph->FindValue(name);
      if (inner == nullptr || inner == fetched) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          Shown(name), " is an output of another signature, and a value inside: fetch ",
          "it by that signature, or give one of them another name"));
    }
    absl::StatusOr<Value*> value = Find(*graph, name);
    if (!value.ok()) return value.status();
    graph->AddOutput(*value, name);
  }
  if (signature.empty()) return absl::OkStatus();
  const auto it = graph->signatures().find(signature);
  if (it == graph->signatures().end())
    return absl::NotFoundError(absl::StrCat("the graph has no signature ", Shown(signature)));
  Signature only = it->second;
  for (const std::string& name : feeds) {
    if (!Contains(only.inputs, name)) only.inputs.push_back(name);
  }
  for (const std::string& name : fetches) {
    if (!Contains(only.outputs, name)) only.outputs.push_back(name);
  }
  graph->signatures() = {{std::string(signature), std::move(only)}};
  return absl::OkStatus();
}

}  // namespace sluice
