// Steps: the arithmetic of every element-wise op, once. A step is a plain function over contiguous
// arrays; the op's own kernel, fused loops, softmax and norms all call the same ones. Each is built
// for SSE4, AVX2 and AVX-512 where that pays, and looked up at preparation.
//
// Steps compute in f64, f32, the integers and bool. f16 and bf16 enter and leave through
// conversions (FindConversion) and are computed in f32.
#ifndef SLUICE_KERNELS_CPU_TILE_STEP_H_
#define SLUICE_KERNELS_CPU_TILE_STEP_H_

#include <cstddef>
#include <cstdint>

#include "graph/dtype.h"

namespace sluice::cpu {

enum class StepOp : uint8_t {
  // Unary: T -> T. Parameters as ONNX's attributes: a = alpha, b = beta (or gamma, bias, lambd).
  kAbs,
  kNeg,
  kSign,
  kFloor,
  kCeil,
  kRound,
  kSqrt,
  kPowHalf,       // x^0.5: not sqrt(x) at -infinity (infinity) and -0 (0)
  kPowMinusHalf,  // x^-0.5
  kReciprocal,
  kSquare,
  kExp,
  kLog,
  kSin,
  kCos,
  kTan,
  kAsin,
  kAcos,
  kAtan,
  kSinh,
  kCosh,
  kTanh,
  kAsinh,
  kAcosh,
  kAtanh,
  kErf,
  kSigmoid,
  kRelu,
  kLeakyRelu,        // a x for x < 0
  kElu,              // a (e^x - 1) for x < 0
  kSelu,             // b (a (e^x - 1)) for x <= 0, b x above
  kCelu,             // a (e^(x/a) - 1) for x < 0
  kThresholdedRelu,  // x where x > a, else 0
  kHardSigmoid,      // clamp(a x + b, 0, 1)
  kHardSwish,        // x clamp(x/6 + 0.5, 0, 1)
  kSoftplus,
  kSoftsign,
  kGelu,      // x Phi(x) by erf
  kGeluTanh,  // its approximation by tanh
  kMish,
  kSwish,   // x sigmoid(a x)
  kShrink,  // x + b below -a, x - b above a, else 0
  kNot,
  kBitwiseNot,
  // Unary: T -> bool.
  kIsNaN,
  kIsInf,  // a != 0: detects +infinity, b != 0: detects -infinity
  // Binary: T, T -> T.
  kAdd,
  kSub,
  kMul,
  kDiv,    // integers: toward zero; x / 0 is 0, min / -1 is min
  kMod,    // sign of the divisor (Python); x mod 0 is 0 for integers
  kFmod,   // sign of the dividend (C)
  kPow,    // integers: negative exponents give 1 / x^n toward zero
  kMax,    // NaN if either is
  kMin,    // NaN if either is
  kPRelu,  // x, slope
  kAnd,    // bool
  kOr,
  kXor,
  kBitwiseAnd,
  kBitwiseOr,
  kBitwiseXor,
  kShiftLeft,  // 0 from the type's width on
  kShiftRight,
  // Binary: T, T -> bool.
  kEqual,
  kLess,
  kLessOrEqual,
  // Ternary: bool, T, T -> T.
  kWhere,
  kCount,
};

struct StepParams {
  double a = 0, b = 0;
};

// out[i] = op(in[0][i], in[1][i], ...) for i < n. `out` may be one of the inputs exactly where the
// element sizes are equal; partly overlapping arrays may not be given. n may be 0.
using StepFn = void (*)(const void* const* in, void* out, size_t n, const StepParams& params);

struct Step {
  StepFn fn = nullptr;
  // The same where in[0], or in[1], is one element for all i. Null: fill an array first.
  StepFn scalar0 = nullptr, scalar1 = nullptr;
  int cost = 1;  // roughly, of one element, in units of an addition
};

// Null where `op` does not compute in `dtype` (of its last input, for kWhere too).
const Step* FindStep(StepOp op, DType dtype);
DType StepResult(StepOp op, DType dtype);
int StepArity(StepOp op);

// Conversions between any two number types or bool, with ONNX's Cast semantics: floats to integers
// truncate and saturate, NaN gives 0; integers wrap; anything but zero is true. Null for strings.
// from == to copies.
StepFn FindConversion(DType from, DType to);

// The dtype that steps compute `dtype` in: f32 for f16 and bf16, else itself.
constexpr DType ComputeType(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kBF16 ? DType::kF32 : dtype;
}

enum class ReduceOp : uint8_t { kSum, kProd, kMax, kMin };
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

#endif  // SLUICE_KERNELS_CPU_TILE_STEP_H_
