// ScatterElements and ScatterND: the data with some elements written by index.
#include "ops/movement_gradient.h"
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

bool Ranked(const Type& t) { return t.is_tensor() && t.has_shape(); }

absl::Status CheckReduction(const InferContext& c) {
  if (absl::Status s = CheckChoice(c, "reduction", {"none", "add", "mul", "max", "min"}); !s.ok()) {
    return s;
  }
  const Type& data = c.InputType(0);
  if (c.String("reduction") != "none" && data.is_tensor() && data.dtype() != DType::kInvalid &&
      data.dtype() == DType::kString) {
    return c.Error("reduction '", c.String("reduction"), "' is not defined for strings");
  }
  return absl::OkStatus();
}

absl::Status InferScatterElements(InferContext& c) {
  if (absl::Status s = CheckReduction(c); !s.ok()) return s;
  const Type &data = c.InputType(0), &indices = c.InputType(1), &updates = c.InputType(2);
  c.SetOutput(0, data);
  if (!Ranked(data)) return absl::OkStatus();
  absl::StatusOr<int> axis = c.Axis(c.Int("axis"), data.rank());
  if (!axis.ok()) return axis.status();
  for (const Type* t : {&indices, &updates}) {
    if (Ranked(*t) && t->rank() != data.rank()) {
      return c.Error("data ", data.ToString(), ", indices ", indices.ToString(), " and updates ",
                     updates.ToString(), " must have the same rank");
    }
  }
  if (!Ranked(indices)) return absl::OkStatus();
  for (int i = 0; i < data.rank(); ++i) {
    if (Ranked(updates) && ProvablyDifferent(indices.dim(i), updates.dim(i))) {
      return c.Error("indices ", indices.ToString(), " and updates ", updates.ToString(),
                     " must have the same shape");
    }
    if (i != *axis && data.dim(i).is_number() && indices.dim(i).is_number() &&
        indices.dim(i).number() > data.dim(i).number()) {
      return c.Error("indices ", indices.ToString(), " reach past data ", data.ToString(),
                     " on axis ", i);
    }
  }
  return absl::OkStatus();
}

absl::Status InferScatterND(InferContext& c) {
  if (absl::Status s = CheckReduction(c); !s.ok()) return s;
  const Type &data = c.InputType(0), &indices = c.InputType(1), &updates = c.InputType(2);
  c.SetOutput(0, data);
  if (!Ranked(data) || !Ranked(indices)) return absl::OkStatus();
  if (data.rank() == 0 || indices.rank() == 0) {
    return c.Error("data ", data.ToString(), " and indices ", indices.ToString(),
                   " must have rank 1 or more");
  }
  const Dim& depth = indices.shape().back();
  if (!depth.is_number()) return absl::OkStatus();
  if (depth.number() < 1 || depth.number() > data.rank()) {
    return c.Error("the last extent of indices is ", depth.number(), "; expected 1 to ",
                   data.rank(), " for data ", data.ToString());
  }
  Shape expected(indices.shape().begin(), indices.shape().end() - 1);
  expected.insert(expected.end(), data.shape().begin() + depth.number(), data.shape().end());
  if (!Ranked(updates)) return absl::OkStatus();
  bool fits = updates.shape().size() == expected.size();
  for (size_t i = 0; fits && i < expected.size(); ++i) {
    fits = !ProvablyDifferent(expected[i], updates.shape()[i]);
  }
  if (!fits) {
    return c.Error("updates is ", updates.ToString(), "; expected ", ShapeToString(expected),
                   " from data ", data.ToString(), " and indices ", indices.ToString());
  }
  return absl::OkStatus();
}

// Updates get the gradients of the places they went to; data that was overwritten gets none.
absl::Status ScatterGradient(GradientContext& c, absl::string_view gather, const AttrList& axis) {
  const std::string reduction = c.node().String("reduction");
  if (reduction != "none" && reduction != "add") {
    return absl::UnimplementedError("reductions other than add have no gradient so far");
  }
  GraphBuilder& b = c.builder();
  Value* dy = c.output_grad();
  c.SetInputGrad(0, reduction == "add" ? dy
                                       : b.Op(c.node().op_name(),
                                              {dy, c.input(1), ZerosLike(b, c.input(2))}, axis));
  c.SetInputGrad(2, b.Op(gather, {dy, c.input(1)}, axis));
  return absl::OkStatus();
}

absl::Status ScatterElementsGradient(GradientContext& c) {
  return ScatterGradient(c, "GatherElements", {{"axis", c.node().Int("axis")}});
}
absl::Status ScatterNDGradient(GradientContext& c) { return ScatterGradient(c, "GatherND", {}); }

}  // namespace

SLUICE_DECLARE_OP(ScatterElements) {
  return Op("ScatterElements")
      .Doc(
          "The data with output[indices[i][j]][j] = updates[i][j] for axis 0, and so on, or "
          "combined with what is there by `reduction`.")
      .Input("data", "T")
      .Input("indices", "Tind")
      .Input("updates", "T")
      .Output("output", "T")
      .Types("T", kAllTypes)
      .Types("Tind", kIndexTypes)
      .Attr("axis", 0)
      .Attr("reduction", "none", "none, add, mul, max or min")
      .Infer(InferScatterElements)
      .Gradient(ScatterElementsGradient);
}

SLUICE_DECLARE_OP(ScatterND) {
  return Op("ScatterND")
      .Doc(
          "The data with the slices at the index tuples of `indices` replaced by `updates`, or "
          "combined with them by `reduction`.")
      .Input("data", "T")
      .Input("indices", "i64")
      .Input("updates", "T")
      .Output("output", "T")
      .Types("T", kAllTypes)
      .Attr("reduction", "none", "none, add, mul, max or min")
      .Infer(InferScatterND)
      .Gradient(ScatterNDGradient);
}

}  // namespace sluice
