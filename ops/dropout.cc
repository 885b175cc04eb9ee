#include "ops/gradient_util.h"
#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferDropout(InferContext& c) {
  const Type& x = c.InputType(0);
  static constexpr const char* kNames[] = {"data", "ratio", "training_mode"};
  for (size_t i = 1; i < 3; ++i) {
    std::optional<Dim> elements =
        c.InputType(i).is_tensor() ? c.InputType(i).Elements() : std::nullopt;
    if (elements.has_value() && ProvablyDifferent(*elements, 1)) {
      return c.Error(kNames[i], " must be a scalar, not ", c.InputType(i).ToString());
    }
  }
  c.SetOutput(0, x);
  if (x.is_tensor()) {
    c.SetOutput(1,
                x.has_shape() ? Type::Tensor(DType::kBool, x.shape()) : Type::Tensor(DType::kBool));
  }
  return absl::OkStatus();
}

absl::Status DropoutGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  Value* g = c.output_grad(0);
  if (g == nullptr) return absl::OkStatus();
  const Tensor* mode = c.input(2) == nullptr ? nullptr : c.input(2)->constant();
  if (c.input(2) == nullptr ||
      (mode != nullptr && mode->elements() == 1 && *mode->data<uint8_t>() == 0)) {
    c.SetInputGrad(0, g);
    return absl::OkStatus();
  }
  if (!c.node().HasOutput(1)) {
    return absl::UnimplementedError(
        "its gradient needs the mask that was drawn: ask for the second output, `mask`, as well");
  }
  Value* ratio = c.input(1) == nullptr ? b.ScalarLike(g, 0.5)
                                       : b.Op("Cast", {c.input(1)}, {{"to", g->type().dtype()}});
  Value* one = b.ScalarLike(g, 1);
  Value* scale = b.Op("Where", {c.input(2), b.Op("Div", {one, b.Op("Sub", {one, ratio})}), one});
  Value* mask = b.Op("Cast", {c.output(1)}, {{"to", g->type().dtype()}});
  c.SetInputGrad(0, b.Op("Mul", {g, b.Op("Mul", {mask, scale})}));
  return absl::OkStatus();
}

// Unless it is known that it is not.
bool InTraining(const Node& node) {
  const Value* mode = node.input(2);
  if (mode == nullptr) return false;
  const Tensor* known = mode->constant();
  return known == nullptr || known->dtype() != DType::kBool || known->elements() != 1 ||
         *static_cast<const uint8_t*>(known->raw()) != 0;
}

}  // namespace

// Passes take one that is fed no training_mode for the identity it is.
SLUICE_DECLARE_OP(Dropout) {
  return Op("Dropout")
      .Doc(
          "In training: elements set to zero with probability `ratio`, the others times "
          "1 / (1 - ratio). Otherwise the input itself.")
      .Input("data", "T")
      .OptionalInput("ratio", "T1")
      .OptionalInput("training_mode", "bool")
      .Output("output", "T")
      .OptionalOutput("mask", "bool")
      .Types("T", kFloatTypes)
      .Types("T1", kFloatTypes)
      .OptionalAttr("seed", AttrKind::kInt, "of the random numbers; absent: each run draws afresh")
      .Draws(InTraining)
      .Infer(InferDropout)
      .Gradient(DropoutGradient);
}

}  // namespace sluice
