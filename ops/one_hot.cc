#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferOneHot(InferContext& c) {
  const Type &indices = c.InputType(0), &depth = c.InputType(1), &values = c.InputType(2);
  if (depth.has_static_shape() && *depth.Elements() != Dim(1)) {
    return c.Error("depth is ", depth.ToString(), "; expected one element");
  }
  if (values.has_static_shape() && (values.rank() != 1 || values.dim(0) != Dim(2))) {
    return c.Error("values is ", values.ToString(), "; expected [off_value, on_value]");
  }
  c.SetOutput(0, WithShape(values, std::nullopt));
  if (!indices.is_tensor() || !indices.has_shape()) return absl::OkStatus();
  absl::StatusOr<int> axis = c.Axis(c.Int("axis"), indices.rank() + 1);
  if (!axis.ok()) return axis.status();
  Dim extent = Dim::Unknown();
  if (std::optional<Shape> dims = SmallInputDims(c, 1); dims.has_value() && dims->size() == 1) {
    extent = dims->front();
    if (extent.is_number() && extent.number() < 0) {
      return c.Error("depth is ", extent.number(), "; expected 0 or more");
    }
  } else if (const Tensor* t = c.InputTensor(1);
             t != nullptr && IsFloat(t->dtype()) && t->elements() == 1) {
    const double d = t->dtype() == DType::kF64   ? *t->data<double>()
                     : t->dtype() == DType::kF32 ? *t->data<float>()
                     : t->dtype() == DType::kF16 ? static_cast<float>(*t->data<Float16>())
                                                 : static_cast<float>(*t->data<BFloat16>());
    if (!(d >= 0 && d < 0x1p62)) return c.Error("depth is ", d, "; expected a number from 0 on");
    extent = static_cast<int64_t>(d);
  }
  Shape shape = indices.shape();
  shape.insert(shape.begin() + *axis, extent);
  c.SetOutput(0, WithShape(values, std::move(shape)));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(OneHot) {
  constexpr DTypeSet kNumbers = kIntTypes | DTypeSet{DType::kF64, DType::kF32, DType::kF16};
  return Op("OneHot")
      .Doc(
          "values[1] where the index on the new axis equals `indices` (negative ones from the end "
          "of `depth`), values[0] elsewhere; an index out of range gives values[0] throughout.")
      .Input("indices", "T1")
      .Input("depth", "T2")
      .Input("values", "T3")
      .Output("output", "T3")
      .Types("T1", kNumbers)
      .Types("T2", kNumbers)
      .Types("T3", kAllTypes)
      .Attr("axis", -1)
      .Infer(InferOneHot)
      .NotDifferentiable("indices are integers; the values are picked, not computed");
}

}  // namespace sluice
