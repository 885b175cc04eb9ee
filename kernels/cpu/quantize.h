// The last step of quantized products: 32-bit sums to 8 bits.
#ifndef SLUICE_KERNELS_CPU_QUANTIZE_H_
#define SLUICE_KERNELS_CPU_QUANTIZE_H_

#include <cstdint>

namespace sluice::cpu {

// y[i] = saturate(rint(acc[i * acc_step] * scale[i * scale_step]) + zero), ties to even.
using RequantizeFn = void (*)(const int32_t* acc, int64_t acc_step, const float* scale,
                              int64_t scale_step, int32_t zero, void* y, int64_t n);
RequantizeFn FindRequantize(bool is_signed);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_QUANTIZE_H_
