// The step table while it is filled: private to the files that define steps.
#ifndef SLUICE_KERNELS_CPU_TILE_STEP_TABLE_H_
#define SLUICE_KERNELS_CPU_TILE_STEP_TABLE_H_

#include "kernels/cpu/tile_step.h"

namespace sluice::cpu {

class StepTable {
 public:
  static constexpr int kDTypes = 32;
  static constexpr int kReduceOps = 4;

  // A later entry replaces an earlier one.
  void Set(StepOp op, DType dtype, const Step& step) {
    steps_[static_cast<int>(op)][static_cast<int>(dtype)] = step;
  }
  void SetConversion(DType from, DType to, StepFn fn) {
    conversions_[static_cast<int>(from)][static_cast<int>(to)] = fn;
  }
  void SetReduce(ReduceOp op, DType dtype, ReduceFn rows, ReduceColumnsFn columns) {
    reduces_[static_cast<int>(op)][static_cast<int>(dtype)] = rows;
    reduces_columns_[static_cast<int>(op)][static_cast<int>(dtype)] = columns;
  }
  const Step* Find(StepOp op, DType dtype) const {
    const Step& step = steps_[static_cast<int>(op)][static_cast<int>(dtype)];
    return step.fn == nullptr ? nullptr : &step;
  }
  StepFn FindConversion(DType from, DType to) const {
    return conversions_[static_cast<int>(from)][static_cast<int>(to)];
  }
  ReduceFn FindReduce(ReduceOp op, DType dtype) const {
    return reduces_[static_cast<int>(op)][static_cast<int>(dtype)];
  }
  ReduceColumnsFn FindReduceColumns(ReduceOp op, DType dtype) const {
    return reduces_columns_[static_cast<int>(op)][static_cast<int>(dtype)];
  }

 private:
  Step steps_[static_cast<int>(StepOp::kCount)][kDTypes];
  StepFn conversions_[kDTypes][kDTypes] = {};
  ReduceFn reduces_[kReduceOps][kDTypes] = {};
  ReduceColumnsFn reduces_columns_[kReduceOps][kDTypes] = {};
};

// Each adds its family; called in this order, so that the functions built for this machine's
// instructions replace the portable ones.
void AddGenericSteps(StepTable& table);        // every dtype, SSE4
void AddGenericFloatSteps(StepTable& table);   // f64 functions by libm
void AddGenericConversions(StepTable& table);  // every pair, SSE4
void AddArithmeticSteps(StepTable& table);     // f32, f64, i64, i32
void AddMathSteps(StepTable& table);           // f32
void AddConversions(StepTable& table);         // the frequent pairs
void AddReduces(StepTable& table);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_TILE_STEP_TABLE_H_
