// What running a node does besides giving its outputs: what passes ask before they fold, merge,
// move or leave out. State is none of it behind passes/lift_state.h: there a variable is an input.
#ifndef SLUICE_GRAPH_EFFECTS_H_
#define SLUICE_GRAPH_EFFECTS_H_

#include "graph/graph.h"

namespace sluice {

// The Effect flags of the node and of all nodes in its bodies, or in the function that it calls.
uint8_t EffectsOf(const Node& node);

// The same inputs give the same outputs, whenever and however often it runs: it may be folded and
// merged.
inline bool IsPure(const Node& node) { return EffectsOf(node) == 0; }

// It must not be left out, whether or not its results are read.
inline bool HasEffects(const Node& node) {
  return (EffectsOf(node) & (kWrites | kCommunicates)) != 0;
}

}  // namespace sluice

#endif  // SLUICE_GRAPH_EFFECTS_H_
