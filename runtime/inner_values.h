// Values inside of a graph as inputs and outputs of a program, as sessions of TensorFlow take them.
#ifndef SLUICE_RUNTIME_INNER_VALUES_H_
#define SLUICE_RUNTIME_INNER_VALUES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "graph/graph.h"

namespace sluice {

// Leaves the signature of this name alone in `graph` ("": the graph has none), in which each value
// of `feeds` is an input, in the place of what computed it, and each of `fetches` an output under
// its own name. NotFound for names of no value, or of one in a body or function; InvalidArgument
// for a fed variable: its value is the state's.
absl::Status ExposeValues(absl::Span<const std::string> feeds,
                          absl::Span<const std::string> fetches, absl::string_view signature,
                          Graph* graph);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_INNER_VALUES_H_
