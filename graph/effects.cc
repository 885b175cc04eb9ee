#include "graph/effects.h"

namespace sluice {

uint8_t EffectsOf(const Node& node) {
  uint8_t effects = node.op().effects;
  if ((effects & kDraws) != 0 && node.op().draws != nullptr && !node.op().draws(node))
    effects &= ~kDraws;
  for (const auto& [name, body] : node.bodies()) {
    for (const auto& inner : body->nodes()) effects |= EffectsOf(*inner);
  }
  return effects;
}

}  // namespace sluice
