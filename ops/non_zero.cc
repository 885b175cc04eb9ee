#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferNonZero(InferContext& c) {
  const Type& x = c.InputType(0);
  const bool ranked = x.is_tensor() && x.has_shape();
  // One row an axis, also for a scalar: none (the specification differs from numpy here).
  c.SetOutput(
      0, Type::Tensor(DType::kI64, Shape{ranked ? Dim(x.rank()) : Dim::Unknown(), c.FreshDim()}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(NonZero) {
  return Op("NonZero")
      .Doc(
          "The indices of the elements that are not zero, in row-major order: one row an axis, one "
          "column an element.")
      .Input("X", "T")
      .Output("Y", "i64")
      .Types("T", kAllTypes)
      .Infer(InferNonZero)
      .NotDifferentiable("indices are integers");
}

}  // namespace sluice
