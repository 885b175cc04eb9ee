#include "ops/movement_gradient.h"
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferPad(InferContext& c) {
  if (absl::Status s = CheckChoice(c, "mode", {"constant", "reflect", "edge", "wrap"}); !s.ok()) {
    return s;
  }
  const Type& data = c.InputType(0);
  if (!data.is_tensor() || !data.has_shape()) {
    c.SetOutput(0, WithShape(data, std::nullopt));
    return absl::OkStatus();
  }
  const Type& value = c.InputType(2);
  if (value.has_static_shape() && *value.Elements() != Dim(1)) {
    return c.Error("constant_value is ", value.ToString(), "; expected one element");
  }
  absl::StatusOr<std::optional<int64_t>> length = ListLength(c, 1);
  if (!length.ok()) return length.status();
  std::optional<std::vector<int64_t>> axes;
  if (c.HasInput(3)) {
    axes = c.InputInts(3);
  } else {
    axes.emplace();
    for (int i = 0; i < data.rank(); ++i) axes->push_back(i);
  }
  std::optional<Shape> pads = SmallInputDims(c, 1);
  if (!axes.has_value() || (!pads.has_value() && !length->has_value())) {
    c.SetOutput(0, WithShape(data, Shape(data.rank(), Dim::Unknown())));
    return absl::OkStatus();
  }
  const size_t n = axes->size();
  if (!pads.has_value()) {
    if (**length > 2 * kMaxKnownElements) return c.Error(**length, " pads are too many");
    pads = Shape(**length, Dim::Unknown());
  }
  if (pads->size() != 2 * n) {
    return c.Error("pads has ", pads->size(), " elements; expected a begin and an end for each of ",
                   n, " axes");
  }
  absl::StatusOr<std::vector<int>> distinct = DistinctAxes(c, *axes, data.rank());
  if (!distinct.ok()) return distinct.status();
  Shape shape = data.shape();
  for (size_t i = 0; i < n; ++i) {
    Dim& extent = shape[(*distinct)[i]];
    const bool numbers = extent.is_number() && (*pads)[i].is_number() && (*pads)[n + i].is_number();
    const Dim padded = extent + (*pads)[i] + (*pads)[n + i];
    if (numbers && (padded.is_unknown() || padded.number() < 0)) {
      return c.Error("pads ", (*pads)[i].ToString(), " and ", (*pads)[n + i].ToString(),
                     " do not fit extent ", extent.number(), " of axis ", (*distinct)[i]);
    }
    extent = padded;
  }
  c.SetOutput(0, WithShape(data, std::move(shape)));
  return absl::OkStatus();
}

// The constant's margins are cut off again; a cut is padded with zeros.
absl::Status PadGradient(GradientContext& c) {
  if (c.node().String("mode") != "constant") return MovementGradient(c);
  GraphBuilder& b = c.builder();
  Value* dx = b.Op("Pad", {c.output_grad(), b.Op("Neg", {c.input(1)}), nullptr, c.input(3)});
  c.SetInputGrad(0, dx);
  if (c.input(2) == nullptr) return absl::OkStatus();
  const AttrList scalar = {{"keepdims", 0}};
  Value* margin =
      b.Op("Sub", {b.Op("ReduceSum", {c.output_grad()}, scalar), b.Op("ReduceSum", {dx}, scalar)});
  c.SetInputGrad(2, b.Op("Reshape", {margin, b.Op("Shape", {c.input(2)})}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Pad) {
  return Op("Pad")
      .Doc(
          "Adds (or, negative, removes) elements before and after each axis: a constant, the "
          "mirrored data, its edge, or its other end.")
      .Input("data", "T")
      .Input("pads", "i64")
      .WithRole(InputRole::kPerAxis)
      .OptionalInput("constant_value", "T")
      .OptionalInput("axes", "Tind")
      .WithRole(InputRole::kAxes)
      .Output("output", "T")
      .Types("T", kAllTypes)
      .Types("Tind", kIndexTypes)
      .Attr("mode", "constant", "constant, reflect, edge or wrap")
      .Infer(InferPad)
      .Gradient(PadGradient)
      .Costs(ElementCost::kMove)
      .InAnyAxisOrder(AnyAxisOrder::kFirstInput);
}

}  // namespace sluice
