// ArgMax and ArgMin: where along an axis the extreme element stands.
#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferArg(InferContext& c) {
  const Type& x = c.InputType(0);
  const bool keep = c.Int("keepdims") != 0;
  if (!x.is_tensor() || !x.has_shape()) {
    c.SetOutput(0, Type::Tensor(DType::kI64));
    return absl::OkStatus();
  }
  absl::StatusOr<int> axis = c.Axis(c.Int("axis"), x.rank());
  if (!axis.ok()) return axis.status();
  if (x.dim(*axis) == Dim(0)) return c.Error("axis ", *axis, " has no elements to choose from");
  Shape shape = x.shape();
  if (keep) {
    shape[*axis] = 1;
  } else {
    shape.erase(shape.begin() + *axis);
  }
  c.SetOutput(0, Type::Tensor(DType::kI64, std::move(shape)));
  return absl::OkStatus();
}

Op Arg(absl::string_view name, absl::string_view doc) {
  return Op(name)
      .Doc(doc)
      .Input("data", "T")
      .Output("reduced", "i64")
      .Types("T", kNumericTypes)
      .Attr("axis", 0)
      .Attr("keepdims", 1, "keep the reduced axis with extent 1")
      .Attr("select_last_index", 0, "among equal elements the last (1) or the first (0)")
      .Infer(InferArg)
      .NotDifferentiable("indices are integers");
}

}  // namespace

SLUICE_DECLARE_OP(ArgMax) {
  return Arg("ArgMax", "The index of the largest element along `axis`.");
}
SLUICE_DECLARE_OP(ArgMin) {
  return Arg("ArgMin", "The index of the smallest element along `axis`.");
}

}  // namespace sluice
