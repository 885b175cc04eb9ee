// What the runtime asks of a node, and says of one, outside the graph's own checks.
#ifndef SLUICE_RUNTIME_NODE_CHECKS_H_
#define SLUICE_RUNTIME_NODE_CHECKS_H_

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "graph/graph.h"

namespace sluice {

// A kernel speaks of its data alone: the same error at its node.
absl::Status AtNode(const Node& node, const absl::Status& status);

// ResourceExhausted, naming the node, where an output whose extents are known has more than
// `max_bytes` (0: more than a process can address). To be asked before a kernel is prepared, which
// may make tables as long as its output. An output no larger than an input may be a view of it: it
// costs nothing and passes.
absl::Status CheckOutputSizes(const Node& node, absl::Span<const Type> inputs,
                              absl::Span<const Type> outputs, int64_t max_bytes);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_NODE_CHECKS_H_
