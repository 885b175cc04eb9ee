// Squeeze and Unsqueeze: extents of 1 out and in.
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferSqueeze(InferContext& c) {
  const Type& data = c.InputType(0);
  if (!data.is_tensor() || !data.has_shape()) {
    c.SetOutput(0, WithShape(data, std::nullopt));
    return absl::OkStatus();
  }
  std::vector<bool> drop(data.rank());
  if (c.HasInput(1)) {
    absl::StatusOr<std::optional<int64_t>> length = ListLength(c, 1);
    if (!length.ok()) return length.status();
    std::optional<std::vector<int64_t>> axes = c.InputInts(1);
    if (!axes.has_value()) {
      std::optional<Shape> shape;
      if (length->has_value()) {
        if (**length > data.rank()) return c.Error(**length, " axes for ", data.ToString());
        shape = Shape(data.rank() - **length, Dim::Unknown());
      }
      c.SetOutput(0, WithShape(data, std::move(shape)));
      return absl::OkStatus();
    }
    absl::StatusOr<std::vector<int>> distinct = DistinctAxes(c, *axes, data.rank());
    if (!distinct.ok()) return distinct.status();
    for (int axis : *distinct) {
      if (data.dim(axis).is_number() && data.dim(axis).number() != 1) {
        return c.Error("axis ", axis, " of ", data.ToString(), " has extent ",
                       data.dim(axis).number(), "; only an extent of 1 can be squeezed");
      }
      drop[axis] = true;
    }
  } else {
    for (int i = 0; i < data.rank(); ++i) {
      if (!data.dim(i).is_number()) {  // it may be 1 at run time, so the rank is open
        c.SetOutput(0, WithShape(data, std::nullopt));
        return absl::OkStatus();
      }
      drop[i] = data.dim(i).number() == 1;
    }
  }
  Shape shape;
  for (int i = 0; i < data.rank(); ++i) {
    if (!drop[i]) shape.push_back(data.dim(i));
  }
  c.SetOutput(0, WithShape(data, std::move(shape)));
  ForwardDims(c);
  return absl::OkStatus();
}

absl::Status InferUnsqueeze(InferContext& c) {
  const Type& data = c.InputType(0);
  absl::StatusOr<std::optional<int64_t>> length = ListLength(c, 1);
  if (!length.ok()) return length.status();
  std::optional<std::vector<int64_t>> axes = c.InputInts(1);
  if (axes.has_value()) *length = static_cast<int64_t>(axes->size());
  if (!data.is_tensor() || !data.has_shape() || !length->has_value()) {
    c.SetOutput(0, WithShape(data, std::nullopt));
    return absl::OkStatus();
  }
  if (**length > kMaxKnownElements) return c.Error(**length, " axes are too many");
  const int rank = data.rank() + static_cast<int>(**length);
  if (!axes.has_value()) {
    c.SetOutput(0, WithShape(data, Shape(rank, Dim::Unknown())));
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<int>> distinct = DistinctAxes(c, *axes, rank);
  if (!distinct.ok()) return distinct.status();
  std::vector<bool> fresh(rank);
  for (int axis : *distinct) fresh[axis] = true;
  Shape shape;
  for (int i = 0, from = 0; i < rank; ++i) shape.push_back(fresh[i] ? Dim(1) : data.dim(from++));
  if (rank <= 1) ForwardDims(c);
  c.SetOutput(0, WithShape(data, std::move(shape)));
  return absl::OkStatus();
}

// Both only rename extents: the gradient has the input's shape again.
absl::Status ToInputShape(GradientContext& c) {
  GraphBuilder& b = c.builder();
  c.SetInputGrad(
      0, b.Op("Reshape", {c.output_grad(), b.Op("Shape", {c.input(0)})}, {{"allowzero", 1}}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Squeeze) {
  return Op("Squeeze")
      .Doc("Drops the extents of 1 at `axes`; all of them without `axes`.")
      .Input("data", "T")
      .OptionalInput("axes", "i64")
      .WithRole(InputRole::kAxes)
      .Output("squeezed", "T")
      .Types("T", kAllTypes)
      .Infer(InferSqueeze)
      .Gradient(ToInputShape)
      .RowWise()
      .Costs(ElementCost::kMove)
      .InLoops(LoopRole::kView);
}

SLUICE_DECLARE_OP(Unsqueeze) {
  return Op("Unsqueeze")
      .Doc("Puts extents of 1 so that they stand at `axes` of the result.")
      .Input("data", "T")
      .Input("axes", "i64")
      .WithRole(InputRole::kAxes)
      .Output("expanded", "T")
      .Types("T", kAllTypes)
      .Infer(InferUnsqueeze)
      .Gradient(ToInputShape)
      .RowWise()
      .Costs(ElementCost::kMove)
      .InLoops(LoopRole::kView);
}

}  // namespace sluice
