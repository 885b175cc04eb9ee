// A node as a program of its own, for what cannot be prepared before its inputs are there: shapes
// that only the data knows, contents that a kernel wants as constants, and constant folding.
#ifndef SLUICE_RUNTIME_NODE_PROGRAM_H_
#define SLUICE_RUNTIME_NODE_PROGRAM_H_

#include <atomic>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "graph/graph.h"
#include "runtime/program.h"

namespace sluice {

// Gives `to` copies of the bodies, which read nothing of the graph around them.
absl::Status CopyBodies(const Node& from, Node* to);

// The node alone, with what its own bodies hold, over inputs of the given types (by the node's
// inputs; unknown: absent). `constants`: those that are constants in its graph are so here too.
absl::StatusOr<std::unique_ptr<Graph>> GraphOfNode(const Node& node, absl::Span<const Type> types,
                                                   bool constants);

// Gives `to` copies of the bodies of `from`, which read nothing of the graph around them.
absl::Status CopyBodies(const Node& from, Node* to);

// Prepared once for each shape that arrives, and kept as a session keeps its plans. Where no kernel
// takes the shapes alone, small inputs count as contents: it is prepared for these, by its
// expansion if need be. Thread-safe.
class NodeProgram {
 public:
  // `node` is read only now. `by_contents`: that its shapes alone will not do is known already.
  static absl::StatusOr<std::unique_ptr<NodeProgram>> Make(const Node& node,
                                                           const ProgramOptions& options,
                                                           bool by_contents);

  // `inputs` as the node's; an invalid tensor is absent.
  absl::StatusOr<std::vector<Tensor>> Run(absl::Span<const Tensor> inputs, RunContext* run);

 private:
  NodeProgram() = default;
  std::vector<int> fed_;  // which of the node's inputs the programs take, in order
  std::vector<int> fetches_;
  std::unique_ptr<Program> by_shape_, by_contents_;
  std::atomic<bool> needs_contents_{false};
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_NODE_PROGRAM_H_
