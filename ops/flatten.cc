#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferFlatten(InferContext& c) {
  const Type& data = c.InputType(0);
  if (!data.is_tensor() || !data.has_shape()) {
    c.SetOutput(0, WithShape(data, Shape(2, Dim::Unknown())));
    return absl::OkStatus();
  }
  const int64_t rank = data.rank(), given = c.Int("axis");
  if (given < -rank || given > rank) {
    return c.Error("axis ", given, " is out of range for ", data.ToString(), "; expected ", -rank,
                   " to ", rank);
  }
  const int64_t axis = given < 0 ? given + rank : given;
  Dim outer = 1, inner = 1;
  for (int64_t i = 0; i < rank; ++i) {
    Dim& side = i < axis ? outer : inner;
    side = side * data.dim(static_cast<int>(i));
  }
  c.SetOutput(0, WithShape(data, Shape{outer, inner}));
  return absl::OkStatus();
}

absl::Status FlattenGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  c.SetInputGrad(
      0, b.Op("Reshape", {c.output_grad(), b.Op("Shape", {c.input(0)})}, {{"allowzero", 1}}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Flatten) {
  return Op("Flatten")
      .Doc("A matrix: the extents before `axis` multiplied, and those from it on.")
      .Input("input", "T")
      .Output("output", "T")
      .Types("T", kAllTypes)
      .Attr("axis", 1)
      .Infer(InferFlatten)
      .Gradient(FlattenGradient)
      .RowWise()
      .Costs(ElementCost::kMove)
      .InLoops(LoopRole::kView);
}

}  // namespace sluice
