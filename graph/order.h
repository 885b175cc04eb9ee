// What runs before what, over data, control edges and bodies.
#ifndef SLUICE_GRAPH_ORDER_H_
#define SLUICE_GRAPH_ORDER_H_

#include "absl/container/flat_hash_set.h"
#include "graph/graph.h"

namespace sluice {

// The node of `graph` in which `node` runs: itself, or the node whose body (at any depth) holds it.
// Null where it is of neither.
const Node* AtLevel(const Graph& graph, const Node* node);

// Every node of the graph of `start` that must run after it. Takes time linear in that graph.
absl::flat_hash_set<const Node*> Followers(const Node& start);

}  // namespace sluice

#endif  // SLUICE_GRAPH_ORDER_H_
