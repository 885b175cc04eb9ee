// move_quantization: brings the quantizers of a graph together, past ops that move elements or pick
// among them.
//
//   before:  %d = DequantizeLinear(%x, %s, %z)     after:  %y = MaxPool(%x)
//            %m = MaxPool(%d)
//            %y = QuantizeLinear(%m, %s, %z)
//
// A dequantizer with one scale sinks below Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Slice,
// Identity, MaxPool, and a Concat of tensors of one scale and zero point (below a Transpose with
// any scales, its axis moved along); a quantizer rises above a Concat; a quantizer behind a
// dequantizer of the same scale and zero point is nothing. All of it is exact. Preconditions: 8-bit
// tensors of f32; where values are compared, the scale is positive. Never: moves past arithmetic.
#ifndef SLUICE_PASSES_MOVE_QUANTIZATION_H_
#define SLUICE_PASSES_MOVE_QUANTIZATION_H_

#include "passes/pass.h"

namespace sluice {

class MoveQuantization final : public Pass {
 public:
  const char* name() const override { return "move_quantization"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_MOVE_QUANTIZATION_H_
