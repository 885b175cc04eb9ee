// fuse_bias_activation: makes a convolution, matrix product or pool and the cheap ops behind it one
// node.
//
//   before:  %c = Conv(%x, %w)            after:  %y = FusedConv(%x, %w, %b, %r)
//            %d = Add(%c, %b)                            {activations = ["Add", "Relu"]}
//            %e = Add(%d, %r)
//            %y = Relu(%e)
//
// Covered: Conv, ConvTranspose, MatMul, Gemm, MaxPool and AveragePool, followed by any chain of the
// steps that ops/fused.h lists: unary functions, and Add, Sub, Mul, Div, Max, Min with another
// value that does not enlarge the result. A first Add of constants is the bias of a product (for
// Conv: one number a channel); scales by one constant of moderate size of a MatMul's result, or of
// its inputs (not in f16, where they may keep sums in range, nor in f64, which alpha would round),
// are its alpha, but not in a strict session; transposes of a MatMul's inputs that swap the last
// two axes become its attributes. Identity and casts or reshapes that change nothing are looked
// through. The longest chain that TargetInfo.takes() is fused. Preconditions: floats; each value of
// the chain is read by the next node alone and not fetched; a pool says no indices. Never: fuses
// what no kernel takes, computes anything twice, or moves an op past another.
#ifndef SLUICE_PASSES_FUSE_BIAS_ACTIVATION_H_
#define SLUICE_PASSES_FUSE_BIAS_ACTIVATION_H_

#include "passes/pass.h"

namespace sluice {

class FuseBiasActivation final : public Pass {
 public:
  const char* name() const override { return "fuse_bias_activation"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_FUSE_BIAS_ACTIVATION_H_
