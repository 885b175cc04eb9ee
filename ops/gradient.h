// Gradients: each op declares how a gradient of its outputs becomes one of its inputs;
// AddGradients() puts these together over a graph.
#ifndef SLUICE_OPS_GRADIENT_H_
#define SLUICE_OPS_GRADIENT_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "graph/builder.h"
#include "graph/graph.h"

namespace sluice {

// What an op's gradient function sees. It writes new nodes with builder() and hands back one value
// per differentiable input; an input it leaves out gets no gradient.
class GradientContext {
 public:
  GradientContext(const Node& node, GraphBuilder* builder, std::vector<Value*> output_grads)
      : node_(node),
        builder_(*builder),
        output_grads_(std::move(output_grads)),
        input_grads_(node.num_inputs()) {}

  const Node& node() const { return node_; }
  GraphBuilder& builder() { return builder_; }
  Value* input(size_t i) const { return node_.input(i); }
  Value* output(size_t i = 0) const { return node_.output(i); }
  Value* output_grad(size_t i = 0) const {
    return i < output_grads_.size() ? output_grads_[i] : nullptr;
  }  // null: nothing flows back there
  // Of input `i` of the node; ignored past the last.
  void SetInputGrad(size_t i, Value* grad) {
    if (i < input_grads_.size()) input_grads_[i] = grad;
  }
  // The same for an input that was broadcast: sums over the stretched axes, back to the input's
  // shape.
  void SetBroadcastInputGrad(size_t i, Value* grad);
  const std::vector<Value*>& input_grads() const { return input_grads_; }

 private:
  const Node& node_;
  GraphBuilder& builder_;
  std::vector<Value*> output_grads_, input_grads_;
};

// Appends to `graph` the nodes that compute d(sum of all elements of all `losses`) / d(value) for
// each of `values`; a value that no loss depends on gets zeros. Unimplemented where a path runs
// through an op whose gradient is pending, FailedPrecondition where through one that has none: the
// message names the node and why.
absl::StatusOr<std::vector<Value*>> AddGradients(Graph* graph, absl::Span<Value* const> losses,
                                                 absl::Span<Value* const> values);

}  // namespace sluice

#endif  // SLUICE_OPS_GRADIENT_H_
