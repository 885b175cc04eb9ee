#include "graph/patch.h"

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "graph/effects.h"
#include "graph/text.h"

namespace sluice {
namespace {

// Erases those of `open` that nothing uses, then what only they used. A node may stand in `open`
// more than once; the pointers of erased ones are compared, never followed.
void EraseDead(std::vector<Node*> open) {
  absl::flat_hash_set<const Node*> erased;
  while (!open.empty()) {
    Node* node = open.back();
    open.pop_back();
    if (erased.contains(node) || HasEffects(*node) || !node->control_uses().empty()) continue;
    bool used = false;
    for (size_t i = 0; i < node->num_outputs(); ++i) used |= node->output(i)->used();
    if (used) continue;
    for (Value* v : node->inputs()) {
      if (v != nullptr && v->producer() != nullptr) open.push_back(v->producer());
    }
    for (Value* v : Captures(*node)) {
      if (v->producer() != nullptr) open.push_back(v->producer());
    }
    for (Node* before : node->control_inputs()) open.push_back(before);
    erased.insert(node);
    node->graph()->EraseNode(node);
  }
}

}  // namespace

Patch::Patch(Graph* graph, Node* before, absl::string_view pass)
    : graph_(graph), builder_(graph, before) {
  Origin origin = before != nullptr ? before->origin() : Origin();
  absl::StrAppend(&origin.passes, origin.passes.empty() ? "" : ",", pass);
  builder_.SetOrigin(std::move(origin));
}

Patch::~Patch() {
  if (committed_) return;
  const std::vector<Node*>& added = builder_.added();
  try {
    for (auto it = added.rbegin(); it != added.rend(); ++it) graph_->EraseNode(*it);
  } catch (...) {
    // An erasure that is refused takes memory to say so. Where there is none, an exception is on
    // its way already, and the graph is given up.
  }
}

void Patch::Replace(Value* from, Value* to) { replacements_.push_back({from, to}); }

absl::Status Patch::Commit() {
  if (!builder_.status().ok()) return builder_.status();
  for (const auto& [from, to] : replacements_) {
    if (to == nullptr)
      return absl::InternalError(absl::StrCat(Shown(from->name()), " is replaced by nothing"));
    if (absl::StatusOr<Type> merged = MergeTypes(to->type(), from->type()); !merged.ok()) {
      return absl::InternalError(
          absl::StrCat(Shown(from->name()), " of type ", from->type().ToString(),
                       " cannot be replaced by one of type ", to->type().ToString(), ": ",
                       merged.status().message()));
    }
  }
  committed_ = true;
  absl::flat_hash_set<const Node*> added(builder_.added().begin(), builder_.added().end());
  for (const auto& [from, to] : replacements_) {
    to->set_type(*MergeTypes(to->type(), from->type()));
    if (!to->known_dims().has_value()) to->set_known_dims(from->known_dims());
    graph_->ReplaceAllUses(from, to);
    if (to->producer() != nullptr && added.contains(to->producer()) &&
        from->producer() != nullptr) {
      const std::string name = from->name();
      graph_->RenameValue(from, "");
      graph_->RenameValue(to, name);
    }
  }
  std::vector<Node*> producers;
  for (const auto& [from, to] : replacements_) {
    if (from->producer() != nullptr) producers.push_back(from->producer());
  }
  EraseDead(std::move(producers));
  return absl::OkStatus();
}

void EraseIfDead(Node* node) { EraseDead({node}); }

void EraseUnread(Graph* graph) {
  std::vector<Node*> nodes;
  for (const auto& node : graph->nodes()) nodes.push_back(node.get());
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    bool used = !(*node)->control_uses().empty() || HasEffects(**node);
    for (size_t i = 0; i < (*node)->num_outputs(); ++i) used |= (*node)->output(i)->used();
    if (!used) {
      graph->EraseNode(*node);
      continue;
    }
    for (const auto& [name, body] : (*node)->bodies()) EraseUnread(body.get());
  }
}

}  // namespace sluice
