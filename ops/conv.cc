#include "ops/flops.h"
#include "ops/fused.h"
#include "ops/op.h"
#include "ops/window.h"

namespace sluice {
namespace {

Op ConvAttrs(Op op) {
  return op.Attr("auto_pad", "NOTSET", "NOTSET, VALID, SAME_UPPER or SAME_LOWER")
      .OptionalAttr("dilations", AttrKind::kInts, "ones")
      .Attr("group", 1)
      .OptionalAttr("kernel_shape", AttrKind::kInts, "that of the weights")
      .OptionalAttr("pads", AttrKind::kInts, "x1_begin, x2_begin, ..., x1_end, ...; zeros")
      .OptionalAttr("strides", AttrKind::kInts, "ones");
}

absl::Status SetConvOutput(InferContext& c, size_t w, size_t bias, DType dtype) {
  absl::StatusOr<Type> type =
      ConvOutput(c.node(), c.InputType(0), c.InputType(w), c.InputType(bias), dtype);
  if (!type.ok()) return type.status();
  c.SetOutput(0, *std::move(type));
  return absl::OkStatus();
}

absl::Status InferConv(InferContext& c) { return SetConvOutput(c, 1, 2, c.InputType(0).dtype()); }

absl::Status InferConvInteger(InferContext& c) {
  // There is no bias; input 4 is always absent.
  return SetConvOutput(c, 1, 4, DType::kI32);
}

absl::Status InferQLinearConv(InferContext& c) {
  return SetConvOutput(c, 3, 8, c.InputType(7).dtype());
}

absl::Status InferFusedConv(InferContext& c) {
  return InferFused(
      c,
      ConvOutput(c.node(), c.InputType(0), c.InputType(1), c.InputType(2), c.InputType(0).dtype()),
      kFusedOperands);
}

absl::StatusOr<std::vector<Value*>> ExpandFusedConv(GraphBuilder& b, const Node& node) {
  return ExpandFused(b, node, "Conv", kFusedOperands);
}

}  // namespace

SLUICE_DECLARE_OP(Conv) {
  return ConvAttrs(Op("Conv"))
      .Doc("Convolution of [N,C,D1,...] with weights [M,C/group,k1,...], plus a bias a channel.")
      .Input("X", "T")
      .Input("W", "T")
      .OptionalInput("B", "T")
      .Output("Y", "T")
      .Types("T", kFloatTypes)
      .Infer(InferConv)
      .GradientPending()
      .RowWise()
      .Flops(ConvFlops<1>);
}

SLUICE_DECLARE_OP(FusedConv) {
  return WithPostOps(ConvAttrs(Op("FusedConv", "sluice"))
                         .Doc("Conv, then a chain of cheap steps: see ops/fused.h.")
                         .Input("X", "T")
                         .Input("W", "T")
                         .OptionalInput("B", "T"))
      .Infer(InferFusedConv)
      .Expansion(ExpandFusedConv)
      .RowWise()
      .Flops(ConvFlops<1>);
}

SLUICE_DECLARE_OP(ConvInteger) {
  return ConvAttrs(Op("ConvInteger"))
      .Doc("Convolution of 8-bit integers less their zero points, in 32 bits.")
      .Input("x", "T1")
      .Input("w", "T2")
      .OptionalInput("x_zero_point", "T1")
      .OptionalInput("w_zero_point", "T2")
      .Output("y", "i32")
      .Types("T1", {DType::kI8, DType::kU8})
      .Types("T2", {DType::kI8, DType::kU8})
      .Infer(InferConvInteger)
      .NotDifferentiable("its inputs are integers")
      .RowWise()
      .Flops(ConvFlops<1>);
}

SLUICE_DECLARE_OP(QLinearConv) {
  return ConvAttrs(Op("QLinearConv"))
      .Doc(
          "Convolution of quantized tensors, quantized again; the bias has scale x_scale * "
          "w_scale.")
      .Input("x", "T1")
      .Input("x_scale", "f32")
      .Input("x_zero_point", "T1")
      .Input("w", "T2")
      .Input("w_scale", "f32")
      .Input("w_zero_point", "T2")
      .Input("y_scale", "f32")
      .Input("y_zero_point", "T3")
      .OptionalInput("B", "i32")
      .Output("y", "T3")
      .Types("T1", {DType::kI8, DType::kU8})
      .Types("T2", {DType::kI8, DType::kU8})
      .Types("T3", {DType::kI8, DType::kU8})
      .Infer(InferQLinearConv)
      .NotDifferentiable("its inputs are integers")
      .RowWise()
      .Flops(ConvFlops<3>);
}

}  // namespace sluice
