// eliminate_common_subexpressions: computes equal things once.
//
//   before:  %a = Relu(%x)             after:  %a = Relu(%x)
//            %b = Relu(%x)                     %c = Add(%a, %a)
//            %c = Add(%a, %b)
//
// Equal are nodes of one op with equal attributes and inputs (in either order where the op is
// commutative), and constants of equal dtype, extents and bytes. A body's node may be replaced by
// an equal one around it. Never: merges state, random numbers, nodes with bodies, control edges or
// different devices.
#ifndef SLUICE_PASSES_ELIMINATE_COMMON_SUBEXPRESSIONS_H_
#define SLUICE_PASSES_ELIMINATE_COMMON_SUBEXPRESSIONS_H_

#include "passes/pass.h"

namespace sluice {

class EliminateCommonSubexpressions final : public Pass {
 public:
  const char* name() const override { return "eliminate_common_subexpressions"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_ELIMINATE_COMMON_SUBEXPRESSIONS_H_
