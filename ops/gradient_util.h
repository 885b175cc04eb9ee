// What gradient functions share: shapes as values, filled tensors, sums that undo broadcasting.
// All of them take unknown ranks and symbolic extents: what is not known now is computed at run
// time. Null in gives null out, as everywhere with a GraphBuilder.
#ifndef SLUICE_OPS_GRADIENT_UTIL_H_
#define SLUICE_OPS_GRADIENT_UTIL_H_

#include "graph/builder.h"

namespace sluice {

// The extents of `v` as i64[rank]: a constant where they are numbers, else a Shape node.
Value* ShapeOf(GraphBuilder& b, Value* v);

// A tensor of the type of `like` whose every element is `value`.
Value* FillLike(GraphBuilder& b, Value* like, double value);

// `grad` has the shape of `like` stretched by broadcasting: sums it back to the shape of `like`.
Value* SumToShapeOf(GraphBuilder& b, Value* grad, Value* like);

// The last two axes exchanged. Precondition: the rank is known and at least 2.
Value* SwapLastTwo(GraphBuilder& b, Value* v);

}  // namespace sluice

#endif  // SLUICE_OPS_GRADIENT_UTIL_H_
