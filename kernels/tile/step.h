// Tile steps: the vocabulary of tile programs, whatever device runs them. A step is the only
// arithmetic of an element-wise op: the op's own kernel, fused loops, softmax and norms are all
// made of the same ones.
//
// Steps compute in f64, f32, the integers and bool. f16 and bf16 enter and leave through
// conversions and are computed in f32.
#ifndef SLUICE_KERNELS_TILE_STEP_H_
#define SLUICE_KERNELS_TILE_STEP_H_

#include <cstdint>

#include "graph/dtype.h"

namespace sluice {

enum class TileStep : uint8_t {
#define SLUICE_TILE_STEP(name, text, inputs, result) k##name,
#include "kernels/tile/step_list.inc"
#undef SLUICE_TILE_STEP
  kCount,
};

struct TileParams {
  double a = 0, b = 0;
};

const char* TileStepName(TileStep step);
int TileStepInputs(TileStep step);
// Of inputs of `dtype`; of kWhere's last two.
DType TileStepResult(TileStep step, DType dtype);

// The dtype that steps compute `dtype` in: f32 for f16 and bf16, else itself.
constexpr DType ComputeType(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kBF16 ? DType::kF32 : dtype;
}

enum class ReduceOp : uint8_t { kSum, kProd, kMax, kMin };
const char* ReduceOpName(ReduceOp op);

// Of random numbers: what ops/random.h says.
enum class Distribution : uint8_t { kUniform, kNormal };

}  // namespace sluice

#endif  // SLUICE_KERNELS_TILE_STEP_H_
