// Epilogue: what comes after a product or convolution in our own kernels: scale, addition of C or
// a bias, and the steps of a fused op, applied to rows of the result while they are in the cache.
// The arithmetic is that of the tile steps.
#ifndef SLUICE_KERNELS_CPU_EPILOGUE_H_
#define SLUICE_KERNELS_CPU_EPILOGUE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/tensor.h"
#include "kernels/cpu/tile/function.h"
#include "kernels/device/thread_pool.h"
#include "ops/fused.h"

namespace sluice::cpu {

class Epilogue {
 public:
  // For results of `dtype` (f32, f64 or an integer) and extents `dims`, of rank 1 or more.
  Epilogue(DType dtype, Dims dims);

  // y = factor * y. Integers take whole numbers only: Unimplemented for others.
  absl::Status Scale(double factor);
  // y = y + factor * operand; the operand has `dims` of the result's rank, 1 where it stretches.
  absl::Status Add(int operand, const Dims& dims, double factor = 1);
  // A step of a fused op; `dims` is its operand's where it is binary.
  absl::Status Append(const PostOp& step, const Dims& dims);

  bool empty() const { return stages_.empty(); }

  // Applies all to elements [first, first + count) of row `row` (an index over all axes but the
  // last), which begin at `y`. `operands[i]` is what Add() and Append() called operand i.
  void Run(int64_t row, int64_t first, int64_t count, void* y,
           absl::Span<const void* const> operands) const;
  // The same for `rows` rows from `row` on, `y_row` elements apart.
  void RunTile(int64_t row, int64_t rows, int64_t first, int64_t count, void* y, int64_t y_row,
               absl::Span<const void* const> operands) const;
  // The same for the whole result, in parallel.
  void RunAll(void* y, absl::Span<const void* const> operands, ThreadPool* pool) const;

 private:
  struct Stage {
    const TileFunction* step;
    TileParams params;
    int operand = -1;  // -1: unary, or with the constant below
    bool constant = false;
    double factor = 1;         // of the operand
    alignas(8) char value[8];  // the constant, or the factor where it is not 1, in the dtype
    Dims strides;              // of the operand, one a result axis
    bool whole = false;        // the operand has the result's extents: it lies as the result does
  };
  absl::Status Binary(TileStep op, double constant);
  void RunStage(const Stage& stage, int64_t row, int64_t first, int64_t count, void* y,
                absl::Span<const void* const> operands) const;
  Dims Strides(const Dims& dims) const;

  DType dtype_;
  size_t element_;
  Dims dims_;
  const TileFunction* multiply_;
  std::vector<Stage> stages_;
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_EPILOGUE_H_
