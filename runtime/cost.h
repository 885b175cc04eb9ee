// What a node costs in arithmetic and traffic, from its types alone: for reports.
#ifndef SLUICE_RUNTIME_COST_H_
#define SLUICE_RUNTIME_COST_H_

#include <cstdint>

#include "graph/graph.h"

namespace sluice {

struct NodeCost {
  double flops = 0;   // a multiply-add counts two; other element-wise results one each
  double bytes = 0;   // inputs read once, outputs written once
  bool known = true;  // false where an extent is open: counted as nothing
};

NodeCost CostOf(const Node& node);
// Bodies count once, whatever their trip count.
NodeCost CostOf(const Graph& graph);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_COST_H_
