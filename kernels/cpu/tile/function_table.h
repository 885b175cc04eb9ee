// The table of functions while it is filled: private to the files that define them.
#ifndef SLUICE_KERNELS_CPU_TILE_FUNCTION_TABLE_H_
#define SLUICE_KERNELS_CPU_TILE_FUNCTION_TABLE_H_

#include "kernels/cpu/tile/function.h"

namespace sluice::cpu {

class TileFunctionTable {
 public:
  static constexpr int kDTypes = 32;
  static constexpr int kReduceOps = 4;

  // A later entry replaces an earlier one.
  void Set(TileStep step, DType dtype, const TileFunction& function) {
    functions_[static_cast<int>(step)][static_cast<int>(dtype)] = function;
  }
  void SetConversion(DType from, DType to, TileFn fn) {
    conversions_[static_cast<int>(from)][static_cast<int>(to)] = fn;
  }
  void SetReduce(ReduceOp op, DType dtype, ReduceFn rows, ReduceColumnsFn columns) {
    reduces_[static_cast<int>(op)][static_cast<int>(dtype)] = rows;
    reduces_columns_[static_cast<int>(op)][static_cast<int>(dtype)] = columns;
  }
  const TileFunction* Find(TileStep step, DType dtype) const {
    const TileFunction& function = functions_[static_cast<int>(step)][static_cast<int>(dtype)];
    return function.fn == nullptr ? nullptr : &function;
  }
  TileFn FindConversion(DType from, DType to) const {
    return conversions_[static_cast<int>(from)][static_cast<int>(to)];
  }
  ReduceFn FindReduce(ReduceOp op, DType dtype) const {
    return reduces_[static_cast<int>(op)][static_cast<int>(dtype)];
  }
  ReduceColumnsFn FindReduceColumns(ReduceOp op, DType dtype) const {
    return reduces_columns_[static_cast<int>(op)][static_cast<int>(dtype)];
  }

 private:
  TileFunction functions_[static_cast<int>(TileStep::kCount)][kDTypes];
  TileFn conversions_[kDTypes][kDTypes] = {};
  ReduceFn reduces_[kReduceOps][kDTypes] = {};
  ReduceColumnsFn reduces_columns_[kReduceOps][kDTypes] = {};
};

// Each adds its family; called in this order, so that the functions built for this machine's
// instructions replace the portable ones.
void AddGenericSteps(TileFunctionTable& table);        // every dtype, SSE4
void AddGenericFloatSteps(TileFunctionTable& table);   // f64 functions by libm
void AddGenericConversions(TileFunctionTable& table);  // every pair, SSE4
void AddArithmeticSteps(TileFunctionTable& table);     // f32, f64, i64, i32
void AddMathSteps(TileFunctionTable& table);           // f32
void AddConversions(TileFunctionTable& table);         // the frequent pairs
void AddReduces(TileFunctionTable& table);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_TILE_FUNCTION_TABLE_H_
