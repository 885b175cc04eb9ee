// fuse_loops: chains and diamonds of element-wise ops, broadcasts, reductions and norms become one
// FusedLoop, which goes through memory once.
//
//   before:  %a = Add(%x, %r)                   after:  %y = FusedLoop(%x, %r, %s, %b) {
//            %y = LayerNormalization(%a, %s, %b)          body (%x_1: ..., ...) { ... }
//                                                       }
//
// Neighbours are joined greedily, the ones with the largest value between them first, as long as
// they run over the same loops (ops/loop_space.h). A value that others read too becomes a second
// output. The report says how many bytes need not go through memory.
//
// Preconditions: library fusions are done; types are inferred. Inside bodies too.
// Never: computes anything twice; moves effects, randomness or nodes with control edges; takes what
// the target refuses; joins shape arithmetic, whose results inference knows.
#ifndef SLUICE_PASSES_FUSE_LOOPS_H_
#define SLUICE_PASSES_FUSE_LOOPS_H_

#include "passes/pass.h"

namespace sluice {

class FuseLoops final : public Pass {
 public:
  const char* name() const override { return "fuse_loops"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_FUSE_LOOPS_H_
