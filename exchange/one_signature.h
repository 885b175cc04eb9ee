// The program of one signature as a graph without signatures: what a format that has none gets.
#ifndef SLUICE_EXCHANGE_ONE_SIGNATURE_H_
#define SLUICE_EXCHANGE_ONE_SIGNATURE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "graph/graph.h"

namespace sluice {

// `name` empty: the only signature that has no effects. Inputs are the
// signature's in the graph's order, outputs in its own. NotFound lists the names;
// FailedPrecondition for a signature that has effects, or needs an input that it does not list, and
// where several could be meant.
absl::StatusOr<std::unique_ptr<Graph>> OneSignature(const Graph& graph, const std::string& name);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_ONE_SIGNATURE_H_
