// Freeze: variables become constants, at the values of one version; Unfreeze is the way back.
//
//   before:  %w = Variable {name = "w"}     after:  %w = Constant {value = ...}
//
// For a program that is to be shipped, folded, packed and exported without its state. Signatures
// that write a frozen variable go, and what only they did. Never: changes what the others compute.
#ifndef SLUICE_PASSES_FREEZE_H_
#define SLUICE_PASSES_FREEZE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "graph/graph.h"
#include "graph/state_snapshot.h"

namespace sluice {

struct Frozen {
  std::unique_ptr<Graph> graph;
  std::vector<std::string> variables, dropped_signatures;
};

// `wanted`: which variables, by name. Those that `snapshot` does not hold freeze at their initial
// values. Calls are inlined. FailedPrecondition where the graph has no signatures and assigns one
// of them, or where no signature would be left; InvalidArgument for a value of another type.
absl::StatusOr<Frozen> Freeze(const Graph& graph, const StateSnapshot& snapshot,
                              absl::FunctionRef<bool(absl::string_view name)> wanted);

// Weights become variables named like their values, so that an imported model can be trained, or
// served over weights that are exchanged: constants of floats with more than one element for which
// `wanted` says yes, those excepted that extents follow from (Resize) and defaults of inputs.
// Returns the names.
std::vector<std::string> Unfreeze(Graph* graph,
                                  absl::FunctionRef<bool(absl::string_view name)> wanted);

}  // namespace sluice

#endif  // SLUICE_PASSES_FREEZE_H_
