// The softmax of attention: a row of scores in two trips, one that masks and finds the maximum, one
// that exponentiates and sums. T is float or double.
#ifndef SLUICE_KERNELS_CPU_ATTENTION_ROWS_H_
#define SLUICE_KERNELS_CPU_ATTENTION_ROWS_H_

#include <cstdint>

namespace sluice::cpu {

// x[i] += added[i] and x[i] = keep[i] ? x[i] : never, each where given (null: not); the largest of
// them and of `maximum`, NaN passed over.
template <typename T>
T MaskedMax(T* x, int64_t n, const T* added, const uint8_t* keep, T never, T maximum);

// x[i] = exp(x[i] - shift), where no x[i] is over shift; their sum, which is NaN if any x[i] is.
// f32: relative error below 2e-7; 0 where the result would be denormal.
template <typename T>
T ExpSum(T* x, int64_t n, T shift);

// out[i] = x[i] * factor; out may be x.
template <typename T>
void ScaleRow(const T* x, int64_t n, T factor, T* out);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_ATTENTION_ROWS_H_
