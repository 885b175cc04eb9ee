// simplify_algebra: replaces arithmetic by less arithmetic of the same value.
//
//   before:  %a = Mul(%x, %two)      after:  %c = Mul(%x, %six)
//            %c = Mul(%a, %three)
//
// Covered: x+0 (of floats: x + -0, and where a sum made x), x-0, x*1, x/1, x^1 (also as constants
// of any shape that does not stretch x); powers 2, 3 and -1 of floats; x / 2^k; (x*c)*d and
// (x+c)+d; double Neg, Not, Abs, Relu; nested Clip and Relu; Clip without bounds; Max(x, 0); And,
// Or, Xor with a constant; Where of a constant condition; Min, Max, Sum, Mean of one input.
// Preconditions: dtype and extents of the result are those of what replaces it.
// Float semantics: NaN, infinities, overflow and the sign of zeros stay as they are, so no x*0, x-x
// or x/x. What may differ is the rounding of one operation ((x*c)*d, (x+c)+d, powers). Two
// constants are joined where both go the same way (factors that enlarge, or both that reduce; terms
// of one sign), and never in a strict session.
#ifndef SLUICE_PASSES_SIMPLIFY_ALGEBRA_H_
#define SLUICE_PASSES_SIMPLIFY_ALGEBRA_H_

#include "passes/pass.h"

namespace sluice {

class SimplifyAlgebra final : public Pass {
 public:
  const char* name() const override { return "simplify_algebra"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_SIMPLIFY_ALGEBRA_H_
