// lift_random: makes values of random numbers. What draws is written with numbers that follow from
// a key, and the run's key becomes an input; loops make one of it for each trip.
//
//   before:  graph (%x) {                       after:  graph (%x, %key) {
//              %y = RandomUniformLike(%x)                 %s = Shape(%x)
//              return %y                                  %y = PhiloxUniform(%key, %s) {stream =
//              ...}
//            }                                            return %y
//                                                       }
//
// `stream` is a hash of the node's name and place (ops/random.h), which copies keep: behind this
// pass nothing draws, and what is folded, fused, merged or moved has the same bits as before.
// Preconditions: calls are inlined, state is lifted, the graph verifies, its types are inferred.
// Never: changes the numbers of a graph that was lifted before.
//
// LowerRandom() is the way back, behind all passes: the key is a RandomKey at the top of the graph
// then, and lifting again is trivial.
#ifndef SLUICE_PASSES_LIFT_RANDOM_H_
#define SLUICE_PASSES_LIFT_RANDOM_H_

#include "absl/status/statusor.h"
#include "graph/graph.h"
#include "passes/pass.h"

namespace sluice {

// The input that is the run's key, u64[2], behind all others; null where nothing draws.
absl::StatusOr<Value*> LiftRandom(Graph* graph, PassContext& context);
void LowerRandom(Value* key, Graph* graph);  // null: nothing to do

// The pass: the key that it made is the context's, for who lowers it.
class LiftRandomPass final : public Pass {
 public:
  const char* name() const override { return "lift_random"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_LIFT_RANDOM_H_
