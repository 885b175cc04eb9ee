#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferSplit(InferContext& c) {
  const Type& input = c.InputType(0);
  const int64_t n = static_cast<int64_t>(c.num_outputs());
  std::optional<Shape> sizes;
  if (c.HasInput(1)) {
    if (c.node().HasAttr("num_outputs")) return c.Error("both split and num_outputs are given");
    absl::StatusOr<std::optional<int64_t>> length = ListLength(c, 1);
    if (!length.ok()) return length.status();
    sizes = SmallInputDims(c, 1);
    if (sizes.has_value()) *length = static_cast<int64_t>(sizes->size());
    if (length->has_value() && **length != n) {
      return c.Error("split has ", **length, " sizes for ", n, " outputs");
    }
  } else if (c.node().HasAttr("num_outputs") && c.Int("num_outputs") != n) {
    return c.Error("num_outputs is ", c.Int("num_outputs"), ", but the node has ", n, " outputs");
  }
  if (!input.is_tensor() || !input.has_shape()) {
    for (int64_t i = 0; i < n; ++i) c.SetOutput(i, WithShape(input, std::nullopt));
    return absl::OkStatus();
  }
  absl::StatusOr<int> axis = c.Axis(c.Int("axis"), input.rank());
  if (!axis.ok()) return axis.status();
  const Dim& extent = input.dim(*axis);
  if (!c.HasInput(1)) {
    // Equal parts, the last one smaller. What is left for it may not be negative.
    const Dim part = CeilDiv(extent, n);
    sizes = Shape(n, part);
    sizes->back() = extent - part * Dim(n - 1);
    if (extent.is_number() && sizes->back().number() < 0) {
      return c.Error("extent ", extent.number(), " of axis ", *axis, " does not split into ", n,
                     " parts of ", part.number());
    }
    std::optional<Dim> even = ExactDiv(extent, Dim(n));
    if (even.has_value()) sizes->assign(n, *even);
  } else if (sizes.has_value()) {
    Dim sum = 0;
    for (const Dim& s : *sizes) {
      if (s.is_number() && s.number() < 0) return c.Error("a split size is ", s.number());
      sum = sum + s;
    }
    if (!sum.is_unknown() && !extent.is_unknown() && ProvablyDifferent(sum, extent)) {
      return c.Error("the split sizes sum to ", sum.ToString(), ", but axis ", *axis, " of ",
                     input.ToString(), " has extent ", extent.ToString());
    }
  } else {
    sizes = Shape(n, Dim::Unknown());
  }
  std::optional<Shape> contents = input.rank() == 1 ? SmallInputDims(c, 0) : std::nullopt;
  int64_t from = 0;
  for (int64_t i = 0; i < n; ++i) {
    Shape shape = input.shape();
    shape[*axis] = (*sizes)[i];
    c.SetOutput(i, WithShape(input, std::move(shape)));
    if (!contents.has_value() || !(*sizes)[i].is_number()) {
      contents = std::nullopt;
      continue;
    }
    const int64_t to = from + (*sizes)[i].number();
    if (to > static_cast<int64_t>(contents->size())) {
      contents = std::nullopt;
      continue;
    }
    c.SetOutputDims(i, Shape(contents->begin() + from, contents->begin() + to));
    from = to;
  }
  return absl::OkStatus();
}

// Parts that nothing flows back to count as zeros.
absl::Status SplitGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  std::vector<Value*> parts;
  for (size_t i = 0; i < c.node().num_outputs(); ++i) {
    Value* grad = c.output_grad(i);
    if (grad == nullptr) {
      Value* zero = b.ScalarLike(c.output(i), 0);
      grad = b.Op("Expand", {zero, b.Op("Shape", {c.output(i)})});
    }
    parts.push_back(grad);
  }
  c.SetInputGrad(0, b.Op("Concat", parts, {{"axis", c.node().Int("axis")}}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Split) {
  return Op("Split")
      .Doc(
          "Pieces along `axis`: of the sizes `split`, or as many equal ones as there are outputs, "
          "the last one smaller where it does not come out even.")
      .Input("input", "T")
      .OptionalInput("split", "i64")
      .VariadicOutput("outputs", "T")
      .Types("T", kAllTypes)
      .Attr("axis", 0)
      .OptionalAttr("num_outputs", AttrKind::kInt)
      .Infer(InferSplit)
      .Gradient(SplitGradient)
      .RowWise()
      .Costs(ElementCost::kMove)
      .InAnyAxisOrder(AnyAxisOrder::kFirstInput);
}

}  // namespace sluice
