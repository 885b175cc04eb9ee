// An optimised program is a program like any other: it can be written, read and optimised again.
#ifndef SLUICE_TESTS_TESTING_REOPENED_H_
#define SLUICE_TESTS_TESTING_REOPENED_H_

#include <memory>

#include "absl/status/statusor.h"
#include "graph/graph.h"

namespace sluice {

// A copy of `graph` (verified) that all passes of this machine's target have improved, that was
// written and read back, as bytes and as text, and improved again. The error says which of these
// failed, or what reading or the second improvement changed: they must change nothing, not even a
// name.
absl::StatusOr<std::unique_ptr<Graph>> OptimiseAndReopen(const Graph& graph);

}  // namespace sluice

#endif  // SLUICE_TESTS_TESTING_REOPENED_H_
