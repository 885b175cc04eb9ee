// PackedGemm: C[m,n] = A[m,k] B[k,n] in f32 with B packed into panels of columns, once.
//
// While the rows of A pass over one panel, the next panel is prefetched into the second-level
// cache, a line every few steps: so weights that lie in memory cost no waiting (Goto and van de
// Geijn, "Anatomy of High-Performance Matrix Multiplication", for the blocking). What follows the
// product (bias, addend, bounds, or any function of a tile) is done on a tile that is still in
// registers or in the first-level cache.
//
// Every element of C is one sum in the order of k, whatever the number of rows, columns or threads.
#ifndef SLUICE_KERNELS_CPU_GEMM_PACKED_GEMM_H_
#define SLUICE_KERNELS_CPU_GEMM_PACKED_GEMM_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/functional/function_ref.h"
#include "kernels/device/thread_pool.h"

namespace sluice::cpu {

// Columns of a whole panel, and rows of a register tile: 48 and 8 with AVX-512, 16 and 6 with AVX2,
// 8 and 6 with SSE4. A panel p of B holds [k][columns]; the last one is filled up with zeros to
// whole vectors. Panel p begins at p * PanelColumns() * k.
int64_t PanelColumns();
int64_t TileRows();
// Floats that PackPanels writes for B[k,n].
int64_t PackedFloats(int64_t k, int64_t n);
// `out` is 64-byte aligned. B's element (i, j) is b[i * row + j * col], times `scale`.
void PackPanels(const float* b, int64_t row, int64_t col, int64_t k, int64_t n, float scale,
                float* out);

struct PackedGemmArgs {
  int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  int64_t a_row = 0;  // elements from row to row; columns lie side by side
  const float* panels = nullptr;
  float* c = nullptr;
  int64_t c_row = 0;
  // c = bound(A B + c where `accumulate` + bias[column] + addend[row, column]).
  bool accumulate = false;
  const float* bias = nullptr;
  const float* addend = nullptr;  // may be c itself
  int64_t addend_row = 0;
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  // What the caller reads after this product (the next one's panels): prefetched during the last
  // panel. Null: nothing.
  const void* next = nullptr;
};

// Called on each finished tile before it goes to C, in the thread that made it: changes its numbers
// in place. They lie in the first-level cache, while C itself may not.
struct FinishedTile {
  int64_t row, rows, column, columns;  // in C
  float* data;
  int64_t stride;  // floats from row to row; those behind `columns` count for nothing
};
using TileDone = absl::FunctionRef<void(const FinishedTile& tile)>;

// On the calling thread.
void PackedGemm(const PackedGemmArgs& args);
void PackedGemm(const PackedGemmArgs& args, TileDone done);
// Split over the pool, by columns or rows as the extents suggest. `done` may be null.
void PackedGemm(const PackedGemmArgs& args, ThreadPool* pool, const TileDone* done);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_GEMM_PACKED_GEMM_H_
