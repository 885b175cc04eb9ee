// Gradients of ops that only move elements.
#ifndef SLUICE_OPS_MOVEMENT_GRADIENT_H_
#define SLUICE_OPS_MOVEMENT_GRADIENT_H_

#include "ops/gradient.h"

namespace sluice {

// Of input 0, where every element of the output is one of its elements: the op itself, run on the
// positions 0, 1, ... in place of the elements, says where each came from; gradients are added up
// there. Right for any op and attribute of this kind, if not the fastest for each.
absl::Status MovementGradient(GradientContext& c);

// Zeros of the shape and dtype of `like`.
Value* ZerosLike(GraphBuilder& b, Value* like);

}  // namespace sluice

#endif  // SLUICE_OPS_MOVEMENT_GRADIENT_H_
