// What MatMul, Gemm, FusedMatMul and QuantizedMatMul ask for, in one form for every kernel of them.
#ifndef SLUICE_KERNELS_CPU_MATMUL_PROBLEM_H_
#define SLUICE_KERNELS_CPU_MATMUL_PROBLEM_H_

#include <vector>

#include "absl/status/statusor.h"
#include "graph/tensor.h"
#include "kernels/kernel.h"
#include "ops/fused.h"

namespace sluice::cpu {

// y = alpha * A B + beta * C, then steps; A [batch, m, k], B [batch, k, n]. Adjacent batch axes are
// merged, and folded into m, wherever every operand allows.
struct MatMulProblem {
  // An operand of the result's shape [batch..., m, n], 1 where it stretches.
  struct Operand {
    int input;
    Dims dims;
  };

  DType dtype = DType::kInvalid;
  Dims batch, a_batch, b_batch;  // of equal rank; 1 where stretched
  int64_t m = 1, n = 1, k = 0;
  bool transpose_a = false, transpose_b = false;
  float alpha = 1, beta = 1;
  bool has_c = false;
  Operand c;                      // where has_c
  std::vector<PostOp> steps;      // their operand indexes `operands`
  std::vector<Operand> operands;  // of binary steps

  static absl::StatusOr<MatMulProblem> Read(const PrepareContext& context);
  // From extents alone: plain products.
  static MatMulProblem Of(DType dtype, Dims a, Dims b);

  int64_t batches() const;
  // Elements from the first to matrix `index` of an operand with these batch extents and
  // `matrix` elements a matrix.
  int64_t MatrixOffset(const Dims& operand_batch, int64_t matrix, int64_t index) const;
  bool empty() const { return batches() == 0 || m == 0 || n == 0; }
  int64_t a_row() const { return transpose_a ? 1 : k; }
  int64_t a_col() const { return transpose_a ? m : 1; }
  int64_t b_row() const { return transpose_b ? 1 : n; }
  int64_t b_col() const { return transpose_b ? k : 1; }
  Dims Matrix(const Dims& batch_dims, int64_t rows, int64_t cols) const;

 private:
  void SetShapes(Dims a, Dims b);
  void MergeBatch();
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_MATMUL_PROBLEM_H_
