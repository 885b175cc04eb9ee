#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

Dim Product(const Shape& shape, const std::vector<bool>& leave_out) {
  Dim product = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i >= leave_out.size() || !leave_out[i]) product = product * shape[i];
  }
  return product;
}

absl::Status InferReshape(InferContext& c) {
  const Type& data = c.InputType(0);
  const bool known = data.is_tensor() && data.has_shape();
  absl::StatusOr<std::optional<Shape>> wanted = ShapeInput(c, 1);
  if (!wanted.ok()) return wanted.status();
  if (!wanted->has_value()) {
    c.SetOutput(0, WithShape(data, std::nullopt));
    return absl::OkStatus();
  }

  Shape shape = **wanted;
  const bool allow_zero = c.Int("allowzero") != 0;
  // Extents that a 0 copies cancel on both sides, so that [0, -1] means something for empty data.
  std::vector<bool> copied(shape.size());
  int inferred = -1, unknown = 0;
  bool has_zero = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    Dim& d = shape[i];
    if (d.is_unknown()) {
      ++unknown;
    } else if (d.is_number() && d.number() == 0) {
      has_zero = true;
      if (allow_zero) continue;
      if (known && i >= data.shape().size()) {
        return c.Error("shape[", i, "] is 0, which copies extent ", i, " of the data, but that is ",
                       data.ToString());
      }
      copied[i] = known;
      d = known ? data.dim(static_cast<int>(i)) : Dim::Unknown();
    } else if (d.is_number() && d.number() == -1) {
      if (inferred >= 0) return c.Error("shape ", ShapeToString(**wanted), " has -1 twice");
      inferred = static_cast<int>(i);
    } else if (d.is_number() && d.number() < 0) {
      return c.Error("shape[", i, "] is ", d.number(), "; expected -1, 0 or a positive extent");
    }
  }
  if (inferred >= 0 && allow_zero && has_zero) {
    return c.Error("shape ", ShapeToString(**wanted),
                   " has both 0 and -1 under allowzero: -1 could be anything");
  }
  // One extent that nobody knows follows from the element count as a -1 does.
  int solved = inferred;
  for (size_t i = 0; solved < 0 && unknown == 1 && i < shape.size(); ++i) {
    if (shape[i].is_unknown()) solved = static_cast<int>(i);
  }
  if (known) {
    std::vector<bool> left_out = copied;
    if (solved >= 0) left_out[solved] = true;
    const Dim total = Product(data.shape(), copied), others = Product(shape, left_out);
    const bool numbers = total.is_number() && others.is_number();
    if (solved < 0) {
      const bool empty = Product(data.shape(), {}) == Dim(0) && Product(shape, {}) == Dim(0);
      if (!empty && !total.is_unknown() && !others.is_unknown() &&
          ProvablyDifferent(total, others)) {
        return c.Error("cannot reshape ", data.ToString(), " to ", ShapeToString(**wanted),
                       ": the element counts differ");
      }
    } else if (numbers && others.number() == 0) {
      if (total.number() != 0 || inferred >= 0) {
        return c.Error("cannot reshape ", data.ToString(), " to ", ShapeToString(**wanted),
                       ": the other extents have product 0");
      }
      shape[solved] = Dim::Unknown();
    } else if (numbers && total.number() % others.number() != 0) {
      if (inferred >= 0) {
        return c.Error("cannot reshape ", data.ToString(), " to ", ShapeToString(**wanted), ": ",
                       total.number(), " elements do not divide by ", others.number());
      }
    } else if (total.is_unknown() || others.is_unknown()) {
      shape[solved] = Dim::Unknown();
    } else {
      std::optional<Dim> exact = ExactDiv(total, others);
      shape[solved] = exact.has_value() ? *exact : FloorDiv(total, others);
    }
  } else if (inferred >= 0) {
    shape[inferred] = Dim::Unknown();
  }

  if (shape.size() <= 1) ForwardDims(c);
  c.SetOutput(0, WithShape(data, std::move(shape)));
  return absl::OkStatus();
}

absl::Status ReshapeGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  c.SetInputGrad(
      0, b.Op("Reshape", {c.output_grad(), b.Op("Shape", {c.input(0)})}, {{"allowzero", 1}}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Reshape) {
  return Op("Reshape")
      .Doc(
          "The same elements in the same order under the extents `shape`: 0 copies the extent of "
          "the data at that place (with `allowzero` it means 0), one -1 is inferred.")
      .Input("data", "T")
      .Input("shape", "i64")
      .WithRole(InputRole::kExtents)
      .Output("reshaped", "T")
      .Types("T", kAllTypes)
      .Attr("allowzero", 0, "0 in `shape` means an extent of 0")
      .Infer(InferReshape)
      .Gradient(ReshapeGradient)
      .RowWise()
      .Costs(ElementCost::kMove)
      .InLoops(LoopRole::kView);
}

}  // namespace sluice
