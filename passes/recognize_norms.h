// recognize_norms: layer norms and RMS norms that are spelled out in arithmetic become the one op.
//
//   before:  %m = ReduceMean(%x, %last)          after:  %y = LayerNormalization(%x, %s, %b)
//            %c = Sub(%x, %m)
//            %q = Pow(%c, %two)
//            %v = ReduceMean(%q, %last)
//            %e = Add(%v, %eps)
//            %d = Sqrt(%e)
//            %n = Div(%c, %d)
//            %t = Mul(%n, %s)
//            %y = Add(%t, %b)
//
// Known by what the parts mean: a square may be Pow, Mul or x*x of a Cast; the spread divides, or
// its reciprocal (or Pow -0.5) multiplies, before or after the scale; operands stand on either
// side; the casts to f32 that f16 graphs put around a norm go, since the op computes in f32 anyway.
// Scale and bias are taken in where there are any.
// Preconditions: floats; the mean goes over the last axes; nothing outside reads what lies inside.
// Never: takes a norm over other axes, or one whose epsilon is not constant.
#ifndef SLUICE_PASSES_RECOGNIZE_NORMS_H_
#define SLUICE_PASSES_RECOGNIZE_NORMS_H_

#include "passes/pass.h"

namespace sluice {

class RecognizeNorms final : public Pass {
 public:
  const char* name() const override { return "recognize_norms"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
  bool exact() const override { return false; }
};

}  // namespace sluice

#endif  // SLUICE_PASSES_RECOGNIZE_NORMS_H_
