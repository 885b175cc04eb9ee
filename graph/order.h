// What runs before what, over data, control edges and bodies.
#ifndef SLUICE_GRAPH_ORDER_H_
#define SLUICE_GRAPH_ORDER_H_

#include "absl/container/flat_hash_set.h"
#include "graph/graph.h"

namespace sluice {

// Every node of the graph of `start` that must run after it; with `until`, no more than it takes to
// meet that one. Takes time linear in that graph.
absl::flat_hash_set<const Node*> Followers(const Node& start, const Node* until = nullptr);

// The variables (values of Variable nodes) that the node assigns, itself or in its bodies.
absl::flat_hash_set<const Value*> Assigned(const Node& node);

}  // namespace sluice

#endif  // SLUICE_GRAPH_ORDER_H_
