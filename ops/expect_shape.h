// Checks of ranks and extents that say which input is wrong, as far as inference can know.
#ifndef SLUICE_OPS_EXPECT_SHAPE_H_
#define SLUICE_OPS_EXPECT_SHAPE_H_

#include <optional>

#include "graph/infer.h"

namespace sluice {

// OK unless input `i` is present, its shape is known, and it can never be `expected`.
absl::Status ExpectShape(const InferContext& c, size_t i, const Shape& expected);

// The input's shape where it is known and of `rank`; empty where unknown; an error at another rank.
absl::StatusOr<std::optional<Shape>> ShapeOfRank(const InferContext& c, size_t i, int rank);

}  // namespace sluice

#endif  // SLUICE_OPS_EXPECT_SHAPE_H_
