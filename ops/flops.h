// What declarations count floating point operations with: OpDef::flops.
#ifndef SLUICE_OPS_FLOPS_H_
#define SLUICE_OPS_FLOPS_H_

#include "graph/graph.h"

namespace sluice {

// Elements of a tensor; -1 where an extent is open.
double Elements(const Type& type);
// Of one axis, counted from the end where it is negative; -1 where it is open or there is none.
double Extent(const Type& type, int axis);
// Unknown where the input is absent.
const Type& InputType(const Node& node, size_t i);

// Of a product with the rules of MatMul: `transpose_a` where the op has it.
double ProductFlops(const Node& node);
// Of a convolution whose weights [M,C/group,...] are input `kWeights`.
double ConvFlops(const Node& node, size_t weights);
template <size_t kWeights>
double ConvFlops(const Node& node) {
  return ConvFlops(node, kWeights);
}

}  // namespace sluice

#endif  // SLUICE_OPS_FLOPS_H_
