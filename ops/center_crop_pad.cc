#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferCenterCropPad(InferContext& c) {
  const Type& x = c.InputType(0);
  absl::StatusOr<std::optional<int64_t>> length = ListLength(c, 1);
  if (!length.ok()) return length.status();
  if (!x.is_tensor() || !x.has_shape()) {
    c.SetOutput(0, WithShape(x, std::nullopt));
    return absl::OkStatus();
  }
  std::vector<int64_t> axes = c.Ints("axes");
  if (!c.HasAttr("axes")) {
    for (int i = 0; i < x.rank(); ++i) axes.push_back(i);
  }
  absl::StatusOr<std::vector<int>> distinct = DistinctAxes(c, axes, x.rank());
  if (!distinct.ok()) return distinct.status();
  const Shape target = SmallInputDims(c, 1).value_or(Shape(axes.size(), Dim::Unknown()));
  if (target.size() != axes.size() ||
      (length->has_value() && **length != static_cast<int64_t>(axes.size()))) {
    return c.Error("shape has ", length->value_or(target.size()), " extents for ", axes.size(),
                   " axes");
  }
  Shape shape = x.shape();
  for (size_t i = 0; i < axes.size(); ++i) {
    if (target[i].is_number() && target[i].number() < 0) {
      return c.Error("shape[", i, "] is ", target[i].number(), "; expected 0 or more");
    }
    shape[(*distinct)[i]] = target[i];
  }
  c.SetOutput(0, WithShape(x, std::move(shape)));
  return absl::OkStatus();
}

// One Pad, whose negative pads crop: integer division rounds toward zero, so that the odd element
// is added, and cut, at the end.
absl::StatusOr<std::vector<Value*>> ExpandCenterCropPad(GraphBuilder& b, const Node& node) {
  Value* x = node.input(0);
  Value* target = node.input(1);
  if (target->type().dtype() == DType::kI32) target = b.Op("Cast", {target}, {{"to", DType::kI64}});
  Value* extents = b.Op("Shape", {x});
  Value* axes = nullptr;
  if (node.FindAttr("axes") != nullptr) {
    axes = b.Ints(node.Ints("axes"));
    extents = b.Op("Gather", {extents, axes});
  }
  Value* missing = b.Op("Sub", {target, extents});
  Value* begin = b.Op("Div", {missing, b.Ints({2})});
  Value* end = b.Op("Sub", {missing, begin});
  Value* pads = b.Op("Concat", {begin, end}, {{"axis", 0}});
  return std::vector<Value*>{b.Op("Pad", {x, pads, nullptr, axes})};
}

}  // namespace

SLUICE_DECLARE_OP(CenterCropPad) {
  return Op("CenterCropPad")
      .Doc("Crops or zero-pads both ends of `axes` evenly to the extents `shape`.")
      .Input("input_data", "T")
      .Input("shape", "Tind")
      .Output("output_data", "T")
      .Types("T", kAllTypes)
      .Types("Tind", kIndexTypes)
      .OptionalAttr("axes", AttrKind::kInts)
      .Infer(InferCenterCropPad)
      .ExpandAlways(ExpandCenterCropPad)
      .GradientPending();
}

}  // namespace sluice
