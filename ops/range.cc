#include "ops/range.h"

#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferRange(InferContext& c) {
  for (size_t i = 0; i < 3; ++i) {
    const Type& t = c.InputType(i);
    if (t.has_static_shape() && *t.Elements() != Dim(1)) {
      return c.Error("'", c.node().op().InputParam(i)->name, "' is ", t.ToString(),
                     "; expected a scalar");
    }
  }
  if (const int64_t stash = c.Int("stash_type"); stash != 1 && stash != 11) {
    return c.Error("stash_type is ", stash, "; expected 1 (f32) or 11 (f64)");
  }
  DType dtype = DType::kInvalid;
  for (size_t i = 0; i < 3; ++i) {
    if (c.InputType(i).is_tensor()) dtype = c.InputType(i).dtype();
  }
  if (dtype == DType::kInvalid) return absl::OkStatus();

  Dim count = c.FreshDim();
  const Tensor* tensors[] = {c.InputTensor(0), c.InputTensor(1), c.InputTensor(2)};
  std::optional<Shape> bounds[] = {SmallInputDims(c, 0), SmallInputDims(c, 1),
                                   SmallInputDims(c, 2)};
  const bool known = bounds[0] && bounds[1] && bounds[2] && bounds[0]->size() == 1 &&
                     bounds[1]->size() == 1 && bounds[2]->size() == 1;
  if (tensors[0] != nullptr && tensors[1] != nullptr && tensors[2] != nullptr) {
    absl::StatusOr<int64_t> n = RangeCount(*tensors[0], *tensors[1], *tensors[2]);
    if (!n.ok()) return c.Error(n.status().message());
    count = *n;
  } else if (known && (*bounds[2])[0].is_number()) {
    const Dim &start = (*bounds[0])[0], &limit = (*bounds[1])[0], &delta = (*bounds[2])[0];
    if (delta.number() == 0) return c.Error("delta is 0");
    const Dim span = delta.number() > 0 ? limit - start : start - limit;
    const Dim step = delta.number() > 0 ? delta : Dim(0) - delta;
    if (!span.is_unknown() && !step.is_unknown()) {
      count = CeilDiv(span.ProvablyNonNegative() ? span : Max(span, 0), step);
    }
  }
  if (known && count.is_number() && count.number() <= kMaxKnownElements) {
    Shape contents;
    for (int64_t i = 0; i < count.number(); ++i) {
      contents.push_back((*bounds[0])[0] + Dim(i) * (*bounds[2])[0]);
    }
    c.SetOutputDims(0, std::move(contents));
  }
  c.SetOutput(0, Type::Tensor(dtype, Shape{count}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Range) {
  return Op("Range")
      .Doc("start, start + delta, ... up to, not including, `limit`.")
      .Input("start", "T")
      .Input("limit", "T")
      .Input("delta", "T")
      .Output("output", "T")
      .Types("T", kFloatTypes | DTypeSet{DType::kI64, DType::kI32, DType::kI16})
      .Attr("stash_type", 1, "1 computes 16-bit floats in f32, 11 in f64")
      .Infer(InferRange)
      .NotDifferentiable("its length jumps with its inputs");
}

}  // namespace sluice
