// fuse_quantized: makes a product of dequantized tensors, the cheap ops behind it and the quantizer
// at the end one node that multiplies 8-bit integers.
//
//   before:  %c = Conv(DequantizeLinear(%x, %xs), DequantizeLinear(%w, %ws), %b)
//            %d = Add(%c, DequantizeLinear(%r, %rs, %rz))
//            %y = QuantizeLinear(%d, %ys, %yz)
//   after:   %y = QuantizedConv(%x, %xs, _, %w, %ws, _, %ys, %yz, %b, %r)
//                     {activations = ["Add"], operand_scales = [rs], operand_zero_points = [rz]}
//
// Covered: Conv, MatMul and Gemm of two DequantizeLinear; QLinearConv, QLinearMatMul; ConvInteger
// and MatMulInteger whose result is cast to f32 and scaled. Behind them any chain of the steps of
// ops/fused.h; a quantizer and dequantizer within the chain become steps that round alike. Without
// a quantizer at the end the result is f32. Unsigned constant weights become signed ones. The
// longest chain that TargetInfo.takes() is fused. Preconditions: 8-bit tensors dequantized to f32,
// one scale for x, one or one an output channel for w; each value of the chain is read by the next
// node alone and not fetched. Never: drops a rounding that the graph asks for, or multiplies f32 as
// integers.
#ifndef SLUICE_PASSES_FUSE_QUANTIZED_H_
#define SLUICE_PASSES_FUSE_QUANTIZED_H_

#include "passes/pass.h"

namespace sluice {

class FuseQuantized final : public Pass {
 public:
  const char* name() const override { return "fuse_quantized"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
  bool exact() const override { return false; }
};

}  // namespace sluice

#endif  // SLUICE_PASSES_FUSE_QUANTIZED_H_
