// expand_ops: writes an op that no kernel takes with the simpler ops of its declared expansion.
//
//   before:  %y = Mish(%x)      after:  %a = Softplus(%x)
//                                       %b = Tanh(%a)
//                                       %y = Mul(%x, %b)
//
// Asked are ops with an expansion: those whose expansion is the implementation everywhere, and
// those that TargetInfo.takes() refuses. What comes out is asked again. Needed before anything
// runs, so it spends no fuel. Errors: an expansion that fails, or that goes deeper than 64. Never:
// touches an op without an expansion, taken or not.
#ifndef SLUICE_PASSES_EXPAND_OPS_H_
#define SLUICE_PASSES_EXPAND_OPS_H_

#include "passes/pass.h"

namespace sluice {

class ExpandOps final : public Pass {
 public:
  static constexpr int kMaxDepth = 64;

  const char* name() const override { return "expand_ops"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_EXPAND_OPS_H_
