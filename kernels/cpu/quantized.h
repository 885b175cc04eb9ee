// What the kernels of QuantizedConv and QuantizedMatMul share: is the machine fit, and scales, zero
// points and steps as oneDNN's attributes.
//
// Why only with VNNI: without it oneDNN sums pairs of u8 x s8 products in 16 bits, which saturate.
#ifndef SLUICE_KERNELS_CPU_QUANTIZED_H_
#define SLUICE_KERNELS_CPU_QUANTIZED_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/cpu/onednn/dnnl_node.h"
#include "kernels/cpu/onednn/onednn.h"
#include "kernels/kernel.h"
#include "ops/quantized.h"

namespace sluice::cpu {

// Unimplemented, with the reason, where no kernel takes a QuantizedConv or QuantizedMatMul whatever
// its extents: this machine (or ONEDNN_MAX_CPU_ISA) has no exact 8-bit dot products, or oneDNN
// lacks the kind of weights or a step.
absl::Status CheckQuantized(const Node& node);

// One quantized product as oneDNN sees it.
class QuantizedAttributes {
 public:
  // `operands`: the extents of each binary step's operand in order, of the result's rank `out`.
  // `weight_mask`: the axes of the weights along which scales differ. `steps` name node inputs.
  // Unimplemented as CheckQuantized().
  static absl::StatusOr<QuantizedAttributes> Read(const PrepareContext& context,
                                                  absl::Span<const PostOp> steps,
                                                  absl::Span<const Dims> operands, const Dims& out,
                                                  int weight_mask);

  dnnl::primitive_attr attr() const;  // throws dnnl::error: call inside DnnlTry()
  // Hands scales, zero points and operands to `kernel`; `pd` is the primitive made with attr().
  void Bind(const PrepareContext& context, const dnnl::primitive_desc_base& pd,
            DnnlNode* kernel) const;
  // The same for the product's bias, the node's input kBias.
  void BindBias(const PrepareContext& context, const dnnl::memory::desc& bias,
                DnnlNode* kernel) const;

 private:
  struct Chain;
  absl::Status ReadSteps(const PrepareContext& context, absl::Span<const PostOp> steps,
                         absl::Span<const Dims> operands, const Dims& out, Chain* chain);

  struct Number {  // a scale or zero point: which argument, from which input, how many
    int id, input;
    int64_t count;
    bool zero;
  };
  std::vector<Number> numbers_;
  int weight_mask_ = 0;
  float factor_ = 1;  // of the product: in the scales of the weights, and in the bias
  DnnlPostOps post_;
  std::vector<dnnl::memory::desc> plain_;  // of the operands
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_QUANTIZED_H_
