#include "passes/prune.h"

#include <iterator>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "graph/effects.h"
#include "graph/patch.h"
#include "passes/match.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

constexpr char kPass[] = "prune";

bool IsDead(const Node& node) {
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    if (node.output(i)->used()) return false;
  }
  return node.control_uses().empty() && !HasEffects(node);
}

// How many outputs are left without the trailing optional ones that nothing reads.
size_t NeededOutputs(const Node& node) {
  size_t n = node.num_outputs();
  while (n > 1 && !node.output(n - 1)->used() &&
         node.op().OutputParam(n - 1)->arity == ParamDef::Arity::kOptional) {
    --n;
  }
  return n;
}

absl::StatusOr<bool> DropOutputs(Node& node, PassContext& context) {
  const size_t needed = NeededOutputs(node);
  if (needed == node.num_outputs() || !node.bodies().empty() || !node.control_inputs().empty() ||
      !node.control_uses().empty() || HasEffects(node) || !context.Spend()) {
    return false;
  }
  Patch patch(node.graph(), &node, kPass);
  AttrList attrs(node.attrs().begin(), node.attrs().end());
  std::vector<Value*> outputs = patch.builder().OpN(node.op_name(), node.inputs(), needed, attrs);
  for (size_t i = 0; i < needed; ++i) {
    if (outputs[i] != nullptr) outputs[i]->producer()->set_device(node.device());
    patch.Replace(node.output(i), outputs[i]);
  }
  context.Applied(kPass, node,
                  absl::StrCat("nothing reads its last ", node.num_outputs() - needed, " outputs"));
  if (absl::Status s = patch.Commit(); !s.ok()) return s;
  return true;
}

// Backwards, so that what only a dead node read is seen to be dead too.
bool EraseDeadNodes(Graph& graph, PassContext& context) {
  bool changed = false;
  for (auto it = graph.nodes().end(); it != graph.nodes().begin();) {
    Node& node = **--it;
    if (IsDead(node)) {
      if (!context.Spend()) return changed;
      if (!node.Is("Constant")) context.Applied(kPass, node, "nothing reads it");
      ++it;
      graph.EraseNode(&node);
      changed = true;
      continue;
    }
    if (IsSealed(node)) continue;
    for (const auto& [name, body] : node.bodies()) changed |= EraseDeadNodes(*body, context);
  }
  return changed;
}

void CollectCalls(const Graph& graph, absl::flat_hash_set<std::string>* names) {
  for (const auto& node : graph.nodes()) {
    if (node->Is("Call")) names->insert(node->String("function"));
    for (const auto& [name, body] : node->bodies()) CollectCalls(*body, names);
  }
}

bool PruneFunctions(Graph& graph) {
  absl::flat_hash_set<std::string> reached;
  CollectCalls(graph, &reached);
  std::vector<std::string> open(reached.begin(), reached.end());
  while (!open.empty()) {
    auto it = graph.functions().find(open.back());
    open.pop_back();
    if (it == graph.functions().end()) continue;
    absl::flat_hash_set<std::string> called;
    CollectCalls(*it->second, &called);
    for (const std::string& name : called) {
      if (reached.insert(name).second) open.push_back(name);
    }
  }
  const size_t before = graph.functions().size();
  for (auto it = graph.functions().begin(); it != graph.functions().end();) {
    it = reached.contains(it->first) ? std::next(it) : graph.functions().erase(it);
  }
  return graph.functions().size() != before;
}

}  // namespace

absl::StatusOr<bool> Prune::Run(Graph& graph, PassContext& context) const {
  bool changed = EraseDeadNodes(graph, context);
  absl::StatusOr<bool> dropped =
      VisitNodes(graph, [&](Node& node) { return DropOutputs(node, context); });
  if (!dropped.ok()) return dropped;
  changed |= *dropped;
  changed |= PruneFunctions(graph);
  return changed;
}

}  // namespace sluice
