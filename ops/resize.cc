#include "ops/resize.h"

#include <algorithm>

#include "ops/movement_gradient.h"
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

// floor(extent * scale) of a symbolic extent where the scale is a short binary fraction.
Dim ScaledDim(const Dim& extent, float scale) {
  if (extent.is_unknown()) return extent;
  int64_t denominator = 1;
  while (scale != std::floor(scale) && denominator < 256) {
    scale *= 2;
    denominator *= 2;
  }
  if (scale != std::floor(scale) || !(scale < 0x1p31f)) return Dim::Unknown();
  const Dim scaled = extent * Dim(static_cast<int64_t>(scale));
  return denominator == 1 ? scaled : FloorDiv(scaled, Dim(denominator));
}

// An input that is given and not the empty list by which older exporters said "not given".
bool Given(const InferContext& c, size_t i) {
  const Type& t = c.InputType(i);
  return c.HasInput(i) && !(t.is_tensor() && t.has_shape() && t.rank() == 1 && t.dim(0) == Dim(0));
}

absl::Status CheckAttrs(const InferContext& c) {
  if (absl::Status s = CheckChoice(c, "mode", {"nearest", "linear", "cubic"}); !s.ok()) return s;
  if (absl::Status s = CheckChoice(c, "coordinate_transformation_mode",
                                   {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
                                    "align_corners", "asymmetric", "tf_crop_and_resize"});
      !s.ok()) {
    return s;
  }
  if (absl::Status s = CheckChoice(c, "nearest_mode",
                                   {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"});
      !s.ok()) {
    return s;
  }
  return CheckChoice(c, "keep_aspect_ratio_policy", {"stretch", "not_larger", "not_smaller"});
}

absl::Status ApplyScales(const InferContext& c, const std::vector<int>& axes, Shape* shape) {
  const Tensor* scales = c.InputTensor(2);
  for (size_t i = 0; i < axes.size(); ++i) {
    Dim& extent = (*shape)[axes[i]];
    if (scales == nullptr) {
      extent = Dim::Unknown();
      continue;
    }
    const float scale = scales->data<float>()[i];
    if (!(scale > 0) || !std::isfinite(scale)) {
      return c.Error("scales[", i, "] is ", scale, "; expected a number above 0");
    }
    if (!extent.is_number()) {
      extent = ScaledDim(extent, scale);
      continue;
    }
    const std::optional<int64_t> scaled = ScaledExtent(extent.number(), scale);
    if (!scaled.has_value()) {
      return c.Error("extent ", extent.number(), " times ", scale, " is too large");
    }
    extent = *scaled;
  }
  return absl::OkStatus();
}

absl::Status ApplySizes(const InferContext& c, const std::vector<int>& axes, Shape* shape) {
  const Shape sizes = SmallInputDims(c, 3).value_or(Shape(axes.size(), Dim::Unknown()));
  const std::string policy = c.String("keep_aspect_ratio_policy");
  for (const Dim& s : sizes) {
    if (s.is_number() && s.number() < 0) return c.Error("a size is ", s.number());
  }
  if (policy == "stretch") {
    for (size_t i = 0; i < axes.size(); ++i) (*shape)[axes[i]] = sizes[i];
    return absl::OkStatus();
  }
  std::optional<double> scale;
  bool known = true;
  for (size_t i = 0; i < axes.size(); ++i) {
    const Dim& extent = (*shape)[axes[i]];
    known &= sizes[i].is_number() && extent.is_number() && extent.number() > 0;
    if (!known) break;
    const double s = static_cast<double>(sizes[i].number()) / static_cast<double>(extent.number());
    scale = !scale.has_value()       ? s
            : policy == "not_larger" ? std::min(*scale, s)
                                     : std::max(*scale, s);
  }
  for (int axis : axes) {
    Dim& extent = (*shape)[axis];
    if (!known) {
      extent = Dim::Unknown();
      continue;
    }
    const std::optional<int64_t> scaled = RoundedExtent(extent.number(), *scale);
    if (!scaled.has_value())
      return c.Error("extent ", extent.number(), " times ", *scale, " is too large");
    extent = *scaled;
  }
  return absl::OkStatus();
}

absl::Status InferResize(InferContext& c) {
  if (absl::Status s = CheckAttrs(c); !s.ok()) return s;
  const bool by_scales = Given(c, 2), by_sizes = Given(c, 3);
  if (by_scales == by_sizes) {
    return c.Error(by_scales ? "both scales and sizes are given"
                             : "neither scales nor sizes given");
  }
  const Type& x = c.InputType(0);
  if (x.is_tensor() && x.dtype() == DType::kString && c.String("mode") != "nearest") {
    return c.Error("strings are resized by mode nearest alone");
  }
  if (!x.is_tensor() || !x.has_shape()) {
    c.SetOutput(0, WithShape(x, std::nullopt));
    return absl::OkStatus();
  }
  std::vector<int64_t> given = c.Ints("axes");
  if (!c.HasAttr("axes")) {
    for (int i = 0; i < x.rank(); ++i) given.push_back(i);
  }
  absl::StatusOr<std::vector<int>> axes = DistinctAxes(c, given, x.rank());
  if (!axes.ok()) return axes.status();
  const size_t input = by_scales ? 2 : 3;
  absl::StatusOr<std::optional<int64_t>> length = ListLength(c, input);
  if (!length.ok()) return length.status();
  if (std::optional<Shape> dims = SmallInputDims(c, input))
    *length = static_cast<int64_t>(dims->size());
  if (length->has_value() && **length != static_cast<int64_t>(axes->size())) {
    return c.Error(by_scales ? "scales" : "sizes", " has ", **length, " elements for ",
                   axes->size(), " axes");
  }
  Shape shape = x.shape();
  absl::Status s = by_scales ? ApplyScales(c, *axes, &shape) : ApplySizes(c, *axes, &shape);
  if (!s.ok()) return s;
  c.SetOutput(0, WithShape(x, std::move(shape)));
  return absl::OkStatus();
}

absl::Status ResizeGradient(GradientContext& c) {
  if (c.node().String("mode") != "nearest" ||
      c.node().String("coordinate_transformation_mode") == "tf_crop_and_resize") {
    return absl::UnimplementedError("only mode nearest, without cropping, has a gradient so far");
  }
  return MovementGradient(c);
}

// Images are neither mixed nor cropped: axis 0 is left out, or its scale is 1.
bool KeepsFirstAxis(const Node& node) {
  if (node.String("coordinate_transformation_mode") == "tf_crop_and_resize") return false;
  const Type& x = node.input(0)->type();
  if (const Attribute* axes = node.FindAttr("axes"); axes != nullptr) {
    for (int64_t axis : axes->as_ints()) {
      if (!x.is_tensor() || !x.has_shape() || axis == 0 || axis == -x.rank()) return false;
    }
    return true;
  }
  const Tensor* scales = node.input(2) == nullptr ? nullptr : node.input(2)->constant();
  if (scales != nullptr && scales->elements() > 0) return scales->data<float>()[0] == 1;
  return node.input(3) != nullptr && node.String("keep_aspect_ratio_policy") == "stretch";
}

}  // namespace

SLUICE_DECLARE_OP(Resize) {
  return Op("Resize")
      .Doc("Samples the input at other extents: by `scales` or to `sizes`, along `axes`.")
      .Input("X", "T1")
      .OptionalInput("roi", "T2")
      .WithRole(InputRole::kPerAxis)
      .OptionalInput("scales", "f32")
      .WithRole(InputRole::kPerAxis)
      .OptionalInput("sizes", "i64")
      .WithRole(InputRole::kExtents)
      .Output("Y", "T1")
      .Types("T1", kAllTypes)
      .Types("T2", {DType::kF64, DType::kF32, DType::kF16})
      .Attr("antialias", 0, "widen the linear and cubic filters when downsampling")
      .OptionalAttr("axes", AttrKind::kInts, "that roi, scales and sizes speak of; absent: all")
      .Attr("coordinate_transformation_mode", "half_pixel",
            "half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners, asymmetric or "
            "tf_crop_and_resize")
      .Attr("cubic_coeff_a", -0.75f)
      .Attr("exclude_outside", 0, "weights outside the input count as 0")
      .Attr("extrapolation_value", 0.0f, "outside the input, under tf_crop_and_resize")
      .Attr("keep_aspect_ratio_policy", "stretch", "stretch, not_larger or not_smaller")
      .Attr("mode", "nearest", "nearest, linear or cubic")
      .Attr("nearest_mode", "round_prefer_floor",
            "round_prefer_floor, round_prefer_ceil, floor or ceil")
      .Infer(InferResize)
      .Gradient(ResizeGradient)
      .RowWise(KeepsFirstAxis)
      .InAnyAxisOrder(AnyAxisOrder::kFirstInput);
}

}  // namespace sluice
