// fold_branches: an If whose condition is known is the branch that it takes.
//
//   before:  %c = Constant {value = bool[] [false]}     after:  %n = Neg(%x)
//            %y = If(%c) {else_branch = graph () {              (reads of %y read %n)
//              %n = Neg(%x)
//              return %n
//            }, then_branch = ...}
//
// So what a program does when it trains costs nothing where it predicts. Preconditions: calls are
// inlined, state is lifted. Never: looks into the other branch, which may be wrong.
#ifndef SLUICE_PASSES_FOLD_BRANCHES_H_
#define SLUICE_PASSES_FOLD_BRANCHES_H_

#include "passes/pass.h"

namespace sluice {

class FoldBranches final : public Pass {
 public:
  const char* name() const override { return "fold_branches"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_FOLD_BRANCHES_H_
