// Shape and Size: extents as data.
#include <algorithm>

#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferShape(InferContext& c) {
  const Type& data = c.InputType(0);
  if (!data.is_tensor() || !data.has_shape()) {
    c.SetOutput(0, Type::Tensor(DType::kI64, Shape{Dim::Unknown()}));
    return absl::OkStatus();
  }
  const int64_t rank = data.rank();
  auto clamp = [rank](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank); };
  const int64_t start = clamp(c.Int("start"));
  const int64_t end = std::max(start, c.HasAttr("end") ? clamp(c.Int("end")) : rank);
  c.SetOutput(0, Type::Tensor(DType::kI64, Shape{Dim(end - start)}));
  c.SetOutputDims(0, Shape(data.shape().begin() + start, data.shape().begin() + end));
  return absl::OkStatus();
}

absl::Status InferSize(InferContext& c) {
  const Type& data = c.InputType(0);
  c.SetOutput(0, Type::Tensor(DType::kI64, Shape{}));
  if (data.is_tensor() && data.has_shape()) {
    Dim product = 1;
    for (const Dim& d : data.shape()) product = product * d;
    c.SetOutputDims(0, Shape{product});
  }
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Shape) {
  return Op("Shape")
      .Doc("The extents from axis `start` up to `end`, clamped to the rank.")
      .Input("data", "T")
      .Output("shape", "i64")
      .Types("T", kAllTypes)
      .Attr("start", 0)
      .OptionalAttr("end", AttrKind::kInt, "exclusive; absent: the rank")
      .Infer(InferShape)
      .NotDifferentiable("extents are integers")
      .Costs(ElementCost::kMove);
}

SLUICE_DECLARE_OP(Size) {
  return Op("Size")
      .Doc("The number of elements.")
      .Input("data", "T")
      .Output("size", "i64")
      .Types("T", kAllTypes)
      .Infer(InferSize)
      .NotDifferentiable("an element count is an integer")
      .Costs(ElementCost::kMove);
}

}  // namespace sluice
