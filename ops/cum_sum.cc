#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferCumSum(InferContext& c) {
  const Type& x = c.InputType(0);
  const Type& axis = c.InputType(1);
  if (axis.is_tensor() && axis.has_shape() && axis.rank() > 1) {
    return c.Error("axis must be a scalar, not ", axis.ToString());
  }
  std::optional<std::vector<int64_t>> value = c.InputInts(1);
  if (value.has_value() && value->size() != 1) {
    return c.Error("axis must be one number, not ", value->size());
  }
  if (value.has_value() && x.is_tensor() && x.has_shape()) {
    if (absl::StatusOr<int> a = c.Axis((*value)[0], x.rank()); !a.ok()) return a.status();
  }
  c.SetOutput(0, x);
  return absl::OkStatus();
}

// Each element counts in all that come after it: the sum runs the other way.
absl::Status CumSumGradient(GradientContext& c) {
  const Node& node = c.node();
  c.SetInputGrad(0, c.builder().Op("CumSum", {c.output_grad(), c.input(1)},
                                   {{"exclusive", node.Int("exclusive")},
                                    {"reverse", int64_t{node.Int("reverse") == 0}}}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(CumSum) {
  return Op("CumSum")
      .Doc("Running sums along `axis`.")
      .Input("x", "T")
      .Input("axis", "I")
      .Output("y", "T")
      .Types("T", kFloatTypes | DTypeSet{DType::kI64, DType::kI32, DType::kU64, DType::kU32})
      .Types("I", kIndexTypes)
      .Attr("exclusive", 0, "leave the element itself out")
      .Attr("reverse", 0, "from the end")
      .Infer(InferCumSum)
      .Gradient(CumSumGradient);
}

}  // namespace sluice
