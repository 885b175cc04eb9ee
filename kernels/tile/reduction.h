// Reductions as steps of a tile program: what their own kernels run, whole or in levels, and what a
// fused loop lowers to.
#ifndef SLUICE_KERNELS_TILE_REDUCTION_H_
#define SLUICE_KERNELS_TILE_REDUCTION_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "graph/graph.h"
#include "kernels/tile/program.h"

namespace sluice {

// What one of the ops computes: combine(before(x)...), then after().
struct Reduction {
  ReduceOp combine = ReduceOp::kSum;
  std::optional<TileStep> before, after;
  bool mean = false;         // divides by the count at last
  bool whole_mean = false;   // of integers, instead of all the above
  bool log_sum_exp = false;  // instead of all the above
  bool fractional = false;   // integers are computed in f64
  double of_nothing = 0;

  bool is_sum() const { return combine == ReduceOp::kSum; }
};

// Of a Reduce* op on `dtype`.
Reduction ReductionOf(absl::string_view op, DType dtype);

// A reduction may run in levels, each over what the one before gave: which part one does.
struct ReductionPart {
  bool reduces;      // over the program's reduced extents; else there is one element to each result
  bool first, last;  // of the levels
  int64_t count;     // elements that a result stands for, over all levels
};

// Appends that part, in the dtype that it computes in.
TileProgram::ValueId LowerReduction(TileProgram& program, const Reduction& reduction,
                                    TileProgram::ValueId value, const ReductionPart& part);
// Appends a Reduce* node of `value` over the program's reduced extents, `count` elements together.
// The result has the value's dtype.
TileProgram::ValueId LowerReduction(TileProgram& program, const Node& node,
                                    TileProgram::ValueId value, int64_t count);

}  // namespace sluice

#endif  // SLUICE_KERNELS_TILE_REDUCTION_H_
