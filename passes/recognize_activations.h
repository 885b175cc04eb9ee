// recognize_activations: finds activations that are spelled out in arithmetic, however they are
// spelled, and puts the one op in their place.
//
//   before:  %d = Div(%x, %sqrt2)          after:  %y = Gelu(%x)
//            %e = Erf(%d)
//            %f = Add(%e, %one)
//            %m = Mul(%x, %f)
//            %y = Mul(%m, %half)
//
// A region of element-wise nodes and scalar constants between one value and a last node is a
// function of one number. It is that activation whose values it has, at points from -1e30 to 1e30:
// so the order of factors, a division for a product, or x*x*x for Pow(x, 3) lose nothing, and a
// slightly other constant is another function.
// Known: Gelu (erf and tanh), Swish (any alpha, so SiLU too), HardSwish, Mish.
// Preconditions: floats; at most 16 nodes; nothing outside reads what lies inside.
// Never: takes a region whose values differ by more than its constants' rounding explains (1e-6 of
// the value; 1e-12 in f64, 1e-3 in f16, 4e-3 in bf16), or one that may stretch its input.
#ifndef SLUICE_PASSES_RECOGNIZE_ACTIVATIONS_H_
#define SLUICE_PASSES_RECOGNIZE_ACTIVATIONS_H_

#include "passes/pass.h"

namespace sluice {

class RecognizeActivations final : public Pass {
 public:
  const char* name() const override { return "recognize_activations"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
  bool exact() const override { return false; }
};

}  // namespace sluice

#endif  // SLUICE_PASSES_RECOGNIZE_ACTIVATIONS_H_
