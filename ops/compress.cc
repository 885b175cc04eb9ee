#include <algorithm>

#include "ops/movement_gradient.h"
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferCompress(InferContext& c) {
  const Type& x = c.InputType(0);
  absl::StatusOr<std::optional<int64_t>> length = ListLength(c, 1);
  if (!length.ok()) return length.status();
  const bool flat = !c.HasAttr("axis");
  if (!flat && (!x.is_tensor() || !x.has_shape())) {
    c.SetOutput(0, WithShape(x, std::nullopt));
    return absl::OkStatus();
  }
  Shape shape{c.FreshDim()};
  std::optional<Dim> extent;
  int axis = 0;
  if (flat) {
    extent = x.is_tensor() ? x.Elements() : std::nullopt;
  } else {
    absl::StatusOr<int> a = c.Axis(c.Int("axis"), x.rank());
    if (!a.ok()) return a.status();
    axis = *a;
    extent = x.dim(axis);
    shape = x.shape();
    shape[axis] = c.FreshDim();
  }
  const Tensor* condition = c.InputTensor(1);
  if (condition != nullptr && extent.has_value() && extent->is_number()) {
    const int64_t n = std::min(condition->elements(), extent->number());
    const uint8_t* taken = static_cast<const uint8_t*>(condition->raw());
    shape[axis] = std::count_if(taken, taken + n, [](uint8_t b) { return b != 0; });
  }
  c.SetOutput(0, WithShape(x, std::move(shape)));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Compress) {
  return Op("Compress")
      .Doc(
          "The slices along `axis` (the elements of the flattened input without it) where "
          "`condition` is true; past its end it counts as false.")
      .Input("input", "T")
      .Input("condition", "bool")
      .Output("output", "T")
      .Types("T", kAllTypes)
      .OptionalAttr("axis", AttrKind::kInt)
      .Infer(InferCompress)
      .Gradient(MovementGradient)
      .Costs(ElementCost::kMove);
}

}  // namespace sluice
