// What stands between the scores of attention and their softmax: masks in the spellings of
// exporters (added, filled in by Where, and-ed, built from Trilu or comparisons of positions), made
// into the one mask of FusedAttention.
#ifndef SLUICE_PASSES_ATTENTION_MASK_H_
#define SLUICE_PASSES_ATTENTION_MASK_H_

#include <string>
#include <vector>

#include "graph/builder.h"
#include "graph/graph.h"

namespace sluice {

// One mask where it meets scores of shape `at`: added after a factor, or, where `fill` is set, put
// there instead of the score where the bools are false (true, if inverted).
struct MaskTerm {
  Value* value = nullptr;
  Shape at;
  double factor = 1;
  bool fills = false, inverted = false;
  double fill = 0;
};

struct AttentionMask {
  Value* value = nullptr;  // null: none
  double fill = 0;         // for bools
  bool causal = false;
};

// One mask of all, newest term first; `scores` is [batch, heads, queries, keys]. Unimplemented with
// the reason where there is none.
absl::StatusOr<AttentionMask> JoinMasks(GraphBuilder& b, const std::vector<MaskTerm>& given,
                                        const Shape& scores, DType dtype);

}  // namespace sluice

#endif  // SLUICE_PASSES_ATTENTION_MASK_H_
