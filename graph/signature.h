// Whether a node fits its op's declaration: shared by the verifier and inference.
#ifndef SLUICE_GRAPH_SIGNATURE_H_
#define SLUICE_GRAPH_SIGNATURE_H_

#include "absl/status/status.h"
#include "graph/graph.h"

namespace sluice {

// Arity, attributes (known, of the right kind, required ones present) and bodies.
absl::Status CheckSignature(const Node& node);

// Dtypes of the inputs against the op's type variables; unknown ones pass.
absl::Status CheckInputTypes(const Node& node);

}  // namespace sluice

#endif  // SLUICE_GRAPH_SIGNATURE_H_
