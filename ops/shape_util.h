// What shape-dependent ops share: shapes that are spelled out by small integer inputs.
#ifndef SLUICE_OPS_SHAPE_UTIL_H_
#define SLUICE_OPS_SHAPE_UTIL_H_

#include <optional>
#include <vector>

#include "ops/infer_util.h"

namespace sluice {

// kMaxKnownDims as a signed number: longer shapes and lists are refused.
inline constexpr int64_t kMaxKnownElements = kMaxKnownDims;

// `like` with another shape (rank unknown where empty); unknown where `like` is.
Type WithShape(const Type& like, std::optional<Shape> shape);

// Elements of the list that input i is. InvalidArgument where its rank is above 1.
absl::StatusOr<std::optional<int64_t>> ListLength(const InferContext& c, size_t i);

// The shape that input i spells out, contents taken as they are: unknown extents where the contents
// are unknown, empty where not even the rank is known.
absl::StatusOr<std::optional<Shape>> ShapeInput(const InferContext& c, size_t i);

// `axes` made non-negative, in their order. InvalidArgument where out of range or repeated.
absl::StatusOr<std::vector<int>> DistinctAxes(const InferContext& c, absl::Span<const int64_t> axes,
                                              int rank);

// Hands the contents of input 0 on as output 0's: for ops that keep the elements and their order.
void ForwardDims(InferContext& c);

// InvalidArgument where `attr` is none of `choices`.
absl::Status CheckChoice(const InferContext& c, absl::string_view attr,
                         std::initializer_list<absl::string_view> choices);

}  // namespace sluice

#endif  // SLUICE_OPS_SHAPE_UTIL_H_
