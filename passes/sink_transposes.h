// sink_transposes: transposes move behind element-wise ops, reductions, Concat and Pad, where they
// meet and cancel those that undo them: what stood between them joins the op before.
//
//   before:  %t = Transpose(%c) {perm = [0, 2, 3, 1]}        after:  %r = Relu(%c)
//            %r = Relu(%t)                                           %y = Conv(%r, %w)
//            %b = Transpose(%r) {perm = [0, 3, 1, 2]}
//            %y = Conv(%b, %w)
//
// Preconditions: every other tensor operand is transposed alike, constant, or one element; else it
// gets a transpose of its own, which counts. All that is connected moves, or nothing does: where
// fewer transposes are left, or as many and one was right behind a product, whose steps then follow
// it.
// Never: leaves more transposes than there were.
#ifndef SLUICE_PASSES_SINK_TRANSPOSES_H_
#define SLUICE_PASSES_SINK_TRANSPOSES_H_

#include "passes/pass.h"

namespace sluice {

class SinkTransposes final : public Pass {
 public:
  const char* name() const override { return "sink_transposes"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_SINK_TRANSPOSES_H_
