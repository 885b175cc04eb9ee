// Our own matrix product, for what oneDNN has no fast code for: f64, integers, tiny shapes.
#ifndef SLUICE_KERNELS_CPU_GEMM_GEMM_H_
#define SLUICE_KERNELS_CPU_GEMM_GEMM_H_

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "graph/dtype.h"
#include "kernels/device/thread_pool.h"

namespace sluice::cpu {

// C[m,n] = A[m,k] * B[k,n]. Strides are in elements, so that a transposed operand costs no copy;
// C's columns are contiguous. Integers wrap. k == 0 gives zeros.
struct GemmArgs {
  int64_t m = 0, n = 0, k = 0;
  const void* a = nullptr;
  int64_t a_row = 0, a_col = 1;
  const void* b = nullptr;
  int64_t b_row = 0, b_col = 1;
  void* c = nullptr;
  int64_t c_row = 0;
};

// f64, f32, i32, i64 (u32 and u64 are the same bits).
using GemmFn = void (*)(const GemmArgs&);
GemmFn FindGemm(DType dtype);  // null for other dtypes
// Without packing and blocking, row by row: for products of a few thousand terms.
GemmFn FindTinyGemm(DType dtype);

// i16 x i16 -> i32, exact (mod 2^32): A's rows have an even stride with zeros behind an odd k, B is
// packed by PackI16. No product pair overflows while |values| <= 2^15 - 1.
struct GemmI16Args {
  int64_t m = 0, n = 0, k = 0;
  const int16_t* a = nullptr;
  int64_t a_row = 0;
  const int16_t* b = nullptr;
  int32_t* c = nullptr;
  int64_t c_row = 0;
};
void GemmI16(const GemmI16Args& args);
// Elements that PackI16 writes for B[k,n].
int64_t PackedI16Size(int64_t k, int64_t n);
// get(row, col) of B in panels for GemmI16. `b` is strided 8-bit data of either signedness, less a
// zero point for each column (or one for all).
struct PackI16Args {
  int64_t n = 0, k = 0;
  const void* b = nullptr;
  bool is_signed = true;
  int64_t b_row = 0, b_col = 1;
  const int32_t* zero = nullptr;  // null: 0
  int64_t zero_stride = 0;        // 0 or 1
  int16_t* out = nullptr;
};
void PackI16(const PackI16Args& args);

// Cuts `batch` products of m x n (k deep) into blocks of rows and columns and runs `block` on each,
// in parallel where that pays. The cut depends on sizes and threads alone.
void ForGemmBlocks(
    int64_t batch, int64_t m, int64_t n, int64_t k, ThreadPool* pool,
    absl::FunctionRef<void(int64_t batch, int64_t row, int64_t rows, int64_t col, int64_t cols)>
        block);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_GEMM_GEMM_H_
