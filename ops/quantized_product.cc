#include <cmath>

#include "absl/strings/str_cat.h"
#include "ops/flops.h"
#include "ops/matmul_shape.h"
#include "ops/op.h"
#include "ops/quantized.h"
#include "ops/window.h"

namespace sluice {

absl::StatusOr<std::vector<OperandScale>> ReadOperandScales(const Node& node) {
  const size_t count =
      node.num_inputs() - std::min<size_t>(node.num_inputs(), QuantizedInput::kOperands);
  const std::vector<float> scales = node.Floats("operand_scales");
  const std::vector<int64_t> zeros = node.Ints("operand_zero_points");
  std::vector<OperandScale> out(count);
  for (size_t n : {scales.size(), zeros.size()}) {
    if (n == 0 || n == count) continue;
    return NodeError(node, absl::StatusCode::kInvalidArgument,
                     absl::StrCat("there are ", count, " operands, but ", n,
                                  " operand_scales or operand_zero_points; expected one each"));
  }
  for (size_t i = 0; i < count; ++i) {
    if (!scales.empty()) out[i].scale = scales[i];
    if (!zeros.empty()) out[i].zero = zeros[i];
    if (!std::isfinite(out[i].scale) || out[i].zero < -128 || out[i].zero > 255) {
      return NodeError(node, absl::StatusCode::kInvalidArgument,
                       absl::StrCat("operand ", i, " has scale ", out[i].scale, " and zero point ",
                                    out[i].zero, "; expected a finite number and an 8-bit one"));
    }
  }
  return out;
}

namespace {

using In = QuantizedInput;
inline constexpr DTypeSet kEightBits = {DType::kI8, DType::kU8};

Op QuantizedAttrs(Op op) {
  return op.Input("x", "T1")
      .Input("x_scale", "f32")
      .OptionalInput("x_zero_point", "T1")
      .Input("w", "T2")
      .Input("w_scale", "f32")
      .OptionalInput("w_zero_point", "T2")
      .OptionalInput("y_scale", "f32")
      .OptionalInput("y_zero_point", "T3")
      .OptionalInput("B", "f32")
      .VariadicInput("operands", "", 0, /*homogeneous=*/false)
      .Output("y", "T4")
      .Types("T1", kEightBits)
      .Types("T2", kEightBits)
      .Types("T3", kEightBits)
      .Types("T4", kEightBits | DTypeSet{DType::kF32})
      .Attr("activations", std::vector<std::string>{}, "the steps, first to last")
      .Attr("activation_params", std::vector<float>{}, "the parameters of all steps")
      .Attr("operand_scales", std::vector<float>{}, "of 8-bit operands; ones")
      .Attr("operand_zero_points", std::vector<int64_t>{}, "of 8-bit operands; zeros");
}

// Everything but the product's own shape: steps, operands, scales. `channels` of the result.
absl::Status CheckParts(InferContext& c, const Type& type, const Dim& channels) {
  absl::StatusOr<std::vector<PostOp>> steps = ReadPostOps(c.node(), In::kOperands);
  if (!steps.ok()) return steps.status();
  absl::StatusOr<std::vector<OperandScale>> scales = ReadOperandScales(c.node());
  if (!scales.ok()) return scales.status();
  for (size_t i : {In::kXScale, In::kXZero, In::kWScale, In::kWZero, In::kYScale, In::kYZero}) {
    const Type& t = c.InputType(i);
    const std::optional<Dim> n = t.is_tensor() && t.has_shape() ? t.Elements() : std::nullopt;
    if (!n.has_value() || !ProvablyDifferent(*n, Dim(1))) continue;
    const bool weights = i == In::kWScale || i == In::kWZero;
    if (!weights || t.rank() != 1 || ProvablyDifferent(*n, channels)) {
      return c.Error("input ", i, " is ", t.ToString(), "; expected one number",
                     weights ? ", or one an output channel" : "");
    }
  }
  if (c.HasInput(In::kYZero) && !c.HasInput(In::kYScale)) {
    return c.Error("there is a y_zero_point, but no y_scale");
  }
  for (size_t i = In::kOperands; i < c.num_inputs(); ++i) {
    const Type& operand = c.InputType(i);
    if (operand.is_tensor() &&
        !DTypeSet{DType::kF32, DType::kI8, DType::kU8}.Contains(operand.dtype())) {
      return c.Error("operand ", operand.ToString(), " is neither f32 nor 8-bit");
    }
    if (!operand.is_tensor() || !operand.has_shape() || !type.has_shape()) continue;
    bool fits = operand.rank() <= type.rank();
    for (int d = 0; fits && d < operand.rank(); ++d) {
      const Dim &x = operand.dim(d), &y = type.dim(type.rank() - operand.rank() + d);
      fits = (x.is_number() && x.number() == 1) || !ProvablyDifferent(x, y);
    }
    if (!fits) {
      return c.Error("operand ", operand.ToString(), " does not broadcast to ", type.ToString());
    }
  }
  return absl::OkStatus();
}

DType ResultDType(const InferContext& c) {
  return !c.HasInput(In::kYScale)  ? DType::kF32
         : !c.HasInput(In::kYZero) ? DType::kU8
                                   : c.InputType(In::kYZero).dtype();
}

absl::Status InferQuantizedConv(InferContext& c) {
  absl::StatusOr<Type> type = ConvOutput(c.node(), c.InputType(In::kX), c.InputType(In::kW),
                                         c.InputType(In::kBias), ResultDType(c));
  if (!type.ok()) return type.status();
  const Type& w = c.InputType(In::kW);
  const Dim channels = w.is_tensor() && w.has_shape() ? w.dim(0) : Dim::Unknown();
  if (absl::Status s = CheckParts(c, *type, channels); !s.ok()) return s;
  c.SetOutput(0, *std::move(type));
  return absl::OkStatus();
}

absl::Status InferQuantizedMatMul(InferContext& c) {
  const Type& w = c.InputType(In::kW);
  const bool transposed = c.Int("transpose_b") != 0;
  absl::StatusOr<Type> type =
      MatMulType(c, c.InputType(In::kX), w, ResultDType(c), false, transposed);
  if (!type.ok()) return type.status();
  const Dim channels = !w.is_tensor() || !w.has_shape() ? Dim::Unknown()
                       : w.rank() < 2                   ? Dim(1)
                                                        : w.dim(w.rank() - (transposed ? 2 : 1));
  const Type& bias = c.InputType(In::kBias);
  if (bias.is_tensor() && bias.has_shape() &&
      (bias.rank() != 1 || ProvablyDifferent(bias.dim(0), channels))) {
    return c.Error("the bias is ", bias.ToString(), "; expected ", channels.ToString(),
                   " numbers, one for each column");
  }
  if (absl::Status s = CheckParts(c, *type, channels); !s.ok()) return s;
  c.SetOutput(0, *std::move(type));
  return absl::OkStatus();
}

// `y` and all behind it: steps over dequantized operands, then quantized again.
absl::StatusOr<std::vector<Value*>> ExpandRest(GraphBuilder& b, const Node& node, Value* y) {
  absl::StatusOr<std::vector<PostOp>> steps = ReadPostOps(node, In::kOperands);
  if (!steps.ok()) return steps.status();
  absl::StatusOr<std::vector<OperandScale>> scales = ReadOperandScales(node);
  if (!scales.ok()) return scales.status();
  y = ExpandPostOps(b, *steps, y, [&](int input) -> Value* {
    Value* operand = node.input(input);
    if (operand == nullptr || operand->type().dtype() == DType::kF32) return operand;
    const OperandScale& s = (*scales)[input - static_cast<int>(In::kOperands)];
    absl::StatusOr<Tensor> zero = Tensor::Allocate(operand->type().dtype(), {});
    if (!zero.ok()) return nullptr;
    *zero->mutable_data<uint8_t>() = static_cast<uint8_t>(s.zero);
    return b.Op("DequantizeLinear", {operand, b.Scalar(s.scale), b.Constant(*std::move(zero))});
  });
  if (node.input(In::kYScale) != nullptr) {
    y = b.Op("QuantizeLinear", {y, node.input(In::kYScale), node.input(In::kYZero)});
  }
  return std::vector<Value*>{y};
}

Value* Dequantized(GraphBuilder& b, const Node& node, size_t x, int64_t axis) {
  return b.Op("DequantizeLinear", {node.input(x), node.input(x + 1), node.input(x + 2)},
              {{"axis", axis}});
}

absl::StatusOr<std::vector<Value*>> ExpandQuantizedConv(GraphBuilder& b, const Node& node) {
  AttrList attrs;
  for (const auto& [name, value] : node.attrs()) {
    if (!name.starts_with("activation") && !name.starts_with("operand_")) {
      attrs.push_back({name, value});
    }
  }
  Value* x = Dequantized(b, node, In::kX, 1);
  Value* w = Dequantized(b, node, In::kW, 0);
  return ExpandRest(b, node, b.Op("Conv", {x, w, node.input(In::kBias)}, attrs));
}

absl::StatusOr<std::vector<Value*>> ExpandQuantizedMatMul(GraphBuilder& b, const Node& node) {
  const Type& type = node.input(In::kW)->type();
  if (!type.has_shape()) {
    return NodeError(node, absl::StatusCode::kUnimplemented, "the rank of w is unknown");
  }
  const int rank = type.rank();
  const bool transposed = node.Int("transpose_b") != 0 && rank > 1;
  Value* w = Dequantized(b, node, In::kW, rank < 2 ? 0 : rank - (transposed ? 2 : 1));
  if (transposed) {
    std::vector<int64_t> perm(rank);
    for (int i = 0; i < rank; ++i) perm[i] = i;
    std::swap(perm[rank - 1], perm[rank - 2]);
    w = b.Op("Transpose", {w}, {{"perm", perm}});
  }
  Value* y = b.Op("MatMul", {Dequantized(b, node, In::kX, 1), w});
  if (node.input(In::kBias) != nullptr) y = b.Op("Add", {y, node.input(In::kBias)});
  return ExpandRest(b, node, y);
}

}  // namespace

SLUICE_DECLARE_OP(QuantizedConv) {
  return QuantizedAttrs(
             Op("QuantizedConv", "sluice")
                 .Doc("Conv of 8-bit tensors, cheap steps, 8-bit again: see ops/quantized.h."))
      .Attr("auto_pad", "NOTSET", "NOTSET, VALID, SAME_UPPER or SAME_LOWER")
      .OptionalAttr("dilations", AttrKind::kInts, "ones")
      .Attr("group", 1)
      .OptionalAttr("kernel_shape", AttrKind::kInts, "that of the weights")
      .OptionalAttr("pads", AttrKind::kInts, "x1_begin, x2_begin, ..., x1_end, ...; zeros")
      .OptionalAttr("strides", AttrKind::kInts, "ones")
      .Infer(InferQuantizedConv)
      .Expansion(ExpandQuantizedConv)
      .NotDifferentiable("its inputs are integers")
      .RowWise()
      .Flops(ConvFlops<QuantizedInput::kW>);
}

SLUICE_DECLARE_OP(QuantizedMatMul) {
  return QuantizedAttrs(
             Op("QuantizedMatMul", "sluice")
                 .Doc("MatMul of 8-bit tensors, cheap steps, 8-bit again: see ops/quantized.h."))
      .Attr("transpose_b", 0, "swap the last two axes of w")
      .Infer(InferQuantizedMatMul)
      .Expansion(ExpandQuantizedMatMul)
      .NotDifferentiable("its inputs are integers")
      .RowWise()
      .Flops(ProductFlops);
}

}  // namespace sluice
