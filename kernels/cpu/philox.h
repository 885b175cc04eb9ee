// Philox4x32-10 and the numbers made of it: what ops/random.h says, for the CPU. The same bits on
// each instruction set: integers, and floats in a fixed order of multiplications, additions,
// divisions and square roots, each rounded by itself (no fused multiply-add).
#ifndef SLUICE_KERNELS_CPU_PHILOX_H_
#define SLUICE_KERNELS_CPU_PHILOX_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/tile/step.h"

namespace sluice::cpu {

// One block: 10 rounds, the words of counter and key lowest first.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

struct RandomKey {
  uint64_t key, counter;  // elements 0 and 1 of the tensor
};
RandomKey Fold(RandomKey key, uint64_t data);

// Elements [begin, begin + n) of the numbers under `key`.
void FillRandom(Distribution distribution, RandomKey key, uint64_t begin, size_t n, float* out);
void FillRandom(Distribution distribution, RandomKey key, uint64_t begin, size_t n, double* out);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_PHILOX_H_
