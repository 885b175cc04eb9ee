// The gradient of MatMul in all its forms: batched, broadcast and one-dimensional operands.
#ifndef SLUICE_OPS_MATMUL_GRADIENT_H_
#define SLUICE_OPS_MATMUL_GRADIENT_H_

#include "absl/status/status.h"
#include "ops/gradient.h"

namespace sluice {

// dA = dY * B^T and dB = A^T * dY, summed over broadcast batch axes. Unimplemented where a rank is
// unknown.
absl::Status MatMulGradient(GradientContext& c);
absl::Status GemmGradient(GradientContext& c);

}  // namespace sluice

#endif  // SLUICE_OPS_MATMUL_GRADIENT_H_
