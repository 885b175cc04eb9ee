// One node made ready for inputs whose types, and small contents, are known at last: what constant
// folding uses, and the steps of a plan whose shapes only the data knows.
#ifndef SLUICE_RUNTIME_PREPARE_H_
#define SLUICE_RUNTIME_PREPARE_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "graph/graph.h"
#include "kernels/kernel.h"

namespace sluice {

// Inputs of at most so many elements count as contents, not only as types: axes, shapes, limits.
inline constexpr int64_t kContentElements = 1024;

// Asked before `bytes` are taken; ResourceExhausted ends the run.
using Accountant = std::function<absl::Status(int64_t bytes)>;

// A kernel speaks of its data alone: the same error at its node.
absl::Status AtNode(const Node& node, const absl::Status& status);

// ResourceExhausted, naming the node, where an output whose extents are known has more than
// `max_bytes` (0: more than a process can address). To be asked before a kernel is prepared, which
// may make tables as long as its output. An output no larger than an input may be a view of it: it
// costs nothing and passes.
absl::Status CheckOutputSizes(const Node& node, absl::Span<const Type> inputs,
                              absl::Span<const Type> outputs, int64_t max_bytes);

class PreparedNode {
 public:
  // `inputs` as node.inputs(); an invalid tensor is absent. Reads `node` only now. `max_bytes`: see
  // CheckOutputSizes().
  static absl::StatusOr<PreparedNode> Make(const Node& node, absl::Span<const Tensor> inputs,
                                           int threads, Accuracy accuracy = Accuracy::kStrict,
                                           int64_t max_bytes = 0);

  // Whether Run() may be called for these inputs too: same types, same small contents.
  bool Fits(absl::Span<const Tensor> inputs) const;

  absl::StatusOr<std::vector<Tensor>> Run(absl::Span<const Tensor> inputs, ThreadPool* pool,
                                          const Accountant& account) const;
  std::string Description() const;

 private:
  std::unique_ptr<Graph> graph_;  // the node alone, or its expansion, over inputs and constants
  struct Step {
    Node* node;
    std::unique_ptr<Kernel> kernel;  // null: prepared when its inputs are known, at each run
    std::vector<Type> outputs;
  };
  std::vector<Step> steps_;
  std::vector<Value*> sources_;  // what stands for each input; null where absent
  std::vector<Tensor> contents_;
  std::vector<Type> types_;
  Accuracy accuracy_ = Accuracy::kStrict;
  int64_t max_bytes_ = 0;
};

// Gives `to` copies of the bodies, which read nothing of the graph around them.
absl::Status CopyBodies(const Node& from, Node* to);

// A kernel launched by itself with fresh outputs and scratch.
absl::StatusOr<std::vector<Tensor>> LaunchAlone(const Kernel& kernel, absl::Span<const Type> types,
                                                absl::Span<const Tensor> inputs, ThreadPool* pool,
                                                const Accountant& account);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_PREPARE_H_
