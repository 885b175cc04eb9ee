// Arithmetic, comparison and selection in the frequent dtypes, for each SIMD target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise_arithmetic.cc"
#include "kernels/cpu/simd.h"
// simd.h stands first: it sets the targets.
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/tile_loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {

template <typename T>
void AddCommon(StepTable& t) {
  AddUnary<AbsF, T>(t, StepOp::kAbs);
  AddUnary<NegF, T>(t, StepOp::kNeg);
  AddUnary<SignF, T>(t, StepOp::kSign);
  AddUnary<ReluF, T>(t, StepOp::kRelu);
  AddUnary<SquareF, T>(t, StepOp::kSquare);
}

template <typename T>
void AddIntegers(StepTable& t) {
  AddCommon<T>(t);
  AddBinary<AddF, T>(t, StepOp::kAdd);
  AddBinary<SubF, T>(t, StepOp::kSub);
  AddBinary<MulF, T>(t, StepOp::kMul);
  AddBinary<MaxF, T>(t, StepOp::kMax);
  AddBinary<MinF, T>(t, StepOp::kMin);
  AddBinary<EqualF, T, bool>(t, StepOp::kEqual);
  AddBinary<LessF, T, bool>(t, StepOp::kLess);
  AddBinary<LessOrEqualF, T, bool>(t, StepOp::kLessOrEqual);
}

template <typename T>
void AddFloats(StepTable& t) {
  AddCommon<T>(t);
  AddUnary<FloorF, T>(t, StepOp::kFloor);
  AddUnary<CeilF, T>(t, StepOp::kCeil);
  AddUnary<RoundF, T>(t, StepOp::kRound);
  AddUnary<SqrtF, T>(t, StepOp::kSqrt, 4);
  AddUnary<PowHalfF, T>(t, StepOp::kPowHalf, 5);
  AddUnary<PowMinusHalfF, T>(t, StepOp::kPowMinusHalf, 7);
  AddUnary<ReciprocalF, T>(t, StepOp::kReciprocal, 3);
  AddUnary<SoftsignF, T>(t, StepOp::kSoftsign, 3);
  AddParameter<LeakyReluF, T>(t, StepOp::kLeakyRelu);
  AddParameter<ThresholdedReluF, T>(t, StepOp::kThresholdedRelu);
  AddParameter<HardSigmoidF, T>(t, StepOp::kHardSigmoid);
  AddParameter<HardSwishF, T>(t, StepOp::kHardSwish);
  AddParameter<ShrinkF, T>(t, StepOp::kShrink);
  AddParameter<IsNaNF, T, bool>(t, StepOp::kIsNaN);
  AddParameter<IsInfF, T, bool>(t, StepOp::kIsInf);
  AddBinaryForms<AddF, T>(t, StepOp::kAdd);
  AddBinaryForms<SubF, T>(t, StepOp::kSub);
  AddBinaryForms<MulF, T>(t, StepOp::kMul);
  AddBinaryForms<DivF, T>(t, StepOp::kDiv, 3);
  AddBinaryForms<MaxF, T>(t, StepOp::kMax);
  AddBinaryForms<MinF, T>(t, StepOp::kMin);
  AddBinary<PReluF, T>(t, StepOp::kPRelu);
  AddBinary<EqualF, T, bool>(t, StepOp::kEqual);
  AddBinary<LessF, T, bool>(t, StepOp::kLess);
  AddBinary<LessOrEqualF, T, bool>(t, StepOp::kLessOrEqual);
}

template <typename T>
void AddSelect(StepTable& t, std::initializer_list<DType> dtypes) {
  for (DType dtype : dtypes) t.Set(StepOp::kWhere, dtype, {.fn = SelectLoop<T>});
}

void AddArithmetic(StepTable& t) {
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
void AddArithmeticSteps(StepTable& table) { HWY_DYNAMIC_DISPATCH(AddArithmetic)(table); }
}  // namespace sluice::cpu
#endif  // HWY_ONCE
