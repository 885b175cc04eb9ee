// What the norms share: centring and scaling by the spread of a row, as steps of a tile program.
#ifndef SLUICE_KERNELS_TILE_NORM_H_
#define SLUICE_KERNELS_TILE_NORM_H_

#include "kernels/tile/program.h"

namespace sluice {

// f64 where one of `dtypes` is f64, else f32: what norms compute in.
inline DType NormType(std::initializer_list<DType> dtypes) {
  for (DType d : dtypes) {
    if (d == DType::kF64) return DType::kF64;
  }
  return DType::kF32;
}

struct NormSteps {
  TileProgram& p;
  const int64_t count;  // elements of a row
  const DType dtype;    // computed in

  using ValueId = TileProgram::ValueId;
  ValueId Input(DType stored, absl::Span<const int64_t> strides) const {
    const ValueId v = p.Input(stored, strides);
    return p.dtype(v) == dtype ? v : p.Convert(v, dtype);
  }
  ValueId Number(double value) const { return p.Scalar(dtype, value); }
  ValueId Mean(ValueId x) const {
    const ValueId sum = p.Reduce(ReduceOp::kSum, x);
    return p.Step(TileStep::kMul, {sum, Number(1.0 / static_cast<double>(count))});
  }
  ValueId MeanSquare(ValueId x) const { return Mean(p.Step(TileStep::kSquare, {x})); }
  // 1 / sqrt(variance + epsilon). A division, exact to the last bits: Rsqrt may be approximate.
  ValueId InverseSpread(ValueId variance, double epsilon) const {
    const ValueId sum = p.Step(TileStep::kAdd, {variance, Number(epsilon)});
    return p.Step(TileStep::kReciprocal, {p.Step(TileStep::kSqrt, {sum})});
  }
  // Over the row: x - mean, divided by the spread; times `scale`, plus `bias` (-1: none).
  struct Normalised {
    ValueId y, mean, inverse;
  };
  Normalised LayerNorm(ValueId x, ValueId scale, ValueId bias, double epsilon) const {
    const ValueId mean = Mean(x), centred = Sub(x, mean);
    const ValueId inverse = InverseSpread(MeanSquare(centred), epsilon);
    const ValueId y = Mul(Mul(centred, inverse), scale);
    return {bias < 0 ? y : Add(y, bias), mean, inverse};
  }
  ValueId RmsNorm(ValueId x, ValueId scale, double epsilon) const {
    return Mul(Mul(x, InverseSpread(MeanSquare(x), epsilon)), scale);
  }
  ValueId Sub(ValueId a, ValueId b) const { return p.Step(TileStep::kSub, {a, b}); }
  ValueId Mul(ValueId a, ValueId b) const { return p.Step(TileStep::kMul, {a, b}); }
  ValueId Add(ValueId a, ValueId b) const { return p.Step(TileStep::kAdd, {a, b}); }
};

// Over the program's reduced extents.
inline TileProgram::ValueId SoftmaxSteps(TileProgram& p, TileProgram::ValueId x) {
  const auto e = p.Step(TileStep::kExp, {p.Step(TileStep::kSub, {x, p.Reduce(ReduceOp::kMax, x)})});
  const auto scale = p.Step(TileStep::kReciprocal, {p.Reduce(ReduceOp::kSum, e)});
  return p.Step(TileStep::kMul, {e, scale});
}
inline TileProgram::ValueId LogSoftmaxSteps(TileProgram& p, TileProgram::ValueId x) {
  const auto centred = p.Step(TileStep::kSub, {x, p.Reduce(ReduceOp::kMax, x)});
  const auto sum = p.Reduce(ReduceOp::kSum, p.Step(TileStep::kExp, {centred}));
  return p.Step(TileStep::kSub, {centred, p.Step(TileStep::kLog, {sum})});
}

}  // namespace sluice

#endif  // SLUICE_KERNELS_TILE_NORM_H_
