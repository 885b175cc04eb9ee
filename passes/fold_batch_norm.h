// fold_batch_norm: works a batch normalisation, or any scale and shift of each channel by
// constants, into the weights and bias of the product before it.
//
//   before:  %c = Conv(%x, %w)                          after:  %y = Conv(%x, %w2, %b2)
//            %y = BatchNormalization(%c, %scale, %bias, %mean, %var)
//
// Covered: BatchNormalization, Mul, Div, Add and Sub after Conv, ConvTranspose, Gemm, MatMul, and
// MatMul with an Add of a constant bias (which a lone Add after MatMul stays: see
// fuse_bias_activation). Preconditions: weights, bias and the scale's parameters are constant
// floats; the parameters have one element, or one a channel, along the product's channel axis;
// nothing else reads the product. Computed in f64 and rounded once: w2 = w * f, b2 = (b - mean) * f
// + bias, f = scale / sqrt(var + epsilon). Never: folds in training mode, or where a weight would
// leave its type's range.
#ifndef SLUICE_PASSES_FOLD_BATCH_NORM_H_
#define SLUICE_PASSES_FOLD_BATCH_NORM_H_

#include "passes/pass.h"

namespace sluice {

class FoldBatchNorm final : public Pass {
 public:
  const char* name() const override { return "fold_batch_norm"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
  bool exact() const override { return false; }
};

}  // namespace sluice

#endif  // SLUICE_PASSES_FOLD_BATCH_NORM_H_
