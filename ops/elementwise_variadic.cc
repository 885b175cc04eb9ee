// Ops over any number of broadcast tensors, and those with more than two operands: Max, Min, Sum,
// Mean, Where, Clip.
#include "ops/elementwise_util.h"

namespace sluice {
namespace {

Op Variadic(absl::string_view name, absl::string_view doc, absl::string_view input,
            absl::string_view output, DTypeSet types) {
  return Op(name)
      .Doc(doc)
      .VariadicInput(input, "T")
      .Output(output, "T")
      .Types("T", types)
      .Infer(BroadcastInfer)
      .Elementwise()
      .Commutative();
}

// The contents of integers follow for one or two inputs.
template <DimFn kOp>
absl::Status InferExtreme(InferContext& c) {
  if (absl::Status s = BroadcastInfer(c); !s.ok()) return s;
  if (!IsInt(InputDType(c, 0)) || c.num_inputs() > 2) return absl::OkStatus();
  std::optional<Shape> dims = c.num_inputs() == 1 ? SmallInputDims(c, 0) : CombineKnownDims(c, kOp);
  if (dims.has_value()) c.SetOutputDims(0, *std::move(dims));
  return absl::OkStatus();
}

// To the inputs that are equal to the result, in equal shares.
absl::Status ExtremeGradient(GradientContext& g) {
  GraphBuilder& b = g.builder();
  Value* dy = g.output_grad();
  const size_t n = g.node().num_inputs();
  if (n == 1) {
    g.SetInputGrad(0, dy);
    return absl::OkStatus();
  }
  Value* one = b.ScalarLike(dy, 1);
  Value* zero = b.ScalarLike(dy, 0);
  std::vector<Value*> hits;
  Value* count = nullptr;
  for (size_t i = 0; i < n; ++i) {
    hits.push_back(b.Op("Where", {b.Op("Equal", {g.input(i), g.output()}), one, zero}));
    count = count == nullptr ? hits[i] : b.Op("Add", {count, hits[i]});
  }
  Value* share = b.Op("Div", {dy, count});
  for (size_t i = 0; i < n; ++i) g.SetBroadcastInputGrad(i, b.Op("Mul", {share, hits[i]}));
  return b.status();
}

absl::Status InferWhere(InferContext& c) {
  absl::StatusOr<std::optional<Shape>> shape = BroadcastInputShapes(c);
  if (!shape.ok()) return shape.status();
  const DType dtype = InputDType(c, 1) != DType::kInvalid ? InputDType(c, 1) : InputDType(c, 2);
  c.SetOutput(0, TensorType(dtype, *shape));
  if (!shape->has_value() || (*shape)->size() > 1) return absl::OkStatus();
  std::optional<Shape> condition = SmallInputDims(c, 0);
  std::optional<Shape> x = SmallInputDims(c, 1), y = SmallInputDims(c, 2);
  if (!x.has_value() || !y.has_value()) return absl::OkStatus();
  if (!condition.has_value()) condition = Shape{Dim::Unknown()};
  size_t n = 1;
  for (const auto* part : {&condition, &x, &y}) {
    if ((*part)->size() != 1) n = (*part)->size();
  }
  auto at = [n](const Shape& s, size_t i) { return s.size() == n ? s[i] : s[0]; };
  // Without the condition's contents its length must come from its type.
  const Dim* length = (*shape)->empty() ? nullptr : &(**shape)[0];
  if (length != nullptr && *length != Dim(static_cast<int64_t>(n))) return absl::OkStatus();
  Shape result;
  for (size_t i = 0; i < n; ++i) {
    const Dim which = at(*condition, i), p = at(*x, i), q = at(*y, i);
    if (which.is_number()) {
      result.push_back(which.number() != 0 ? p : q);
    } else {
      result.push_back(p == q ? p : Dim::Unknown());
    }
  }
  c.SetOutputDims(0, std::move(result));
  return absl::OkStatus();
}

absl::Status InferClip(InferContext& c) {
  for (size_t i : {1, 2}) {
    if (!c.HasInput(i)) continue;
    const std::optional<Shape> shape = InputShape(c, i);
    if (!shape.has_value()) continue;
    const std::optional<Dim> elements = c.InputType(i).Elements();
    if (shape->size() > 1 || (elements && elements->is_number() && elements->number() != 1)) {
      return c.Error("the bound in input ", i, " is ", c.InputType(i).ToString(),
                     "; expected a scalar");
    }
  }
  if (absl::Status s = SameAsInput(c); !s.ok()) return s;
  if (!IsInt(InputDType(c, 0))) return absl::OkStatus();
  std::optional<Shape> dims = SmallInputDims(c, 0);
  for (size_t i : {1, 2}) {
    if (!dims.has_value() || !c.HasInput(i)) continue;
    const std::optional<Shape> bound = SmallInputDims(c, i);
    if (!bound.has_value() || bound->size() != 1) return absl::OkStatus();
    for (Dim& d : *dims) d = i == 1 ? Max(d, (*bound)[0]) : Min(d, (*bound)[0]);
  }
  if (dims.has_value()) c.SetOutputDims(0, *std::move(dims));
  return absl::OkStatus();
}

// Inside the bounds to x, beyond one of them to that bound.
absl::Status ClipGradient(GradientContext& g) {
  GraphBuilder& b = g.builder();
  Value *x = g.input(0), *low = g.input(1), *high = g.input(2), *dx = g.output_grad();
  Value* zero = b.ScalarLike(dx, 0);
  if (high != nullptr) {  // applied last, so undone first
    Value* clipped = low == nullptr ? x : b.Op("Max", {x, low});
    Value* above = b.Op("Greater", {clipped, high});
    g.SetBroadcastInputGrad(2, b.Op("Where", {above, dx, zero}));
    dx = b.Op("Where", {above, zero, dx});
  }
  if (low != nullptr) {
    Value* below = b.Op("Less", {x, low});
    g.SetBroadcastInputGrad(1, b.Op("Where", {below, dx, zero}));
    dx = b.Op("Where", {below, zero, dx});
  }
  g.SetInputGrad(0, dx);
  return b.status();
}

Value* ExpandClip(GraphBuilder& b, Value* x, const Node& node) {
  if (node.input(1) != nullptr) x = b.Op("Max", {x, node.input(1)});
  if (node.input(2) != nullptr) x = b.Op("Min", {x, node.input(2)});
  return node.input(1) == nullptr && node.input(2) == nullptr ? b.Op("Identity", {x}) : x;
}

}  // namespace

SLUICE_DECLARE_OP(Max) {
  return Variadic("Max", "The largest at each place; NaN if any is.", "data_0", "max",
                  kNumericTypes)
      .Infer(InferExtreme<+[](const Dim& a, const Dim& b) { return Max(a, b); }>)
      .Gradient(ExtremeGradient);
}
SLUICE_DECLARE_OP(Min) {
  return Variadic("Min", "The smallest at each place; NaN if any is.", "data_0", "min",
                  kNumericTypes)
      .Infer(InferExtreme<+[](const Dim& a, const Dim& b) { return Min(a, b); }>)
      .Gradient(ExtremeGradient);
}
SLUICE_DECLARE_OP(Sum) {
  return Variadic("Sum", "The sum at each place.", "data_0", "sum", kFloatTypes)
      .Gradient(+[](GradientContext& g) {
        for (size_t i = 0; i < g.node().num_inputs(); ++i) {
          g.SetBroadcastInputGrad(i, g.output_grad());
        }
        return g.builder().status();
      });
}
SLUICE_DECLARE_OP(Mean) {
  return Variadic("Mean", "The mean at each place.", "data_0", "mean", kFloatTypes)
      .Gradient(+[](GradientContext& g) {
        const size_t n = g.node().num_inputs();
        Value* dy = g.output_grad();
        Value* share =
            g.builder().Op("Div", {dy, g.builder().ScalarLike(dy, static_cast<double>(n))});
        for (size_t i = 0; i < n; ++i) g.SetBroadcastInputGrad(i, share);
        return g.builder().status();
      });
}
SLUICE_DECLARE_OP(Where) {
  return Op("Where")
      .Doc("x where the condition is true, else y; all three broadcast together.")
      .Input("condition", "bool")
      .Input("X", "T")
      .Input("Y", "T")
      .Output("output", "T")
      .Types("T", kAllTypes)
      .Infer(InferWhere)
      .Elementwise()
      .Gradient(+[](GradientContext& g) {
        GraphBuilder& b = g.builder();
        Value *condition = g.input(0), *dy = g.output_grad();
        Value* zero = b.ScalarLike(dy, 0);
        g.SetBroadcastInputGrad(1, b.Op("Where", {condition, dy, zero}));
        g.SetBroadcastInputGrad(2, b.Op("Where", {condition, zero, dy}));
        return b.status();
      });
}
SLUICE_DECLARE_OP(Clip) {
  return Op("Clip")
      .Doc("min(max(x, low), high): high wins where the bounds cross.")
      .Input("input", "T")
      .OptionalInput("min", "T")
      .OptionalInput("max", "T")
      .Output("output", "T")
      .Types("T", kNumericTypes)
      .Infer(InferClip)
      .Elementwise()
      .Expansion(ExpandTo<ExpandClip>)
      .Gradient(ClipGradient);
}

}  // namespace sluice
