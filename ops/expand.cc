// Expand and Tile: copies along axes.
#include "absl/strings/str_join.h"
#include "ops/movement_gradient.h"
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

// `times` copies of [contents] where both are small; what SetOutputDims() takes.
void ForwardRepeated(InferContext& c, const Shape& shape) {
  std::optional<Shape> contents = SmallInputDims(c, 0);
  if (!contents.has_value() || shape.size() > 1) return;
  const int64_t n = shape.empty() ? 1 : shape[0].is_number() ? shape[0].number() : -1;
  if (n < 0 || n > kMaxKnownElements || (contents->empty() && n > 0)) return;
  Shape repeated;
  for (int64_t i = 0; i < n; ++i) repeated.push_back((*contents)[i % contents->size()]);
  c.SetOutputDims(0, std::move(repeated));
}

absl::Status InferExpand(InferContext& c) {
  const Type& input = c.InputType(0);
  absl::StatusOr<std::optional<Shape>> wanted = ShapeInput(c, 1);
  if (!wanted.ok()) return wanted.status();
  if (!wanted->has_value() || !input.is_tensor() || !input.has_shape()) {
    c.SetOutput(0, WithShape(input, std::nullopt));
    return absl::OkStatus();
  }
  for (const Dim& d : **wanted) {
    if (d.is_number() && d.number() < 0) {
      return c.Error("shape ", ShapeToString(**wanted), " has the negative extent ", d.number());
    }
  }
  absl::StatusOr<Shape> shape =
      BroadcastShapes(input.shape(), **wanted, [&c] { return c.FreshDim(); });
  if (!shape.ok()) return c.Error(shape.status().message());
  ForwardRepeated(c, *shape);
  c.SetOutput(0, WithShape(input, *std::move(shape)));
  return absl::OkStatus();
}

absl::Status ExpandGradient(GradientContext& c) {
  c.SetBroadcastInputGrad(0, c.output_grad());
  return absl::OkStatus();
}

absl::Status InferTile(InferContext& c) {
  const Type& input = c.InputType(0);
  absl::StatusOr<std::optional<Shape>> repeats = ShapeInput(c, 1);
  if (!repeats.ok()) return repeats.status();
  if (!input.is_tensor() || !input.has_shape()) {
    c.SetOutput(0, WithShape(input, repeats->has_value() ? std::optional<Shape>(Shape(
                                                               (*repeats)->size(), Dim::Unknown()))
                                                         : std::nullopt));
    return absl::OkStatus();
  }
  Shape shape(input.rank(), Dim::Unknown());
  if (repeats->has_value()) {
    if ((*repeats)->size() != shape.size()) {
      return c.Error((*repeats)->size(), " repeats for ", input.ToString(),
                     "; expected one an axis");
    }
    for (size_t i = 0; i < shape.size(); ++i) {
      const Dim& r = (**repeats)[i];
      if (r.is_number() && r.number() < 0) {
        return c.Error("repeats[", i, "] is ", r.number(), "; expected 0 or more");
      }
      shape[i] = input.dim(static_cast<int>(i)) * r;
      if (input.dim(static_cast<int>(i)).is_number() && r.is_number() && shape[i].is_unknown()) {
        return c.Error("extent ", input.dim(static_cast<int>(i)).number(), " times ", r.number(),
                       " overflows");
      }
    }
  }
  ForwardRepeated(c, shape);
  c.SetOutput(0, WithShape(input, std::move(shape)));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Expand) {
  return Op("Expand")
      .Doc(
          "Broadcasts to `shape`, by numpy's rule both ways: an extent of 1 in `shape` keeps the "
          "input's.")
      .Input("input", "T")
      .Input("shape", "i64")
      .WithRole(InputRole::kExtents)
      .Output("output", "T")
      .Types("T", kAllTypes)
      .Infer(InferExpand)
      .Gradient(ExpandGradient)
      .Costs(ElementCost::kMove);
}

SLUICE_DECLARE_OP(Tile) {
  return Op("Tile")
      .Doc("repeats[i] copies of the input one after the other along each axis i.")
      .Input("input", "T")
      .Input("repeats", "i64")
      .Output("output", "T")
      .Types("T", kAllTypes)
      .Infer(InferTile)
      .Gradient(MovementGradient)
      .Costs(ElementCost::kMove);
}

}  // namespace sluice
