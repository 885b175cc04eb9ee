#include "runtime/cost.h"

#include <algorithm>

#include "ops/flops.h"

namespace sluice {
namespace {

// -1 where unknown.
double Flops(const Node& node) {
  const OpDef& op = node.op();
  if (op.flops != nullptr) return op.flops(node);
  const double out = Elements(node.output()->type());
  if (out < 0 || op.element_cost == ElementCost::kMove) return std::min(out, 0.0);
  return std::max(out, Elements(InputType(node, 0)));
}

}  // namespace

NodeCost CostOf(const Node& node) {
  NodeCost cost;
  if (node.Is("Constant") || node.Is("Variable")) return cost;
  cost.flops = Flops(node);
  auto traffic = [&](const Type& type) {
    const double n = Elements(type);
    if (n < 0) {
      cost.known = false;
    } else {
      cost.bytes += n * static_cast<double>(ByteSize(type.dtype()));
    }
  };
  for (const Value* v : node.inputs()) {
    if (v != nullptr) traffic(v->type());
  }
  for (size_t i = 0; i < node.num_outputs(); ++i) traffic(node.output(i)->type());
  if (cost.flops < 0) {
    cost.flops = 0;
    cost.known = false;
  }
  return cost;
}

NodeCost CostOf(const Graph& graph) {
  NodeCost total;
  auto add = [&](const NodeCost& c) {
    total.flops += c.flops;
    total.bytes += c.bytes;
    total.known &= c.known;
  };
  for (const auto& node : graph.nodes()) {
    add(CostOf(*node));
    for (const auto& [name, body] : node->bodies()) add(CostOf(*body));
  }
  return total;
}

}  // namespace sluice
