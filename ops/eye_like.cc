#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

constexpr DTypeSet kEyeTypes = kNumericTypes | kBoolType;

absl::Status InferEyeLike(InferContext& c) {
  const Type& x = c.InputType(0);
  const DType dtype = c.HasAttr("dtype") ? c.GetDType("dtype")
                      : x.is_tensor()    ? x.dtype()
                                         : DType::kInvalid;
  if (dtype == DType::kInvalid) return absl::OkStatus();
  if (!kEyeTypes.Contains(dtype)) {
    return c.Error("dtype is ", ToString(dtype), "; expected one of ", kEyeTypes.ToString());
  }
  if (!x.is_tensor() || !x.has_shape()) {
    c.SetOutput(0, Type::Tensor(dtype, Shape(2, Dim::Unknown())));
    return absl::OkStatus();
  }
  if (x.rank() != 2) return c.Error("the input is ", x.ToString(), "; expected a matrix");
  c.SetOutput(0, Type::Tensor(dtype, x.shape()));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(EyeLike) {
  return Op("EyeLike")
      .Doc("A matrix of the input's extents with ones on the diagonal `k`, zeros elsewhere.")
      .Input("input", "T1")
      .Output("output", "")
      .Types("T1", kEyeTypes)
      .OptionalAttr("dtype", AttrKind::kDType, "of the output; absent: the input's")
      .Attr("k", 0, "above the main diagonal where positive")
      .Infer(InferEyeLike)
      .NotDifferentiable("it depends on the extents alone");
}

}  // namespace sluice
