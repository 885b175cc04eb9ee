// The shape rule of numpy's matmul, shared by MatMul, its integer and quantized forms and
// FusedMatMul.
#ifndef SLUICE_OPS_MATMUL_SHAPE_H_
#define SLUICE_OPS_MATMUL_SHAPE_H_

#include "graph/infer.h"

namespace sluice {

// The type of a @ b: 1-D operands get a unit axis that is taken out again; batch axes broadcast.
// `transpose_*` swaps the last two axes (ignored for 1-D). Unknown ranks give an unknown rank.
absl::StatusOr<Type> MatMulType(InferContext& c, const Type& a, const Type& b, DType dtype,
                                bool transpose_a = false, bool transpose_b = false);

}  // namespace sluice

#endif  // SLUICE_OPS_MATMUL_SHAPE_H_
