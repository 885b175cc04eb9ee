// Steps in every dtype, built once for the least target. elementwise_arithmetic.cc and
// elementwise_math.cc replace the frequent ones by those of this machine.
#include "kernels/cpu/simd.h"
// simd.h stands first: it sets the targets.
#include "hwy/highway.h"
#include "kernels/cpu/tile_loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {
namespace {

template <typename T>
void AddInteger(StepTable& t) {
  AddUnary<AbsF, T>(t, StepOp::kAbs);
  AddUnary<NegF, T>(t, StepOp::kNeg);
  AddUnary<SignF, T>(t, StepOp::kSign);
  AddUnary<ReluF, T>(t, StepOp::kRelu);
  AddUnary<SquareF, T>(t, StepOp::kSquare);
  AddUnary<BitwiseNotF, T>(t, StepOp::kBitwiseNot);
  AddParameter<ShrinkF, T>(t, StepOp::kShrink, 2);
  AddBinary<AddF, T>(t, StepOp::kAdd);
  AddBinary<SubF, T>(t, StepOp::kSub);
  AddBinary<MulF, T>(t, StepOp::kMul);
  AddBinary<DivF, T>(t, StepOp::kDiv, 10);
  AddBinary<ModF, T>(t, StepOp::kMod, 12);
  AddBinary<FmodF, T>(t, StepOp::kFmod, 10);
  AddBinary<PowF, T>(t, StepOp::kPow, 20);
  AddBinary<MaxF, T>(t, StepOp::kMax);
  AddBinary<MinF, T>(t, StepOp::kMin);
  AddBinary<PReluF, T>(t, StepOp::kPRelu);
  AddBinary<BitwiseAndF, T>(t, StepOp::kBitwiseAnd);
  AddBinary<BitwiseOrF, T>(t, StepOp::kBitwiseOr);
  AddBinary<BitwiseXorF, T>(t, StepOp::kBitwiseXor);
  AddBinary<EqualF, T, bool>(t, StepOp::kEqual);
  AddBinary<LessF, T, bool>(t, StepOp::kLess);
  AddBinary<LessOrEqualF, T, bool>(t, StepOp::kLessOrEqual);
}

template <typename T>
void AddShifts(StepTable& t) {
  AddBinary<ShiftLeftF, T>(t, StepOp::kShiftLeft);
  AddBinary<ShiftRightF, T>(t, StepOp::kShiftRight);
}

}  // namespace

void AddGeneric(StepTable& t) {
  AddInteger<int8_t>(t);
  AddInteger<int16_t>(t);
  AddInteger<int32_t>(t);
  AddInteger<int64_t>(t);
  AddInteger<uint8_t>(t);
  AddInteger<uint16_t>(t);
  AddInteger<uint32_t>(t);
  AddInteger<uint64_t>(t);
  AddShifts<uint8_t>(t);
  AddShifts<uint16_t>(t);
  AddShifts<uint32_t>(t);
  AddShifts<uint64_t>(t);
  AddUnary<NotF, bool>(t, StepOp::kNot);
  AddBinary<AndF, bool>(t, StepOp::kAnd);
  AddBinary<OrF, bool>(t, StepOp::kOr);
  AddBinary<XorF, bool>(t, StepOp::kXor);
  AddBinary<BoolEqualF, bool>(t, StepOp::kEqual);
  AddBinary<ModF, float>(t, StepOp::kMod, 20);
  AddBinary<FmodF, float>(t, StepOp::kFmod, 20);
  AddBinary<ModF, double>(t, StepOp::kMod, 20);
  AddBinary<FmodF, double>(t, StepOp::kFmod, 20);
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

namespace sluice::cpu {
void AddGenericSteps(StepTable& table) { HWY_STATIC_DISPATCH(AddGeneric)(table); }
}  // namespace sluice::cpu
