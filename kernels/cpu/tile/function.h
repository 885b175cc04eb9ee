// The CPU's functions for tile steps: plain functions over contiguous arrays, each built for SSE4,
// AVX2 and AVX-512 where that pays, and looked up at preparation.
#ifndef SLUICE_KERNELS_CPU_TILE_FUNCTION_H_
#define SLUICE_KERNELS_CPU_TILE_FUNCTION_H_

#include <cstddef>
#include <cstdint>

#include "kernels/tile/step.h"

namespace sluice::cpu {

// out[i] = op(in[0][i], in[1][i], ...) for i < n. `out` may be one of the inputs exactly where the
// element sizes are equal; partly overlapping arrays may not be given. n may be 0.
using TileFn = void (*)(const void* const* in, void* out, size_t n, const TileParams& params);

struct TileFunction {
  TileFn fn = nullptr;
  // The same where in[0], or in[1], is one element for all i. Null: fill an array first.
  TileFn scalar0 = nullptr, scalar1 = nullptr;
  int cost = 1;  // roughly, of one element, in units of an addition
};

// Null where `step` does not compute in `dtype` (of its last input, for kWhere too).
const TileFunction* FindTileFunction(TileStep step, DType dtype);

// Conversions between any two number types or bool, with ONNX's Cast semantics: floats to integers
// truncate and saturate, NaN gives 0; integers wrap; anything but zero is true. Null for strings.
// from == to copies.
TileFn FindConversion(DType from, DType to);

// *acc = op(*acc, in[0], ..., in[n-1]). Sums run over several lanes (f32: each a few hundred
// additions long at most per call of a tile), so the order depends on n and the target alone.
using ReduceFn = void (*)(const void* in, size_t n, void* acc);
// Null but for f64, f32 and the integers.
ReduceFn FindReduce(ReduceOp op, DType dtype);
// acc[c] = op(acc[c], in[c], in[columns + c], ..., in[(rows - 1) * columns + c]), in this order.
using ReduceColumnsFn = void (*)(const void* in, size_t rows, size_t columns, void* acc);
ReduceColumnsFn FindReduceColumns(ReduceOp op, DType dtype);
// Writes the neutral element (0, 1, lowest, highest; -inf and inf for floats).
void ReduceIdentity(ReduceOp op, DType dtype, void* out);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_TILE_FUNCTION_H_
