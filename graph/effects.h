// What running a node does besides giving its outputs: what passes ask before they fold, merge,
// move or leave out.
#ifndef SLUICE_GRAPH_EFFECTS_H_
#define SLUICE_GRAPH_EFFECTS_H_

#include "graph/graph.h"

namespace sluice {

// The same inputs give the same outputs, whenever and however often it runs: it reads no state and
// draws no random numbers, nor does a node in its bodies. It may be folded and merged.
bool IsPure(const Node& node);

// It, or a node in its bodies, is a variable or assigns one: it must not be left out.
bool HasEffects(const Node& node);

// A variable that the program assigns: what reads it has a place in an order and keeps it.
bool IsAssigned(const Value& value);

}  // namespace sluice

#endif  // SLUICE_GRAPH_EFFECTS_H_
