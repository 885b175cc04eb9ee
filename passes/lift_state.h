// lift_state: makes a program of values. Variables become inputs, what is assigned to them becomes
// outputs, and a loop whose body assigns one carries it.
//
//   before:  graph (%x) {                    after:  graph (%x, %w) {
//              %w = Variable {name = "w"}              %g = Mul(%w, %x)
//              %g = Mul(%w, %x)                        %n = Sub(%w, %g)
//              %n = Sub(%w, %g)                        return %g, %n
//              %a = Assign(%w, %n)                   }
//              return %g
//            }
//
// A variable is what it was at the entry of the graph or body that runs, a trip's own in a loop.
// Behind an If, Loop or Scan whose bodies assign it, by data or control edges, it is what they
// leave; a body sees what was assigned before its node by the same rule. So the order of nodes
// means nothing: behind this pass there is no state, and no control edge, which ordered it.
// Preconditions: calls are inlined, the graph verifies, its types are inferred.
//
// LowerState() is the way back, behind all passes: state stands at the border of the graph then,
// and lifting again is trivial.
#ifndef SLUICE_PASSES_LIFT_STATE_H_
#define SLUICE_PASSES_LIFT_STATE_H_

#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "graph/graph.h"
#include "passes/pass.h"

namespace sluice {

struct StateVariable {
  std::string name;
  Tensor initial;
  Origin origin;
  int input = -1;  // of the lifted graph, behind the program's own
};

// A new value of a variable: from one Assign, or from one node whose bodies assign it.
struct StateUpdate {
  std::string effect;  // that node, as signatures name it
  int variable = -1;
  int output = -1;  // of the lifted graph, behind the program's own
};

struct LiftedState {
  std::vector<StateVariable> variables;
  std::vector<StateUpdate> updates;  // those of one variable in their order: the last one counts
  absl::btree_map<std::string, Signature> signatures;  // the program's, while it is lifted

  // The update of each variable that counts where these effects happen; all of them without
  // `does`. By variable; null where it stays as it is.
  std::vector<const StateUpdate*> Last(const std::vector<std::string>* does = nullptr) const;
};

// `does`: the effects of the signature that is to run; the other nodes that write state then write
// none. Null: all do. FailedPrecondition for two variables of one name; Unimplemented where all
// signatures are lifted at once and a node reads a variable behind one that writes it.
absl::StatusOr<LiftedState> LiftState(Graph* graph, const std::vector<std::string>* does = nullptr);
void LowerState(const LiftedState& state, Graph* graph);

// The pass: what it lifted is the context's, for who lowers it.
class LiftStatePass final : public Pass {
 public:
  const char* name() const override { return "lift_state"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_LIFT_STATE_H_
