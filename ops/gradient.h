// What an op's gradient function sees: how a gradient of its outputs becomes one of its inputs.
// AddGradients() (passes/add_gradients.h) puts these together over a graph.
#ifndef SLUICE_OPS_GRADIENT_H_
#define SLUICE_OPS_GRADIENT_H_

#include <vector>

#include "graph/builder.h"
#include "graph/graph.h"

namespace sluice {

// The function writes new nodes with builder() and hands back one value per differentiable input;
// an input it leaves out gets no gradient.
class GradientContext {
 public:
  GradientContext(const Node& node, GraphBuilder* builder, std::vector<Value*> output_grads,
                  std::vector<bool> wanted)
      : node_(node),
        builder_(*builder),
        output_grads_(std::move(output_grads)),
        wanted_(std::move(wanted)),
        input_grads_(node.num_inputs()) {}

  const Node& node() const { return node_; }
  GraphBuilder& builder() { return builder_; }
  Value* input(size_t i) const { return node_.input(i); }
  Value* output(size_t i = 0) const { return node_.output(i); }
  Value* output_grad(size_t i = 0) const {
    return i < output_grads_.size() ? output_grads_[i] : nullptr;
  }  // null: nothing flows back there
  // Whether anybody reads the gradient of input `i`: what is dear is not built where nobody does.
  bool wants(size_t i) const { return i < wanted_.size() && wanted_[i]; }
  // Of input `i` of the node; ignored past the last, and where it is not wanted.
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
  std::vector<Value*> output_grads_;
  std::vector<bool> wanted_;
  std::vector<Value*> input_grads_;
};

}  // namespace sluice

#endif  // SLUICE_OPS_GRADIENT_H_
