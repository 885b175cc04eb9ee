// Inference that many ops share. Each function gives the best that is known: an unknown rank or
// extent is never an error.
#ifndef SLUICE_OPS_INFER_UTIL_H_
#define SLUICE_OPS_INFER_UTIL_H_

#include <optional>
#include <vector>

#include "graph/infer.h"

namespace sluice {

// Contents of integer tensors are followed up to this many elements.
inline constexpr size_t kMaxKnownDims = 1024;

// The dtype of input `i`; kInvalid where unknown.
DType InputDType(const InferContext& c, size_t i);
// The shape of input `i` where its rank is known.
std::optional<Shape> InputShape(const InferContext& c, size_t i);
// A tensor type; of unknown rank without a shape; nothing known where the dtype is kInvalid.
Type TensorType(DType dtype, const std::optional<Shape>& shape);

// InferFn: output 0 has the type of input 0 (and its known contents, not: values change).
absl::Status SameAsInput(InferContext& c);
// InferFn: all inputs broadcast together (numpy's rule); output 0 has input 0's dtype.
absl::Status BroadcastInfer(InferContext& c);
// InferFn: the same with a bool output: comparisons.
absl::Status BroadcastInferBool(InferContext& c);
// The broadcast shape of inputs [first, num_inputs); empty optional where a rank is unknown.
absl::StatusOr<std::optional<Shape>> BroadcastInputShapes(const InferContext& c, size_t first = 0);

// Known contents of inputs 0 and 1 (broadcast between sizes 1 and n), combined elementwise; empty
// where either is unknown or the output is no small integer tensor of rank 0 or 1. `op` may give
// Dim::Unknown(). Works for bool inputs and outputs too, as 0 and 1.
using DimFn = Dim (*)(const Dim& a, const Dim& b);
std::optional<Shape> CombineKnownDims(const InferContext& c, DimFn op, size_t a = 0, size_t b = 1);
// Contents of input `i` as InferContext::InputDims(), for bool constants as well; empty beyond
// kMaxKnownDims.
std::optional<Shape> SmallInputDims(const InferContext& c, size_t i);

// `axes` of a value of `rank` made non-negative and sorted; an error where one is out of range or
// stands twice.
absl::StatusOr<std::vector<int>> NormalizeAxes(const InferContext& c,
                                               absl::Span<const int64_t> axes, int rank);
// `shape` reduced over `axes` (normalized): extent 1 there, or dropped without `keepdims`.
Shape ReducedShape(const Shape& shape, absl::Span<const int> axes, bool keepdims);

// For OpDef::row_wise: the attribute "axis", from the end where negative, is not axis 0 of input 0.
bool AxisIsInner(const Node& node);

// The product of extents [first, last).
Dim ProductOfDims(const Shape& shape, int first, int last);

// An error unless the rank of input `i` is unknown or within [min_rank, max_rank].
absl::Status CheckRank(const InferContext& c, size_t i, int min_rank, int max_rank = INT32_MAX);

}  // namespace sluice

#endif  // SLUICE_OPS_INFER_UTIL_H_
