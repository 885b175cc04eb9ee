#include "ops/gradient_util.h"
#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferTopK(InferContext& c) {
  const Type& x = c.InputType(0);
  std::optional<Shape> contents = c.InputDims(1);
  if (contents.has_value() && contents->size() != 1) {
    return c.Error("K must hold one element, not ", contents->size());
  }
  const Dim k = contents.has_value() ? (*contents)[0] : Dim::Unknown();
  if (k.is_number() && k.number() < 0) return c.Error("K is ", k.number(), "; expected >= 0");
  if (!x.is_tensor()) {
    c.SetOutput(1, Type::Tensor(DType::kI64));
    return absl::OkStatus();
  }
  if (!x.has_shape()) {
    c.SetOutput(0, Type::Tensor(x.dtype()));
    c.SetOutput(1, Type::Tensor(DType::kI64));
    return absl::OkStatus();
  }
  absl::StatusOr<int> axis = c.Axis(c.Int("axis"), x.rank());
  if (!axis.ok()) return axis.status();
  const Dim& extent = x.dim(*axis);
  if (k.is_number() && extent.is_number() && k.number() > extent.number()) {
    return c.Error("K is ", k.number(), ", but axis ", *axis, " has ", extent.number(),
                   " elements");
  }
  Shape shape = x.shape();
  shape[*axis] = k;
  if (k.is_unknown() && c.num_outputs() > 1) {
    // Both outputs have the same extent there: take the symbol that the first one got.
    const Type& known = c.node().output(0)->type();
    if (known.is_tensor() && known.has_shape() && known.rank() == x.rank()) {
      shape[*axis] = known.dim(*axis);
    }
  }
  c.SetOutput(0, Type::Tensor(x.dtype(), shape));
  c.SetOutput(1, Type::Tensor(DType::kI64, std::move(shape)));
  return absl::OkStatus();
}

absl::Status TopKGradient(GradientContext& c) {
  if (c.output_grad(0) == nullptr) return absl::OkStatus();
  GraphBuilder& b = c.builder();
  Value* zeros = FillLike(b, c.input(0), 0);
  c.SetInputGrad(0, b.Op("ScatterElements", {zeros, c.output(1), c.output_grad(0)},
                         {{"axis", c.node().Int("axis")}}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(TopK) {
  return Op("TopK")
      .Doc(
          "The K largest (or smallest) elements along `axis` and their indices; among equal ones "
          "the lower index comes first.")
      .Input("X", "T")
      .Input("K", "i64")
      .Output("Values", "T")
      .Output("Indices", "i64")
      .Types("T", kNumericTypes)
      .Attr("axis", -1)
      .Attr("largest", 1, "the largest (1) or the smallest (0)")
      .Attr("sorted", 1, "results in order; they are in any case")
      .Infer(InferTopK)
      .Gradient(TopKGradient);
}

}  // namespace sluice
