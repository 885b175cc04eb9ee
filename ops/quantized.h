// The quantized library ops of domain "sluice": QuantizedConv and QuantizedMatMul.
//
//   y = Quantize(steps(Conv(Dequantize(x), Dequantize(w)) + B))         or a matrix product
//
// The inputs stand as in ONNX's QLinearConv: x, x_scale, x_zero_point, w, w_scale, w_zero_point,
// y_scale, y_zero_point, B, then the operands of the steps. x and w are 8-bit; a zero point may be
// absent (0). x_scale is one number, w_scale one or one an output channel. Without y_scale the
// result stays f32. B is f32. The steps are those of ops/fused.h; an operand is f32, or 8-bit and
// then stands for (operand - operand_zero_points[i]) * operand_scales[i], i counting operands.
//
//   %y = QuantizedConv(%x, %xs, _, %w, %ws, _, %ys, %yz, %b, %shortcut)
//            {activations = ["Add", "Relu"], operand_scales = [0.05], operand_zero_points = [3]}
//
// The expansion, in DequantizeLinear, ordinary ops and QuantizeLinear, is the meaning; a kernel
// sums integers exactly, so that results differ from it by the rounding of f32 sums alone.
#ifndef SLUICE_OPS_QUANTIZED_H_
#define SLUICE_OPS_QUANTIZED_H_

#include <cstddef>

#include "ops/fused.h"

namespace sluice {

struct QuantizedInput {
  enum : size_t { kX, kXScale, kXZero, kW, kWScale, kWZero, kYScale, kYZero, kBias, kOperands };
};

// What an 8-bit operand of a step stands for: (operand - zero) * scale.
struct OperandScale {
  float scale = 1;
  int64_t zero = 0;
};
// One entry for each operand of `node`; InvalidArgument where the attributes do not fit.
absl::StatusOr<std::vector<OperandScale>> ReadOperandScales(const Node& node);

}  // namespace sluice

#endif  // SLUICE_OPS_QUANTIZED_H_
