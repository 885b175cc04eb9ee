#include "kernels/cpu/tile_step.h"

#include <cstring>
#include <limits>

#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile_step_table.h"

namespace sluice::cpu {
namespace {

const StepTable& Table() {
  static const StepTable* const table = [] {
    ChooseIsa();
    auto* t = new StepTable;
    AddGenericSteps(*t);
    AddGenericFloatSteps(*t);
    AddGenericConversions(*t);
    AddArithmeticSteps(*t);
    AddMathSteps(*t);
    AddConversions(*t);
    AddReduces(*t);
    return t;
  }();
  return *table;
}

}  // namespace

const Step* FindStep(StepOp op, DType dtype) { return Table().Find(op, dtype); }
StepFn FindConversion(DType from, DType to) { return Table().FindConversion(from, to); }
ReduceFn FindReduce(ReduceOp op, DType dtype) { return Table().FindReduce(op, dtype); }
ReduceColumnsFn FindReduceColumns(ReduceOp op, DType dtype) {
  return Table().FindReduceColumns(op, dtype);
}

DType StepResult(StepOp op, DType dtype) {
  switch (op) {
    case StepOp::kIsNaN:
    case StepOp::kIsInf:
    case StepOp::kEqual:
    case StepOp::kLess:
    case StepOp::kLessOrEqual:
      return DType::kBool;
    default:
      return dtype;
  }
}

int StepArity(StepOp op) {
  if (op == StepOp::kWhere) return 3;
  return op >= StepOp::kAdd ? 2 : 1;
}

void ReduceIdentity(ReduceOp op, DType dtype, void* out) {
  VisitDType(
      dtype,
      [&]<typename T>() {
        T value{};
        if constexpr (std::is_arithmetic_v<T>) {
          using Limits = std::numeric_limits<T>;
          const T low = Limits::has_infinity ? static_cast<T>(-Limits::infinity()) : Limits::min();
          const T high = Limits::has_infinity ? Limits::infinity() : Limits::max();
          // Of floats -0.0: what is added to 0.0 loses its sign where it is -0.0.
          value = op == ReduceOp::kSum    ? static_cast<T>(-0.0)
                  : op == ReduceOp::kProd ? T(1)
                  : op == ReduceOp::kMax  ? low
                                          : high;
        }
        std::memcpy(out, &value, sizeof(T));
      },
      [] {});
}

}  // namespace sluice::cpu
