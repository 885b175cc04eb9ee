#include "graph/effects.h"

namespace sluice {
namespace {

constexpr int kMaxDepth = 64;  // of calls within calls

uint8_t EffectsOf(const Node& node, int depth) {
  uint8_t effects = node.op().effects;
  if ((effects & kDraws) != 0 && node.op().draws != nullptr && !node.op().draws(node))
    effects &= ~kDraws;
  for (const auto& [name, body] : node.bodies()) {
    for (const auto& inner : body->nodes()) effects |= EffectsOf(*inner, depth);
  }
  if (!node.Is("Call") || depth >= kMaxDepth) return effects;
  const Graph* root = node.graph();
  while (root->parent() != nullptr) root = root->parent();
  const auto function = root->functions().find(node.String("function"));
  if (function == root->functions().end() || function->second == nullptr) return effects;
  for (const auto& inner : function->second->nodes()) effects |= EffectsOf(*inner, depth + 1);
  return effects;
}

}  // namespace

uint8_t EffectsOf(const Node& node) { return EffectsOf(node, 0); }

}  // namespace sluice
