#include "ops/gradient_util.h"
#include "ops/op.h"
#include "ops/random.h"

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

// Of training_mode, where it is known; false where it is absent.
std::optional<bool> KnownMode(const Node& node) {
  const Value* mode = node.input(2);
  if (mode == nullptr) return false;
  const Tensor* known = mode->constant();
  if (known == nullptr || known->dtype() != DType::kBool || known->elements() != 1)
    return std::nullopt;
  return *static_cast<const uint8_t*>(known->raw()) != 0;
}
bool MayTrain(const Node& node) { return KnownMode(node) != false; }

// A scalar of any rank with one element, as one without axes, which broadcasts to everything.
Value* WithoutAxes(GraphBuilder& b, Value* scalar) {
  if (scalar == nullptr || (scalar->type().has_shape() && scalar->type().rank() == 0))
    return scalar;
  return b.Op("Reshape", {scalar, b.Ints({})});
}

// The probability of a zero, in f64. It is checked where the numbers are drawn.
Value* Ratio(GraphBuilder& b, const Node& node, bool check) {
  Value* ratio = WithoutAxes(b, node.input(1));
  if (ratio == nullptr) return b.Constant(Tensor::Scalar<double>(0.5));
  if (check) ratio = b.Op("CheckRange", {ratio}, {{"what", "ratio"}});
  return b.Op("Cast", {ratio}, {{"to", DType::kF64}});
}

// `x` scaled up where `mask` is set, else 0. No product with what is dropped: it may be infinite.
Value* Scaled(GraphBuilder& b, const Node& node, Value* x, Value* mask, Value* ratio) {
  const DType dtype = node.input(0)->type().dtype(), computed = DrawnType(dtype);
  Value* one = b.Constant(Tensor::Scalar<double>(1));
  Value* scale = b.Op("Div", {one, b.Op("Sub", {one, ratio})});
  if (KnownMode(node) != true) scale = b.Op("Where", {WithoutAxes(b, node.input(2)), scale, one});
  scale = b.Op("Cast", {scale}, {{"to", computed}});
  if (dtype != computed) x = b.Op("Cast", {x}, {{"to", computed}});
  Value* y = b.Op("Where", {mask, b.Op("Mul", {x, scale}), b.ScalarLike(scale, 0)});
  return dtype == computed ? y : b.Op("Cast", {y}, {{"to", dtype}});
}

absl::StatusOr<std::vector<Value*>> ExpandDropout(GraphBuilder& b, const Node& node) {
  Value* x = node.input(0);
  if (!MayTrain(node)) {
    std::vector<Value*> same = {b.Op("Identity", {x})};
    if (node.HasOutput(1)) {
      Tensor kept = *Tensor::Allocate(DType::kBool, {});
      *kept.mutable_data<bool>() = true;
      same.push_back(b.Op("Expand", {b.Constant(std::move(kept)), b.Op("Shape", {x})}));
    }
    return same;
  }
  Value* ratio = Ratio(b, node, /*check=*/true);
  Value* drawn = DrawUniform(b, node, {.like = x}, DType::kF32);
  Value* mask = b.Op("GreaterOrEqual", {drawn, b.Op("Cast", {ratio}, {{"to", DType::kF32}})});
  if (KnownMode(node) != true)
    mask = b.Op("Or", {mask, b.Op("Not", {WithoutAxes(b, node.input(2))})});
  return std::vector<Value*>{Scaled(b, node, x, mask, ratio), mask};
}

// With the very mask that was drawn: the node is made to give it.
absl::Status DropoutGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  Value* g = c.output_grad(0);
  if (g == nullptr) return absl::OkStatus();
  if (!MayTrain(c.node())) {
    c.SetInputGrad(0, g);
    return absl::OkStatus();
  }
  Value* mask = c.output(1);
  if (mask == nullptr) {
    Node* node = c.output()->producer();
    mask = node->graph()->AddNodeOutput(node);
    if (absl::Status s = InferNode(node); !s.ok()) return s;
  }
  c.SetInputGrad(0, Scaled(b, c.node(), g, mask, Ratio(b, c.node(), /*check=*/false)));
  return absl::OkStatus();
}

}  // namespace

// Passes take one that is fed no training_mode for the identity it is.
SLUICE_DECLARE_OP(Dropout) {
  return Op("Dropout")
      .Doc(
          "In training: elements set to zero with probability `ratio`, the others times "
          "1 / (1 - ratio); a ratio of 1 gives zeros. Otherwise the input itself.")
      .Input("data", "T")
      .OptionalInput("ratio", "T1")
      .OptionalInput("training_mode", "bool")
      .Output("output", "T")
      .OptionalOutput("mask", "bool")
      .Types("T", kFloatTypes)
      .Types("T1", kFloatTypes)
      .OptionalAttr("seed", AttrKind::kInt,
                    "in place of the session's; a run's numbers are still its own")
      .Draws(MayTrain)
      .Infer(InferDropout)
      .ExpandAlways(ExpandDropout)
      .Gradient(DropoutGradient);
}

}  // namespace sluice
