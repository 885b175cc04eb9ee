// Constant and ConstantOfShape.
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferConstant(InferContext& c) {
  const Tensor* value = c.node().GetTensor("value");
  if (value == nullptr || !value->valid()) return c.Error("the constant has no value");
  c.SetOutput(0, Type::Of(*value));
  if (value->rank() <= 1 && value->elements() <= kMaxKnownElements && IsInt(value->dtype())) {
    if (std::optional<std::vector<int64_t>> ints = value->AsInts(); ints.has_value()) {
      c.SetOutputDims(0, Shape(ints->begin(), ints->end()));
    }
  }
  return absl::OkStatus();
}

absl::Status InferConstantOfShape(InferContext& c) {
  const Tensor* value = c.node().GetTensor("value");
  if (value != nullptr && value->elements() != 1) {
    return c.Error("value is ", value->TypeString(), "; expected one element");
  }
  const DType dtype = value == nullptr ? DType::kF32 : value->dtype();
  absl::StatusOr<std::optional<Shape>> shape = ShapeInput(c, 0);
  if (!shape.ok()) return shape.status();
  if (!shape->has_value()) {
    c.SetOutput(0, Type::Tensor(dtype));
    return absl::OkStatus();
  }
  for (const Dim& d : **shape) {
    if (d.is_number() && d.number() < 0) {
      return c.Error("shape ", ShapeToString(**shape), " has the negative extent ", d.number());
    }
  }
  std::optional<std::vector<int64_t>> fill =
      value == nullptr || !IsInt(dtype) ? std::nullopt : value->AsInts();
  if (fill.has_value() && (*shape)->size() <= 1) {
    const std::optional<int64_t> n = (*shape)->empty() ? 1 : (**shape)[0].AsNumber();
    if (n.has_value() && *n <= kMaxKnownElements) c.SetOutputDims(0, Shape(*n, Dim(fill->front())));
  }
  c.SetOutput(0, Type::Tensor(dtype, **shape));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Constant) {
  return Op("Constant")
      .Doc("A tensor that the program carries.")
      .Output("output", "")
      .RequiredAttr("value", AttrKind::kTensor)
      .Attr("input", int64_t{-1},
            "The place among the program's inputs, where a caller may feed another value; else -1.")
      .OptionalAttr("input_type", AttrKind::kType, "what may be fed there (default: the value's)")
      .Infer(InferConstant)
      .NotDifferentiable("it does not depend on anything")
      .Costs(ElementCost::kMove);
}

SLUICE_DECLARE_OP(ConstantOfShape) {
  return Op("ConstantOfShape")
      .Doc("A tensor of the extents `input` whose every element is `value` (default: f32 0).")
      .Input("input", "i64")
      .Output("output", "")
      .OptionalAttr("value", AttrKind::kTensor, "one element; its dtype is the output's")
      .Infer(InferConstantOfShape)
      .NotDifferentiable("it depends on the extents alone")
      .Costs(ElementCost::kMove);
}

}  // namespace sluice
