#include "kernels/cpu/tile/function.h"

#include <cstring>
#include <limits>

#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile/function_table.h"

namespace sluice::cpu {
namespace {

const TileFunctionTable& Table() {
  static const TileFunctionTable* const table = [] {
    ChooseIsa();
    auto* t = new TileFunctionTable;
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

const TileFunction* FindTileFunction(TileStep step, DType dtype) {
  return Table().Find(step, dtype);
}
TileFn FindConversion(DType from, DType to) { return Table().FindConversion(from, to); }
ReduceFn FindReduce(ReduceOp op, DType dtype) { return Table().FindReduce(op, dtype); }
ReduceColumnsFn FindReduceColumns(ReduceOp op, DType dtype) {
  return Table().FindReduceColumns(op, dtype);
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
