#include "graph/order.h"

#include "absl/container/flat_hash_map.h"

namespace sluice {
namespace {

// The node of `graph` in which `node` runs: itself, or the node whose body (at any depth) holds it.
const Node* AtLevel(const Graph& graph, const Node* node) {
  while (node != nullptr && node->graph() != &graph) node = node->graph()->owner();
  return node;
}

}  // namespace

absl::flat_hash_set<const Node*> Followers(const Node& start, const Node* until) {
  const Graph& graph = *start.graph();
  // What a body only returns has no use.
  absl::flat_hash_map<const Value*, std::vector<const Node*>> captured;
  for (const auto& node : graph.nodes()) {
    for (const Value* v : Captures(*node)) captured[v].push_back(node.get());
  }
  absl::flat_hash_set<const Node*> reached;
  std::vector<const Node*> open = {&start};
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    if (until != nullptr && reached.contains(until)) break;
    auto visit = [&](const Node* n) {
      n = AtLevel(graph, n);
      if (n != nullptr && reached.insert(n).second) open.push_back(n);
    };
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      for (const Use& use : node->output(i)->uses()) visit(use.node);
      auto it = captured.find(node->output(i));
      if (it == captured.end()) continue;
      for (const Node* n : it->second) visit(n);
    }
    for (const Node* n : node->control_uses()) visit(n);
  }
  return reached;
}

absl::flat_hash_set<const Value*> Assigned(const Node& node) {
  absl::flat_hash_set<const Value*> assigned;
  if (node.Is("Assign") && node.input(0) != nullptr) assigned.insert(node.input(0));
  for (const auto& [name, body] : node.bodies()) {
    for (const auto& inner : body->nodes()) {
      for (const Value* v : Assigned(*inner)) assigned.insert(v);
    }
  }
  return assigned;
}

}  // namespace sluice
