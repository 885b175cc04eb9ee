// The reductions: one family over `axes`, differing in what is summed up and what is done last.
#include <functional>

#include "ops/gradient_util.h"
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

constexpr DTypeSet kReduceTypes =
    kFloatTypes | DTypeSet{DType::kI64, DType::kI32, DType::kU64, DType::kU32};
constexpr DTypeSet kOrderTypes = kReduceTypes | DTypeSet{DType::kI8, DType::kU8, DType::kBool};

// Whether `axes` is known to name no axis at all.
bool NoAxes(const Node& node) {
  const Value* axes = node.input(1);
  if (axes == nullptr) return true;
  const Type& type = axes->type();
  return type.is_tensor() && type.has_shape() && type.rank() == 1 && type.dim(0) == Dim(0);
}

// What is known of the axes: all of them, none (no-op), some, or nothing yet.
struct Axes {
  bool known = false;
  std::vector<bool> reduced;  // by axis of the input, where known
};

absl::StatusOr<Axes> KnownAxes(const InferContext& c, int rank) {
  if (NoAxes(c.node())) {
    return Axes{true, std::vector<bool>(rank, c.Int("noop_with_empty_axes") == 0)};
  }
  std::optional<std::vector<int64_t>> list = c.InputInts(1);
  if (!list.has_value()) return Axes{};
  Axes axes{true, std::vector<bool>(rank, false)};
  for (int64_t a : *list) {
    absl::StatusOr<int> axis = c.Axis(a, rank);
    if (!axis.ok()) return axis.status();
    if (axes.reduced[*axis]) return c.Error("axis ", a, " is listed twice in axes");
    axes.reduced[*axis] = true;
  }
  return axes;
}

absl::Status InferReduce(InferContext& c) {
  const Type& x = c.InputType(0);
  const bool keep = c.Int("keepdims") != 0;
  const Type& axes_type = c.InputType(1);
  if (axes_type.is_tensor() && axes_type.has_shape() && axes_type.rank() != 1) {
    return c.Error("axes must be a list of rank 1, not ", axes_type.ToString());
  }
  if (!x.is_tensor()) return absl::OkStatus();
  if (!x.has_shape()) {
    const bool all = NoAxes(c.node()) && c.Int("noop_with_empty_axes") == 0;
    c.SetOutput(0, all && !keep ? Type::Tensor(x.dtype(), Shape{}) : Type::Tensor(x.dtype()));
    return absl::OkStatus();
  }
  absl::StatusOr<Axes> axes = KnownAxes(c, x.rank());
  if (!axes.ok()) return axes.status();
  if (!axes->known) {
    absl::StatusOr<std::optional<int64_t>> length = ListLength(c, 1);
    if (!length.ok()) return length.status();
    if (length->has_value() && **length > x.rank())
      return c.Error(**length, " axes for ", x.ToString());
    // How many there are tells the rank, unless there are none: that means all, or nothing.
    if (keep) {
      c.SetOutput(0, Type::Tensor(x.dtype(), Shape(x.rank(), Dim::Unknown())));
    } else if (length->has_value() && **length > 0) {
      c.SetOutput(0, Type::Tensor(x.dtype(), Shape(x.rank() - **length, Dim::Unknown())));
    } else {
      c.SetOutput(0, Type::Tensor(x.dtype()));
    }
    return absl::OkStatus();
  }
  Shape shape;
  for (int i = 0; i < x.rank(); ++i) {
    if (!axes->reduced[i]) {
      shape.push_back(x.dim(i));
    } else if (keep) {
      shape.push_back(1);
    }
  }
  c.SetOutput(0, Type::Tensor(x.dtype(), std::move(shape)));
  return absl::OkStatus();
}

// Shapes are reduced as well: ReduceProd(Shape(x)) counts the elements of x.
template <typename Combine>
absl::Status InferWithContents(InferContext& c, Combine combine) {
  if (absl::Status s = InferReduce(c); !s.ok()) return s;
  const std::optional<Shape> contents = c.InputDims(0);
  const Type& x = c.InputType(0);
  if (!contents.has_value() || contents->empty() || !x.is_tensor() || !x.has_shape() ||
      !IsInt(x.dtype())) {
    return absl::OkStatus();
  }
  absl::StatusOr<Axes> axes = KnownAxes(c, x.rank());
  if (!axes.ok() || !axes->known) return absl::OkStatus();
  if (x.rank() == 0 || !axes->reduced[0]) {
    c.SetOutputDims(0, *contents);
    return absl::OkStatus();
  }
  Dim total = (*contents)[0];
  for (size_t i = 1; i < contents->size(); ++i) total = combine(total, (*contents)[i]);
  c.SetOutputDims(0, {total});
  return absl::OkStatus();
}

absl::Status InferReduceSum(InferContext& c) { return InferWithContents(c, std::plus<Dim>()); }
absl::Status InferReduceProd(InferContext& c) {
  return InferWithContents(c, std::multiplies<Dim>());
}
absl::Status InferReduceMax(InferContext& c) {
  return InferWithContents(c, [](const Dim& a, const Dim& b) { return Max(a, b); });
}
absl::Status InferReduceMin(InferContext& c) {
  return InferWithContents(c, [](const Dim& a, const Dim& b) { return Min(a, b); });
}

// `v`, shaped as the output, with the reduced axes kept as 1, so that it broadcasts to the input.
Value* KeepDims(GradientContext& c, Value* v) {
  const Node& node = c.node();
  if (v == nullptr || node.Int("keepdims") != 0) return v;
  GraphBuilder& b = c.builder();
  Value* x = c.input(0);
  if (!NoAxes(node)) return b.Op("Unsqueeze", {v, c.input(1)});
  if (node.Int("noop_with_empty_axes") != 0) return v;
  if (x->type().is_tensor() && x->type().has_shape()) {
    return b.Op("Reshape", {v, b.Ints(std::vector<int64_t>(x->type().rank(), 1))});
  }
  Value* ones = b.Op("ConstantOfShape", {b.Op("Shape", {b.Op("Shape", {x})})},
                     {{"value", Tensor::Vector<int64_t>(std::vector<int64_t>{1})}});
  return b.Op("Reshape", {v, ones});
}

// The node's op replaced by `op` and its input by `x`, with the reduced axes kept.
Value* SameAxes(GradientContext& c, absl::string_view op, Value* x) {
  return c.builder().Op(
      op, {x, c.input(1)},
      {{"keepdims", 1}, {"noop_with_empty_axes", c.node().Int("noop_with_empty_axes")}});
}

Value* ExpandToInput(GradientContext& c, Value* v) {
  return c.builder().Op("Expand", {v, ShapeOf(c.builder(), c.input(0))});
}

absl::Status ReduceSumGradient(GradientContext& c) {
  c.SetInputGrad(0, ExpandToInput(c, KeepDims(c, c.output_grad())));
  return absl::OkStatus();
}

absl::Status ReduceMeanGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  Value* count = b.Op("Div", {b.Op("Size", {c.input(0)}), b.Op("Size", {c.output()})});
  Value* each =
      b.Op("Div", {c.output_grad(), b.Op("Cast", {count}, {{"to", c.output()->type().dtype()}})});
  c.SetInputGrad(0, ExpandToInput(c, KeepDims(c, each)));
  return absl::OkStatus();
}

absl::Status ReduceSumSquareGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  Value* g = b.Op("Mul", {c.output_grad(), b.ScalarLike(c.output_grad(), 2)});
  c.SetInputGrad(0, b.Op("Mul", {c.input(0), KeepDims(c, g)}));
  return absl::OkStatus();
}

absl::Status ReduceL1Gradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  c.SetInputGrad(0, b.Op("Mul", {b.Op("Sign", {c.input(0)}), KeepDims(c, c.output_grad())}));
  return absl::OkStatus();
}

// x / |x|, and 0 at the origin.
absl::Status ReduceL2Gradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  Value* zero = b.ScalarLike(c.output(), 0);
  Value* scale = b.Op("Where", {b.Op("Equal", {c.output(), zero}), zero,
                                b.Op("Div", {c.output_grad(), c.output()})});
  c.SetInputGrad(0, b.Op("Mul", {c.input(0), KeepDims(c, scale)}));
  return absl::OkStatus();
}

absl::Status ReduceLogSumGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  c.SetInputGrad(0, ExpandToInput(c, b.Op("Div", {KeepDims(c, c.output_grad()),
                                                  SameAxes(c, "ReduceSum", c.input(0))})));
  return absl::OkStatus();
}

absl::Status ReduceLogSumExpGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  Value* share = b.Op("Exp", {b.Op("Sub", {c.input(0), KeepDims(c, c.output())})});
  c.SetInputGrad(0, b.Op("Mul", {share, KeepDims(c, c.output_grad())}));
  return absl::OkStatus();
}

// Elements that are the extreme one share the gradient.
absl::Status ReduceExtremeGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  const DType dtype = c.output()->type().dtype();
  Value* hit =
      b.Op("Cast", {b.Op("Equal", {c.input(0), KeepDims(c, c.output())})}, {{"to", dtype}});
  Value* share = b.Op("Div", {KeepDims(c, c.output_grad()), SameAxes(c, "ReduceSum", hit)});
  c.SetInputGrad(0, b.Op("Mul", {hit, share}));
  return absl::OkStatus();
}

// The product of all the others: the whole over x where no element is zero; where one is, it alone
// has a gradient; where two are, none has.
absl::Status ReduceProdGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  Value* x = c.input(0);
  Value* zero = b.ScalarLike(x, 0);
  Value* one = b.ScalarLike(x, 1);
  Value* is_zero = b.Op("Equal", {x, zero});
  Value* nonzero = b.Op("Where", {is_zero, one, x});
  Value* product = SameAxes(c, "ReduceProd", nonzero);
  Value* zeros = SameAxes(c, "ReduceSum", b.Op("Where", {is_zero, one, zero}));
  Value* only = b.Op("And", {is_zero, b.Op("Equal", {zeros, one})});
  Value* others = b.Op("Where", {b.Op("Equal", {zeros, zero}), b.Op("Div", {product, nonzero}),
                                 b.Op("Where", {only, product, zero})});
  c.SetInputGrad(0, b.Op("Mul", {others, KeepDims(c, c.output_grad())}));
  return absl::OkStatus();
}

// The same axes, kept or not as the node says.
Value* Reduced(GraphBuilder& b, const Node& node, absl::string_view op, Value* x) {
  return b.Op(op, {x, node.input(1)},
              {{"keepdims", node.Int("keepdims")},
               {"noop_with_empty_axes", node.Int("noop_with_empty_axes")}});
}

absl::StatusOr<std::vector<Value*>> ExpandSumSquare(GraphBuilder& b, const Node& node) {
  Value* x = node.input(0);
  return std::vector<Value*>{Reduced(b, node, "ReduceSum", b.Op("Mul", {x, x}))};
}
absl::StatusOr<std::vector<Value*>> ExpandL1(GraphBuilder& b, const Node& node) {
  return std::vector<Value*>{Reduced(b, node, "ReduceSum", b.Op("Abs", {node.input(0)}))};
}

// `last` of what `sum` gives; integers are computed in f64.
absl::StatusOr<std::vector<Value*>> ExpandFractional(GraphBuilder& b, const Node& node,
                                                     absl::string_view sum,
                                                     absl::string_view last) {
  const DType dtype = node.input(0)->type().dtype();
  Value* x = node.input(0);
  if (!IsFloat(dtype)) x = b.Op("Cast", {x}, {{"to", DType::kF64}});
  Value* y = b.Op(last, {Reduced(b, node, sum, x)});
  return std::vector<Value*>{IsFloat(dtype) ? y : b.Op("Cast", {y}, {{"to", dtype}})};
}
absl::StatusOr<std::vector<Value*>> ExpandL2(GraphBuilder& b, const Node& node) {
  return ExpandFractional(b, node, "ReduceSumSquare", "Sqrt");
}
absl::StatusOr<std::vector<Value*>> ExpandLogSum(GraphBuilder& b, const Node& node) {
  return ExpandFractional(b, node, "ReduceSum", "Log");
}

Op Reduction(absl::string_view name, absl::string_view doc, DTypeSet dtypes) {
  return Op(name)
      .Doc(doc)
      .Input("data", "T")
      .OptionalInput("axes", "i64")
      .WithRole(InputRole::kAxes)
      .Output("reduced", "T")
      .Types("T", dtypes)
      .Attr("keepdims", 1, "keep each reduced axis with extent 1")
      .Attr("noop_with_empty_axes", 0, "no axes: reduce none (1) or all (0)")
      .Infer(InferReduce)
      .RowWise()
      .InLoops(LoopRole::kReduce)
      .InAnyAxisOrder(AnyAxisOrder::kFirstInput);
}

}  // namespace

SLUICE_DECLARE_OP(ReduceSum) {
  return Reduction("ReduceSum", "The sum over `axes`; 0 over nothing.", kReduceTypes)
      .Infer(InferReduceSum)
      .Gradient(ReduceSumGradient);
}
SLUICE_DECLARE_OP(ReduceMean) {
  return Reduction("ReduceMean", "The arithmetic mean over `axes`.", kReduceTypes)
      .Gradient(ReduceMeanGradient);
}
SLUICE_DECLARE_OP(ReduceMax) {
  return Reduction("ReduceMax", "The largest element over `axes`; the lowest value over nothing.",
                   kOrderTypes)
      .Infer(InferReduceMax)
      .Gradient(ReduceExtremeGradient);
}
SLUICE_DECLARE_OP(ReduceMin) {
  return Reduction("ReduceMin", "The smallest element over `axes`; the highest value over nothing.",
                   kOrderTypes)
      .Infer(InferReduceMin)
      .Gradient(ReduceExtremeGradient);
}
SLUICE_DECLARE_OP(ReduceProd) {
  return Reduction("ReduceProd", "The product over `axes`; 1 over nothing.", kReduceTypes)
      .Infer(InferReduceProd)
      .Gradient(ReduceProdGradient);
}
SLUICE_DECLARE_OP(ReduceL1) {
  return Reduction("ReduceL1", "The sum of absolute values over `axes`.", kReduceTypes)
      .Expansion(ExpandL1)
      .Gradient(ReduceL1Gradient);
}
SLUICE_DECLARE_OP(ReduceL2) {
  return Reduction("ReduceL2", "The square root of the sum of squares over `axes`.", kReduceTypes)
      .Expansion(ExpandL2)
      .Gradient(ReduceL2Gradient);
}
SLUICE_DECLARE_OP(ReduceLogSum) {
  return Reduction("ReduceLogSum", "The logarithm of the sum over `axes`.", kReduceTypes)
      .Expansion(ExpandLogSum)
      .Gradient(ReduceLogSumGradient);
}
SLUICE_DECLARE_OP(ReduceLogSumExp) {
  return Reduction("ReduceLogSumExp", "log(sum(exp(x))) over `axes`, without overflow on the way.",
                   kReduceTypes)
      .Gradient(ReduceLogSumExpGradient);
}
SLUICE_DECLARE_OP(ReduceSumSquare) {
  return Reduction("ReduceSumSquare", "The sum of squares over `axes`.", kReduceTypes)
      .Expansion(ExpandSumSquare)
      .Gradient(ReduceSumSquareGradient);
}

}  // namespace sluice
