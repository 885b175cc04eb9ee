// prune: takes out what no result needs: nodes, trailing optional outputs, functions.
//
//   before:  %a = Relu(%x)            after:  %b = MaxPool(%x) {kernel_shape = [2,2]}
//            %b, %i = MaxPool(%x) {kernel_shape = [2,2]}
//            return %b                        return %b
//
// Preconditions: none. Inside bodies too.
// Never: takes out state (variables and what writes them), graph inputs, or outputs of a body.
#ifndef SLUICE_PASSES_PRUNE_H_
#define SLUICE_PASSES_PRUNE_H_

#include "passes/pass.h"

namespace sluice {

class Prune final : public Pass {
 public:
  const char* name() const override { return "prune"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_PRUNE_H_
