#include <algorithm>

#include "ops/movement_gradient.h"
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

// An index as written (negative ones count from the end), clamped to [0, extent].
Dim ClampForward(const Dim& index, const Dim& extent) {
  if (index.is_number()) {
    const int64_t i = index.number();
    if (extent.is_number()) {
      const int64_t n = extent.number();
      return std::clamp<int64_t>(i < 0 ? i + n : i, 0, n);
    }
    if (i == 0) return 0;
    if (i >= INT32_MAX) return extent;  // the idiom for "to the end"
    if (i <= -INT32_MAX) return 0;
    return i < 0 ? Max(extent + index, 0) : Min(extent, index);
  }
  if (index.is_unknown() || extent.is_unknown()) return Dim::Unknown();
  if (index == extent) return extent;
  if (index.ProvablyNonNegative()) return Min(extent, index);
  if ((Dim(-1) - index).ProvablyNonNegative()) return Max(extent + index, 0);
  return Dim::Unknown();
}

// Elements from `start` up to `end` by `step` over `extent`.
Dim SliceLength(const Dim& start, const Dim& end, int64_t step, const Dim& extent) {
  if (step > 0) {
    if (start.is_number() && end.is_number() && (start.number() < 0) == (end.number() < 0) &&
        start.number() >= end.number()) {
      return 0;
    }
    const Dim from = ClampForward(start, extent), to = ClampForward(end, extent);
    Dim length = to - from;
    // d - max(d-k, 0) is min(d, k), and d - min(d, k) is max(d-k, 0).
    const bool whole_end = !extent.is_unknown() && to == extent && !extent.is_number();
    if (whole_end && start.is_number() && start.number() < 0 && start.number() > -INT32_MAX) {
      length = Min(extent, Dim(-start.number()));
    } else if (whole_end && start.is_number() && start.number() > 0) {
      length = Max(extent - start, 0);
    } else if (!length.ProvablyNonNegative()) {
      length = Max(length, 0);
    }
    return step == 1 ? length : CeilDiv(length, Dim(step));
  }
  // Backward: from the last element to the first is the usual case.
  if (extent.is_number() && start.is_number() && end.is_number()) {
    const int64_t n = extent.number(), s = start.number(), e = end.number();
    const int64_t from = std::clamp<int64_t>(s < 0 ? s + n : s, std::min<int64_t>(0, n - 1), n - 1);
    const int64_t to = std::clamp<int64_t>(e < 0 ? e + n : e, -1, n - 1);
    if (from <= to) return 0;
    const int64_t count = from - to - 1;  // steps as large as int64's minimum are met
    return step == INT64_MIN ? 1 : count / -step + 1;
  }
  const bool from_last = start.is_number() && (start.number() == -1 || start.number() >= INT32_MAX);
  const bool past_first = end.is_number() && end.number() <= -INT32_MAX;
  if (from_last && past_first && step > INT64_MIN) return CeilDiv(extent, Dim(-step));
  return Dim::Unknown();
}

absl::Status InferSlice(InferContext& c) {
  const Type& data = c.InputType(0);
  if (!data.is_tensor() || !data.has_shape()) {
    c.SetOutput(0, WithShape(data, std::nullopt));
    return absl::OkStatus();
  }
  const int rank = data.rank();
  // Numbers of axes that the lists name must agree as far as they are known.
  std::optional<int64_t> count;
  for (size_t i = 1; i <= 4; ++i) {
    if (!c.HasInput(i)) continue;
    absl::StatusOr<std::optional<int64_t>> length = ListLength(c, i);
    if (!length.ok()) return length.status();
    if (!length->has_value()) continue;
    if (count.has_value() && *count != **length) {
      return c.Error("starts, ends, axes and steps must be equally long, but one has ", *count,
                     " elements and '", c.node().op().InputParam(i)->name, "' ", **length);
    }
    count = *length;
  }
  if (count.has_value() && *count > rank) {
    return c.Error(*count, " slices for ", data.ToString());
  }

  std::optional<std::vector<int64_t>> axes;
  if (c.HasInput(3)) {
    axes = c.InputInts(3);
  } else if (count.has_value()) {
    axes.emplace();
    for (int64_t i = 0; i < *count; ++i) axes->push_back(i);
  }
  if (!axes.has_value()) {
    c.SetOutput(0, WithShape(data, Shape(rank, Dim::Unknown())));
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<int>> distinct = DistinctAxes(c, *axes, rank);
  if (!distinct.ok()) return distinct.status();
  const Shape unknown(axes->size(), Dim::Unknown());
  const Shape starts = SmallInputDims(c, 1).value_or(unknown),
              ends = SmallInputDims(c, 2).value_or(unknown);
  Shape steps(axes->size(), Dim(1));
  if (c.HasInput(4)) steps = SmallInputDims(c, 4).value_or(unknown);
  if (starts.size() != axes->size() || ends.size() != axes->size() ||
      steps.size() != axes->size()) {
    return c.Error("starts, ends, axes and steps must be equally long, but have ", starts.size(),
                   ", ", ends.size(), ", ", axes->size(), " and ", steps.size(), " elements");
  }

  Shape shape = data.shape();
  for (size_t i = 0; i < axes->size(); ++i) {
    Dim& extent = shape[(*distinct)[i]];
    if (steps[i].is_number() && steps[i].number() == 0) {
      return c.Error("steps[", i, "] is 0; expected a forward or backward step");
    }
    extent = steps[i].is_number() ? SliceLength(starts[i], ends[i], steps[i].number(), extent)
                                  : Dim::Unknown();
  }
  std::optional<Shape> contents = rank == 1 ? SmallInputDims(c, 0) : std::nullopt;
  if (contents.has_value() && axes->size() == 1 && starts[0].is_number() && steps[0].is_number() &&
      shape[0].is_number()) {
    const int64_t n = static_cast<int64_t>(contents->size()), s = starts[0].number();
    const int64_t step = steps[0].number();
    int64_t at =
        std::clamp<int64_t>(s < 0 ? s + n : s, 0, step > 0 ? n : std::max<int64_t>(n - 1, 0));
    Shape sliced;
    for (int64_t i = 0; i < shape[0].number(); ++i) {
      sliced.push_back((*contents)[at]);
      if (i + 1 < shape[0].number()) at += step;
    }
    c.SetOutputDims(0, std::move(sliced));
  }
  c.SetOutput(0, WithShape(data, std::move(shape)));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Slice) {
  return Op("Slice")
      .Doc(
          "Elements from starts[i] up to, not including, ends[i] by steps[i] along axes[i]; "
          "negative indices count from the end, all are clamped to the extent.")
      .Input("data", "T")
      .Input("starts", "Tind")
      .WithRole(InputRole::kPerAxis)
      .Input("ends", "Tind")
      .WithRole(InputRole::kPerAxis)
      .OptionalInput("axes", "Tind")
      .WithRole(InputRole::kAxes)
      .OptionalInput("steps", "Tind")
      .WithRole(InputRole::kPerAxis)
      .Output("output", "T")
      .Types("T", kAllTypes)
      .Types("Tind", kIndexTypes)
      .Infer(InferSlice)
      .Gradient(MovementGradient)
      .Costs(ElementCost::kMove)
      .InAnyAxisOrder(AnyAxisOrder::kFirstInput);
}

}  // namespace sluice
