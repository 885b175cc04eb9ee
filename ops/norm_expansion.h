// The steps that the expansions of norms share.
#ifndef SLUICE_OPS_NORM_EXPANSION_H_
#define SLUICE_OPS_NORM_EXPANSION_H_

#include <numeric>
#include <vector>

#include "graph/builder.h"

namespace sluice {

// `v` in the dtype that statistics are computed in: f64 stays, everything else becomes f32.
inline Value* Widened(GraphBuilder& b, Value* v) {
  if (v == nullptr || v->type().dtype() == DType::kF64) return v;
  return v->type().dtype() == DType::kF32 ? v : b.Op("Cast", {v}, {{"to", DType::kF32}});
}
inline Value* CastLike(GraphBuilder& b, Value* v, DType dtype) {
  return v == nullptr || v->type().dtype() == dtype ? v : b.Op("Cast", {v}, {{"to", dtype}});
}
inline Value* MeanOver(GraphBuilder& b, Value* x, Value* axes) {
  return b.Op("ReduceMean", {x, axes});
}
// 1 / sqrt(variance + epsilon).
inline Value* InverseSpread(GraphBuilder& b, Value* variance, double epsilon) {
  Value* sum = b.Op("Add", {variance, b.ScalarLike(variance, epsilon)});
  return b.Op("Reciprocal", {b.Op("Sqrt", {sum})});
}
// A parameter [C] as [C, 1, ...], to go with a value [N, C, ...] of `rank`.
inline Value* PerChannel(GraphBuilder& b, Value* v, int rank) {
  std::vector<int64_t> shape(rank > 1 ? rank - 1 : 1, 1);
  shape[0] = -1;
  return rank <= 2 ? v : b.Op("Reshape", {v, b.Ints(shape)});
}
// first, first + 1, ..., last - 1.
inline std::vector<int64_t> AxisRange(int64_t first, int64_t last) {
  std::vector<int64_t> axes(last > first ? last - first : 0);
  std::iota(axes.begin(), axes.end(), first);
  return axes;
}

}  // namespace sluice

#endif  // SLUICE_OPS_NORM_EXPANSION_H_
