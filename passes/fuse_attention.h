// fuse_attention: softmax(scale * Q K^T + mask) V is one node, which never writes the scores.
//
//   before:  %q = Transpose(Reshape(%x, [0, 0, 12, 64])) {perm = [0,2,1,3]}     (%k likewise)
//            %s = Softmax(Add(Mul(MatMul(%q, %k_transposed), 0.125), %mask))
//            %y = Transpose(MatMul(%s, %v)) {perm = [0,2,1,3]}
//   after:   %y = FusedAttention(%q4, %k4, %v4, %mask) {layouts = ["bshd", ...], scale = 0.125}
//
// The scale may stand anywhere between the projections and the softmax; masks are added or filled
// in (attention_mask.h); the products may be of 2, 3 or more dimensions; Transpose, Reshape,
// Expand, Slice, Split and Gather around them, which split heads, share or unpack them, vanish into
// the layouts (head_view.h); rows that are all NaN may be replaced by zeros; Casts between float
// types inside are dropped, the kernel computes in f32. ONNX's Attention takes in what stands
// around it in the same way. Preconditions: nothing else reads the scores; ranks are known. Never:
// takes in a bias that is no constant factor, or changes which keys a row sees.
#ifndef SLUICE_PASSES_FUSE_ATTENTION_H_
#define SLUICE_PASSES_FUSE_ATTENTION_H_

#include "passes/pass.h"

namespace sluice {

class FuseAttention final : public Pass {
 public:
  const char* name() const override { return "fuse_attention"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
  bool exact() const override { return false; }
};

}  // namespace sluice

#endif  // SLUICE_PASSES_FUSE_ATTENTION_H_
