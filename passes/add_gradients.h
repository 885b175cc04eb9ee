// AddGradients: the backward half of a program, put together from what each op declares
// (ops/gradient.h).
//
// What it makes is made of ordinary ops, and so can be differentiated again. An op without a
// gradient of its own is differentiated through its expansion. Of the gradients that nobody wants
// none is built. Identity ops stand at its ends, by which later passes, in a saved graph too, know
// what is backward: GradientSeed where a loss begins, GradientOf {variable} where a variable's
// gradient is complete.
#ifndef SLUICE_PASSES_ADD_GRADIENTS_H_
#define SLUICE_PASSES_ADD_GRADIENTS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "graph/graph.h"

namespace sluice {

struct GradientOptions {
  // Zeros for a value that no loss depends on; else that is an error.
  bool zeros_where_unreached = false;
};

// Appends to `graph` the nodes that compute d(sum of all elements of all `losses`) / d(value) for
// each of `values`, floating-point values of this very graph (not of a body). On an error the graph
// is as it was, and all of what is wrong is told at once, each with its node and source line:
//   Unimplemented, a path runs through an op whose gradient is not written yet;
//   FailedPrecondition, through one that has none, with the reason; or no path leads from a value
//   to a loss, and where the last one ends (an integer, a StopGradient).
absl::StatusOr<std::vector<Value*>> AddGradients(Graph* graph, absl::Span<Value* const> losses,
                                                 absl::Span<Value* const> values,
                                                 const GradientOptions& options = {});

}  // namespace sluice

#endif  // SLUICE_PASSES_ADD_GRADIENTS_H_
