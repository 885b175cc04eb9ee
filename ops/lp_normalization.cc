// LpNormalization and MeanVarianceNormalization: normalisation without parameters.
#include "ops/infer_util.h"
#include "ops/norm_expansion.h"
#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferLpNormalization(InferContext& c) {
  const Type& x = c.InputType(0);
  if (c.Int("p") != 1 && c.Int("p") != 2) {
    return c.Error("p is ", c.Int("p"), "; expected 1 or 2");
  }
  if (x.is_tensor() && x.has_shape()) {
    if (absl::StatusOr<int> axis = c.Axis(c.Int("axis"), x.rank()); !axis.ok()) {
      return axis.status();
    }
  }
  c.SetOutput(0, x);
  return absl::OkStatus();
}

absl::Status InferMeanVariance(InferContext& c) {
  const Type& x = c.InputType(0);
  if (x.is_tensor() && x.has_shape()) {
    std::vector<bool> seen(x.rank(), false);
    for (int64_t a : c.Ints("axes")) {
      absl::StatusOr<int> axis = c.Axis(a, x.rank());
      if (!axis.ok()) return axis.status();
      if (seen[*axis]) return c.Error("axis ", a, " is listed twice in axes");
      seen[*axis] = true;
    }
  }
  c.SetOutput(0, x);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Value*>> ExpandLpNormalization(GraphBuilder& b, const Node& node) {
  Value* x = node.input(0);
  Value* norm = b.Op(node.Int("p") == 1 ? "ReduceL1" : "ReduceL2", {x, b.Ints({node.Int("axis")})});
  Value* is_zero = b.Op("Equal", {norm, b.ScalarLike(norm, 0)});
  return std::vector<Value*>{
      b.Op("Div", {x, b.Op("Where", {is_zero, b.ScalarLike(norm, 1), norm})})};
}

absl::StatusOr<std::vector<Value*>> ExpandMeanVariance(GraphBuilder& b, const Node& node) {
  Value* x = Widened(b, node.input(0));
  Value* axes = b.Ints(node.Ints("axes"));
  const auto mean = [&](Value* v) {
    return b.Op("ReduceMean", {v, axes}, {{"noop_with_empty_axes", 1}});
  };
  Value* centred = b.Op("Sub", {x, mean(x)});
  Value* spread = b.Op("Sqrt", {mean(b.Op("Mul", {centred, centred}))});
  Value* y = b.Op("Div", {centred, b.Op("Add", {spread, b.ScalarLike(spread, 1e-9)})});
  return std::vector<Value*>{CastLike(b, y, node.input(0)->type().dtype())};
}

}  // namespace

SLUICE_DECLARE_OP(LpNormalization) {
  return Op("LpNormalization")
      .Doc("x over its L1 or L2 norm along `axis`; 0 where the norm is 0.")
      .Input("input", "T")
      .Output("output", "T")
      .Types("T", kFloatTypes)
      .Attr("axis", -1)
      .Attr("p", 2, "which norm: 1 or 2")
      .Infer(InferLpNormalization)
      .Expansion(ExpandLpNormalization)
      .GradientPending()
      .RowWise(AxisIsInner);
}

SLUICE_DECLARE_OP(MeanVarianceNormalization) {
  return Op("MeanVarianceNormalization")
      .Doc("(X - mean) / (standard deviation + 1e-9), both over `axes`.")
      .Input("X", "T")
      .Output("Y", "T")
      .Types("T", kFloatTypes)
      .Attr("axes", std::vector<int64_t>{0, 2, 3})
      .Infer(InferMeanVariance)
      .Expansion(ExpandMeanVariance)
      .GradientPending();
}

}  // namespace sluice
