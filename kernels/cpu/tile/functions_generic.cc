// Steps in every dtype, built once for the least target. functions_arithmetic.cc and
// functions_math.cc replace the frequent ones by those of this machine.
#include "kernels/cpu/simd.h"
// simd.h stands first: it sets the targets.
#include "hwy/highway.h"
#include "kernels/cpu/tile/loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {
namespace {

template <typename T>
void AddInteger(TileFunctionTable& t) {
  AddUnary<AbsF, T>(t, TileStep::kAbs);
  AddUnary<NegF, T>(t, TileStep::kNeg);
  AddUnary<SignF, T>(t, TileStep::kSign);
  AddUnary<ReluF, T>(t, TileStep::kRelu);
  AddUnary<SquareF, T>(t, TileStep::kSquare);
  AddUnary<BitwiseNotF, T>(t, TileStep::kBitwiseNot);
  AddParameter<ShrinkF, T>(t, TileStep::kShrink, 2);
  AddBinary<AddF, T>(t, TileStep::kAdd);
  AddBinary<SubF, T>(t, TileStep::kSub);
  AddBinary<MulF, T>(t, TileStep::kMul);
  AddBinary<DivF, T>(t, TileStep::kDiv, 10);
  AddBinary<ModF, T>(t, TileStep::kMod, 12);
  AddBinary<FmodF, T>(t, TileStep::kFmod, 10);
  AddBinary<PowF, T>(t, TileStep::kPow, 20);
  AddBinary<MaxF, T>(t, TileStep::kMax);
  AddBinary<MinF, T>(t, TileStep::kMin);
  AddBinary<PReluF, T>(t, TileStep::kPRelu);
  AddBinary<BitwiseAndF, T>(t, TileStep::kBitwiseAnd);
  AddBinary<BitwiseOrF, T>(t, TileStep::kBitwiseOr);
  AddBinary<BitwiseXorF, T>(t, TileStep::kBitwiseXor);
  AddBinary<EqualF, T, bool>(t, TileStep::kEqual);
  AddBinary<LessF, T, bool>(t, TileStep::kLess);
  AddBinary<LessOrEqualF, T, bool>(t, TileStep::kLessOrEqual);
}

template <typename T>
void AddShifts(TileFunctionTable& t) {
  AddBinary<ShiftLeftF, T>(t, TileStep::kShiftLeft);
  AddBinary<ShiftRightF, T>(t, TileStep::kShiftRight);
}

}  // namespace

void AddGeneric(TileFunctionTable& t) {
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
  AddUnary<NotF, bool>(t, TileStep::kNot);
  AddBinary<AndF, bool>(t, TileStep::kAnd);
  AddBinary<OrF, bool>(t, TileStep::kOr);
  AddBinary<XorF, bool>(t, TileStep::kXor);
  AddBinary<BoolEqualF, bool>(t, TileStep::kEqual);
  AddBinary<ModF, float>(t, TileStep::kMod, 20);
  AddBinary<FmodF, float>(t, TileStep::kFmod, 20);
  AddBinary<ModF, double>(t, TileStep::kMod, 20);
  AddBinary<FmodF, double>(t, TileStep::kFmod, 20);
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

namespace sluice::cpu {
void AddGenericSteps(TileFunctionTable& table) { HWY_STATIC_DISPATCH(AddGeneric)(table); }
}  // namespace sluice::cpu
