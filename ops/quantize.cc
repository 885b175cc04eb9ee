#include "ops/op.h"

namespace sluice {
namespace {

inline constexpr DTypeSet kQuantTypes = {DType::kI8, DType::kU8, DType::kI16, DType::kU16};

// Whether the scale is one number, one for each element along the axis, or one a block.
absl::Status CheckScale(InferContext& c) {
  const Type &x = c.InputType(0), &scale = c.InputType(1), &zero = c.InputType(2);
  if (!x.is_tensor() || !x.has_shape() || !scale.is_tensor() || !scale.has_shape()) {
    return absl::OkStatus();
  }
  const int64_t block = c.Int("block_size");
  if (block < 0) return c.Error("block_size is ", block, "; expected 0 or more");
  if (zero.is_tensor() && zero.has_shape()) {
    bool same = zero.rank() == scale.rank();
    for (int i = 0; same && i < scale.rank(); ++i) {
      same = !ProvablyDifferent(zero.dim(i), scale.dim(i));
    }
    // One number is one number, whatever its rank.
    const std::optional<Dim> a = zero.Elements(), b = scale.Elements();
    if (!same && !(a.has_value() && b.has_value() && *a == Dim(1) && *b == Dim(1))) {
      return c.Error("the scale is ", scale.ToString(), ", but the zero point is ",
                     zero.ToString());
    }
  }
  const std::optional<Dim> count = scale.Elements();
  if (block == 0 && (scale.rank() == 0 || (count.has_value() && *count == Dim(1)))) {
    return absl::OkStatus();
  }
  absl::StatusOr<int> axis = c.Axis(c.Int("axis"), x.rank());
  if (!axis.ok()) return axis.status();
  if (block == 0) {
    if (scale.rank() != 1 || ProvablyDifferent(scale.dim(0), x.dim(*axis))) {
      return c.Error("the scale is ", scale.ToString(), "; expected a scalar or ",
                     x.dim(*axis).ToString(), " numbers, one for each element of axis ", *axis,
                     " of ", x.ToString());
    }
    return absl::OkStatus();
  }
  bool fits = scale.rank() == x.rank();
  for (int i = 0; fits && i < x.rank(); ++i) {
    const Dim want = i == *axis ? CeilDiv(x.dim(i), Dim(block)) : x.dim(i);
    fits = !ProvablyDifferent(scale.dim(i), want);
  }
  if (!fits) {
    return c.Error("the scale is ", scale.ToString(), ", which does not fit blocks of ", block,
                   " along axis ", *axis, " of ", x.ToString());
  }
  return absl::OkStatus();
}

Type Like(const Type& x, DType dtype) {
  return x.is_tensor() && x.has_shape() ? Type::Tensor(dtype, x.shape()) : Type::Tensor(dtype);
}

absl::Status InferQuantize(InferContext& c) {
  if (absl::Status s = CheckScale(c); !s.ok()) return s;
  const DType asked = c.GetDType("output_dtype");
  DType dtype = asked != DType::kInvalid ? asked : DType::kU8;
  if (c.HasInput(2)) {
    const DType zero = c.InputType(2).dtype();
    if (asked != DType::kInvalid && zero != DType::kInvalid && asked != zero) {
      return c.Error("output_dtype is ", ToString(asked), ", but the zero point is ",
                     ToString(zero));
    }
    dtype = zero;
  }
  if (dtype != DType::kInvalid && !kQuantTypes.Contains(dtype)) {
    return c.Error("output_dtype is ", ToString(dtype), "; expected ", kQuantTypes.ToString());
  }
  const DType precision = c.GetDType("precision");
  if (precision != DType::kInvalid &&
      !DTypeSet{DType::kF32, DType::kF16, DType::kBF16}.Contains(precision)) {
    return c.Error("precision is ", ToString(precision), "; expected f32, f16 or bf16");
  }
  c.SetOutput(0, Like(c.InputType(0), dtype));
  return absl::OkStatus();
}

absl::Status InferDequantize(InferContext& c) {
  if (absl::Status s = CheckScale(c); !s.ok()) return s;
  const DType asked = c.GetDType("output_dtype");
  if (asked != DType::kInvalid &&
      !DTypeSet{DType::kF32, DType::kF16, DType::kBF16}.Contains(asked)) {
    return c.Error("output_dtype is ", ToString(asked), "; expected f32, f16 or bf16");
  }
  c.SetOutput(0, Like(c.InputType(0), asked != DType::kInvalid ? asked : c.InputType(1).dtype()));
  return absl::OkStatus();
}

absl::Status InferDynamic(InferContext& c) {
  c.SetOutput(0, Like(c.InputType(0), DType::kU8));
  c.SetOutput(1, Type::Tensor(DType::kF32, Shape{}));
  c.SetOutput(2, Type::Tensor(DType::kU8, Shape{}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(QuantizeLinear) {
  return Op("QuantizeLinear")
      .Doc(
          "saturate(round(x / y_scale) + y_zero_point), ties to even; one scale, one for each "
          "element of an axis, or one a block along it.")
      .Input("x", "T1")
      .Input("y_scale", "T2")
      .OptionalInput("y_zero_point", "T3")
      .Output("y", "T3")
      .Types("T1", {DType::kF32, DType::kF16, DType::kBF16, DType::kI32})
      .Types("T2", {DType::kF32, DType::kF16, DType::kBF16, DType::kI32})
      .Types("T3", kQuantTypes)
      .Attr("axis", 1)
      .Attr("block_size", 0)
      .OptionalAttr("output_dtype", AttrKind::kDType, "the zero point's, else u8")
      .OptionalAttr("precision", AttrKind::kDType, "of the division; the scale's")
      .Attr("saturate", 1, "concerns 8-bit floats only")
      .Infer(InferQuantize)
      .GradientPending()
      .InAnyAxisOrder(AnyAxisOrder::kFirstInput);
}

SLUICE_DECLARE_OP(DequantizeLinear) {
  return Op("DequantizeLinear")
      .Doc(
          "(x - x_zero_point) * x_scale; one scale, one for each element of an axis, or one a "
          "block along it.")
      .Input("x", "T1")
      .Input("x_scale", "T2")
      .OptionalInput("x_zero_point", "T1")
      .Output("y", "T3")
      .Types("T1", kQuantTypes | DTypeSet{DType::kI32})
      .Types("T2", {DType::kF32, DType::kF16, DType::kBF16})
      .Types("T3", {DType::kF32, DType::kF16, DType::kBF16})
      .Attr("axis", 1)
      .Attr("block_size", 0)
      .OptionalAttr("output_dtype", AttrKind::kDType, "the scale's")
      .Infer(InferDequantize)
      .GradientPending()
      .InAnyAxisOrder(AnyAxisOrder::kFirstInput);
}

SLUICE_DECLARE_OP(DynamicQuantizeLinear) {
  return Op("DynamicQuantizeLinear")
      .Doc("u8 quantization with the scale and zero point that cover x's range and 0.")
      .Input("x", "f32")
      .Output("y", "u8")
      .Output("y_scale", "f32")
      .Output("y_zero_point", "u8")
      .Infer(InferDynamic)
      .GradientPending();
}

}  // namespace sluice
