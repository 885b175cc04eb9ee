// flatten_convolutions: a convolution whose window is the whole image is a matrix product.
//
//   before:  %y = Conv(%x, %w, %b)                     %x: [n,C,1,1], %w: [M,C,1,1]
//   after:   %f = Reshape(%x, [0, C])
//            %g = Gemm(%f, %w2, %b) {transB = 1}       %w2: [M,C]
//            %y = Reshape(%g, [0, M, 1, 1])
//
// Products read their weights once, in panels; convolutions are made for images.
// Steps of a FusedConv become those of a FusedMatMul.
// Preconditions: one group, no padding, one window as large as the image, extents known.
// Never: touches convolutions of 8-bit tensors; they have been fused before.
#ifndef SLUICE_PASSES_FLATTEN_CONVOLUTIONS_H_
#define SLUICE_PASSES_FLATTEN_CONVOLUTIONS_H_

#include "passes/pass.h"

namespace sluice {

class FlattenConvolutions final : public Pass {
 public:
  const char* name() const override { return "flatten_convolutions"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_FLATTEN_CONVOLUTIONS_H_
