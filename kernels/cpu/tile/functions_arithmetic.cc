// Arithmetic, comparison and selection in the frequent dtypes, for each SIMD target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/tile/functions_arithmetic.cc"
#include "kernels/cpu/simd.h"
// simd.h stands first: it sets the targets.
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/tile/loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {

template <typename T>
void AddCommon(TileFunctionTable& t) {
  AddUnary<AbsF, T>(t, TileStep::kAbs);
  AddUnary<NegF, T>(t, TileStep::kNeg);
  AddUnary<SignF, T>(t, TileStep::kSign);
  AddUnary<ReluF, T>(t, TileStep::kRelu);
  AddUnary<SquareF, T>(t, TileStep::kSquare);
}

template <typename T>
void AddIntegers(TileFunctionTable& t) {
  AddCommon<T>(t);
  AddBinary<AddF, T>(t, TileStep::kAdd);
  AddBinary<SubF, T>(t, TileStep::kSub);
  AddBinary<MulF, T>(t, TileStep::kMul);
  AddBinary<MaxF, T>(t, TileStep::kMax);
  AddBinary<MinF, T>(t, TileStep::kMin);
  AddBinary<EqualF, T, bool>(t, TileStep::kEqual);
  AddBinary<LessF, T, bool>(t, TileStep::kLess);
  AddBinary<LessOrEqualF, T, bool>(t, TileStep::kLessOrEqual);
}

template <typename T>
void AddFloats(TileFunctionTable& t) {
  AddCommon<T>(t);
  AddUnary<FloorF, T>(t, TileStep::kFloor);
  AddUnary<CeilF, T>(t, TileStep::kCeil);
  AddUnary<RoundF, T>(t, TileStep::kRound);
  AddUnary<SqrtF, T>(t, TileStep::kSqrt, 4);
  AddUnary<PowHalfF, T>(t, TileStep::kPowHalf, 5);
  AddUnary<PowMinusHalfF, T>(t, TileStep::kPowMinusHalf, 7);
  AddUnary<ReciprocalF, T>(t, TileStep::kReciprocal, 3);
  AddUnary<SoftsignF, T>(t, TileStep::kSoftsign, 3);
  AddParameter<LeakyReluF, T>(t, TileStep::kLeakyRelu);
  AddParameter<ThresholdedReluF, T>(t, TileStep::kThresholdedRelu);
  AddParameter<HardSigmoidF, T>(t, TileStep::kHardSigmoid);
  AddParameter<HardSwishF, T>(t, TileStep::kHardSwish);
  AddParameter<ShrinkF, T>(t, TileStep::kShrink);
  AddParameter<IsNaNF, T, bool>(t, TileStep::kIsNaN);
  AddParameter<IsInfF, T, bool>(t, TileStep::kIsInf);
  AddBinaryForms<AddF, T>(t, TileStep::kAdd);
  AddBinaryForms<SubF, T>(t, TileStep::kSub);
  AddBinaryForms<MulF, T>(t, TileStep::kMul);
  AddBinaryForms<DivF, T>(t, TileStep::kDiv, 3);
  AddBinaryForms<MaxF, T>(t, TileStep::kMax);
  AddBinaryForms<MinF, T>(t, TileStep::kMin);
  AddBinary<PReluF, T>(t, TileStep::kPRelu);
  AddBinary<EqualF, T, bool>(t, TileStep::kEqual);
  AddBinary<LessF, T, bool>(t, TileStep::kLess);
  AddBinary<LessOrEqualF, T, bool>(t, TileStep::kLessOrEqual);
}

template <typename T>
void AddSelect(TileFunctionTable& t, std::initializer_list<DType> dtypes) {
  for (DType dtype : dtypes) t.Set(TileStep::kWhere, dtype, {.fn = SelectLoop<T>});
}

void AddArithmetic(TileFunctionTable& t) {
  AddFloats<float>(t);
  AddFloats<double>(t);
  AddIntegers<int32_t>(t);
  AddIntegers<int64_t>(t);
  AddSelect<uint8_t>(t, {DType::kBool, DType::kU8, DType::kI8});
  AddSelect<uint16_t>(t, {DType::kF16, DType::kBF16, DType::kU16, DType::kI16});
  AddSelect<uint32_t>(t, {DType::kF32, DType::kU32, DType::kI32});
  AddSelect<uint64_t>(t, {DType::kF64, DType::kU64, DType::kI64});
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {
HWY_EXPORT(AddArithmetic);
void AddArithmeticSteps(TileFunctionTable& table) { HWY_DYNAMIC_DISPATCH(AddArithmetic)(table); }
}  // namespace sluice::cpu
#endif  // HWY_ONCE
