#include "ops/shape_util.h"

#include "absl/strings/str_join.h"
#include "graph/text.h"

namespace sluice {

Type WithShape(const Type& like, std::optional<Shape> shape) {
  if (!like.is_tensor()) return Type();
  return shape.has_value() ? Type::Tensor(like.dtype(), *std::move(shape))
                           : Type::Tensor(like.dtype());
}

absl::StatusOr<std::optional<int64_t>> ListLength(const InferContext& c, size_t i) {
  const Type& t = c.InputType(i);
  if (!t.is_tensor() || !t.has_shape()) return std::optional<int64_t>();
  if (t.rank() > 1) {
    return c.Error("'", c.node().op().InputParam(i)->name, "' must be a list (rank 1), but is ",
                   t.ToString());
  }
  return t.rank() == 0 ? std::optional<int64_t>(1) : t.dim(0).AsNumber();
}

absl::StatusOr<std::optional<Shape>> ShapeInput(const InferContext& c, size_t i) {
  absl::StatusOr<std::optional<int64_t>> length = ListLength(c, i);
  if (!length.ok()) return length.status();
  if (std::optional<Shape> dims = SmallInputDims(c, i); dims.has_value()) return dims;
  if (!length->has_value()) return std::optional<Shape>();
  if (**length > kMaxKnownElements) {
    return c.Error("a shape of ", **length, " extents is more than the ", kMaxKnownElements,
                   " supported");
  }
  return std::optional<Shape>(Shape(**length, Dim::Unknown()));
}

absl::StatusOr<std::vector<int>> DistinctAxes(const InferContext& c, absl::Span<const int64_t> axes,
                                              int rank) {
  std::vector<int> result;
  std::vector<bool> seen(rank);
  for (int64_t axis : axes) {
    absl::StatusOr<int> a = c.Axis(axis, rank);
    if (!a.ok()) return a.status();
    if (seen[*a])
      return c.Error("axis ", axis, " is given twice in [", absl::StrJoin(axes, ","), "]");
    seen[*a] = true;
    result.push_back(*a);
  }
  return result;
}

void ForwardDims(InferContext& c) {
  if (std::optional<Shape> dims = SmallInputDims(c, 0); dims.has_value()) {
    c.SetOutputDims(0, *std::move(dims));
  }
}

absl::Status CheckChoice(const InferContext& c, absl::string_view attr,
                         std::initializer_list<absl::string_view> choices) {
  const std::string given = c.String(attr);
  for (absl::string_view choice : choices) {
    if (given == choice) return absl::OkStatus();
  }
  return c.Error(attr, " is ", Shown(given), "; expected one of ", absl::StrJoin(choices, ", "));
}

}  // namespace sluice
