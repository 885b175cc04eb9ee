#include "runtime/select_signature.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/builder.h"
#include "graph/patch.h"
#include "graph/text.h"
#include "runtime/state.h"

namespace sluice {
std::vector<int> StatePorts::Renews() const {
  std::vector<int> renews(outputs, -1);
  for (int variable : writes) {
    const auto read = std::find(reads.begin(), reads.end(), variable);
    renews.push_back(read == reads.end()
                         ? -1
                         : static_cast<int>(inputs) + static_cast<int>(read - reads.begin()));
  }
  return renews;
}

absl::StatusOr<StatePorts> SelectSignature(const LiftedState& state, const std::string* name,
                                           Graph* graph) {
  const Signature* signature = nullptr;
  if (name != nullptr) {
    auto it = state.signatures.find(*name);
    if (it == state.signatures.end()) {
      return absl::NotFoundError(absl::StrCat(
          "no signature is named ", Shown(*name), "; there are: ",
          absl::StrJoin(state.signatures, ", ", [](std::string* out, const auto& entry) {
            out->append(Shown(entry.first));
          })));
    }
    signature = &it->second;
  }
  const std::vector<Value*> inputs = graph->inputs(), outputs = graph->outputs();
  const std::vector<std::string> names = graph->output_names();
  const size_t own_inputs = inputs.size() - state.variables.size();
  const size_t own_outputs = outputs.size() - state.updates.size();
  StatePorts ports;

  graph->ClearOutputs();
  if (signature == nullptr) {
    for (size_t i = 0; i < own_outputs; ++i) graph->AddOutput(outputs[i], names[i]);
  } else {
    for (const std::string& wanted : signature->outputs) {
      const auto own = names.begin() + static_cast<int64_t>(own_outputs);
      const auto at = std::find(names.begin(), own, wanted);
      if (at != own) graph->AddOutput(outputs[static_cast<size_t>(at - names.begin())], wanted);
    }
  }
  ports.outputs = graph->outputs().size();
  for (const StateUpdate* u : state.Last(signature == nullptr ? nullptr : &signature->does)) {
    if (u == nullptr) continue;
    ports.writes.push_back(u->variable);
    graph->AddOutput(outputs[static_cast<size_t>(u->output)],
                     names[static_cast<size_t>(u->output)]);
  }
  if (signature != nullptr) EraseUnread(graph);

  for (size_t i = 0; i < inputs.size(); ++i) {
    Value* input = inputs[i];
    if (i >= own_inputs) {
      if (!input->used()) {
        graph->EraseInput(input);
      } else {
        ports.reads.push_back(static_cast<int>(i - own_inputs));
      }
      continue;
    }
    const bool listed =
        signature == nullptr || std::find(signature->inputs.begin(), signature->inputs.end(),
                                          input->name()) != signature->inputs.end();
    if (!listed && input->used()) {
      return absl::InvalidArgumentError(absl::StrCat("signature ", Shown(*name), " needs input ",
                                                     Shown(input->name()),
                                                     ", which it does not list"));
    }
    if (listed) {
      input->set_held(false);
      ++ports.inputs;
    } else {
      graph->EraseInput(input);
    }
  }
  for (size_t i = 0; i < ports.reads.size(); ++i) {
    const bool written =
        std::find(ports.writes.begin(), ports.writes.end(), ports.reads[i]) != ports.writes.end();
    graph->inputs()[ports.inputs + i]->set_held(!written);
  }
  return ports;
}

absl::Status NumberRuns(Value* key, LiftedState* state, StatePorts* ports, Graph* graph) {
  ports->draws = key != nullptr;
  if (key == nullptr || ports->writes.empty()) return absl::OkStatus();
  GraphBuilder b(graph);
  Value* run = b.Op("Gather", {key, b.Scalar<int64_t>(1)});
  Value* next = b.Op("Add", {run, b.Scalar<uint64_t>(1)});
  if (!b.status().ok()) return b.status();
  graph->AddOutput(next, absl::StrCat("new value of ", kRunVariable));
  ports->run = static_cast<int>(state->variables.size());
  ports->writes.push_back(ports->run);
  state->variables.push_back({kRunVariable, Tensor::Scalar<uint64_t>(0), {}});
  return absl::OkStatus();
}

}  // namespace sluice
