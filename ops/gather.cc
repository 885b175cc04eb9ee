// Gather, GatherElements, GatherND: reads by index.
#include "ops/movement_gradient.h"
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

bool Ranked(const Type& t) { return t.is_tensor() && t.has_shape(); }

absl::Status InferGather(InferContext& c) {
  const Type &data = c.InputType(0), &indices = c.InputType(1);
  if (!Ranked(data)) {
    c.SetOutput(0, WithShape(data, std::nullopt));
    return absl::OkStatus();
  }
  absl::StatusOr<int> axis = c.Axis(c.Int("axis"), data.rank());
  if (!axis.ok()) return axis.status();
  if (!Ranked(indices)) {
    c.SetOutput(0, WithShape(data, std::nullopt));
    return absl::OkStatus();
  }
  Shape shape(data.shape().begin(), data.shape().begin() + *axis);
  shape.insert(shape.end(), indices.shape().begin(), indices.shape().end());
  shape.insert(shape.end(), data.shape().begin() + *axis + 1, data.shape().end());

  std::optional<Shape> from = data.rank() == 1 ? SmallInputDims(c, 0) : std::nullopt;
  std::optional<Shape> at = SmallInputDims(c, 1);
  if (from.has_value() && at.has_value() && indices.rank() <= 1) {
    const int64_t n = static_cast<int64_t>(from->size());
    Shape contents;
    for (const Dim& i : *at) {
      if (i.is_number() && (i.number() < -n || i.number() >= n)) {
        return c.Error("index ", i.number(), " is out of range for extent ", n, " of axis ", *axis);
      }
      contents.push_back(!i.is_number()   ? Dim::Unknown()
                         : i.number() < 0 ? (*from)[i.number() + n]
                                          : (*from)[i.number()]);
    }
    c.SetOutputDims(0, std::move(contents));
  }
  c.SetOutput(0, WithShape(data, std::move(shape)));
  return absl::OkStatus();
}

absl::Status InferGatherElements(InferContext& c) {
  const Type &data = c.InputType(0), &indices = c.InputType(1);
  if (Ranked(data)) {
    absl::StatusOr<int> axis = c.Axis(c.Int("axis"), data.rank());
    if (!axis.ok()) return axis.status();
    if (Ranked(indices) && indices.rank() != data.rank()) {
      return c.Error("indices ", indices.ToString(), " and data ", data.ToString(),
                     " must have the same rank");
    }
    for (int i = 0; Ranked(indices) && i < data.rank(); ++i) {
      if (i != *axis && data.dim(i).is_number() && indices.dim(i).is_number() &&
          indices.dim(i).number() > data.dim(i).number()) {
        return c.Error("indices ", indices.ToString(), " reach past data ", data.ToString(),
                       " on axis ", i);
      }
    }
  }
  c.SetOutput(
      0, WithShape(data, Ranked(indices) ? std::optional<Shape>(indices.shape()) : std::nullopt));
  return absl::OkStatus();
}

absl::Status InferGatherND(InferContext& c) {
  const Type &data = c.InputType(0), &indices = c.InputType(1);
  const int64_t batch = c.Int("batch_dims");
  if (batch < 0) return c.Error("batch_dims is ", batch, "; expected 0 or more");
  c.SetOutput(0, WithShape(data, std::nullopt));
  if (!Ranked(data) || !Ranked(indices)) return absl::OkStatus();
  if (data.rank() == 0 || indices.rank() == 0) {
    return c.Error("data ", data.ToString(), " and indices ", indices.ToString(),
                   " must have rank 1 or more");
  }
  if (batch >= std::min(data.rank(), indices.rank())) {
    return c.Error("batch_dims ", batch, " is not below the ranks of data ", data.ToString(),
                   " and indices ", indices.ToString());
  }
  for (int i = 0; i < batch; ++i) {
    if (ProvablyDifferent(data.dim(i), indices.dim(i))) {
      return c.Error("batch extent ", i, " differs between data ", data.ToString(), " and indices ",
                     indices.ToString());
    }
  }
  const Dim& depth = indices.shape().back();
  if (!depth.is_number()) return absl::OkStatus();
  if (depth.number() < 1 || depth.number() > data.rank() - batch) {
    return c.Error("the last extent of indices is ", depth.number(), "; expected 1 to ",
                   data.rank() - batch, " for data ", data.ToString(), " and batch_dims ", batch);
  }
  Shape shape(indices.shape().begin(), indices.shape().end() - 1);
  shape.insert(shape.end(), data.shape().begin() + batch + depth.number(), data.shape().end());
  c.SetOutput(0, WithShape(data, std::move(shape)));
  return absl::OkStatus();
}

// Rows of axis 0 are added up whole: the usual case is an embedding.
absl::Status GatherGradient(GradientContext& c) {
  if (c.node().Int("axis") != 0) return MovementGradient(c);
  GraphBuilder& b = c.builder();
  Value* indices = c.input(1);
  if (indices->type().dtype() != DType::kI64) {
    indices = b.Op("Cast", {indices}, {{"to", DType::kI64}});
  }
  Value* tuples = b.Op("Unsqueeze", {indices, b.Ints({-1})});
  c.SetInputGrad(0, b.Op("ScatterND", {ZerosLike(b, c.input(0)), tuples, c.output_grad()},
                         {{"reduction", "add"}}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Gather) {
  return Op("Gather")
      .Doc("The slices of the data along `axis` that `indices` names, negative ones from the end.")
      .Input("data", "T")
      .Input("indices", "Tind")
      .Output("output", "T")
      .Types("T", kAllTypes)
      .Types("Tind", kIndexTypes)
      .Attr("axis", 0)
      .Infer(InferGather)
      .Gradient(GatherGradient)
      .Costs(ElementCost::kMove);
}

SLUICE_DECLARE_OP(GatherElements) {
  return Op("GatherElements")
      .Doc("output[i][j] = data[indices[i][j]][j] for axis 0, and so on: one element an index.")
      .Input("data", "T")
      .Input("indices", "Tind")
      .Output("output", "T")
      .Types("T", kAllTypes)
      .Types("Tind", kIndexTypes)
      .Attr("axis", 0)
      .Infer(InferGatherElements)
      .Gradient(MovementGradient)
      .Costs(ElementCost::kMove);
}

SLUICE_DECLARE_OP(GatherND) {
  return Op("GatherND")
      .Doc("The slices of the data at the index tuples that form the last axis of `indices`.")
      .Input("data", "T")
      .Input("indices", "i64")
      .Output("output", "T")
      .Types("T", kAllTypes)
      .Attr("batch_dims", 0, "leading axes that data and indices share")
      .Infer(InferGatherND)
      .Gradient(MovementGradient)
      .Costs(ElementCost::kMove);
}

}  // namespace sluice
