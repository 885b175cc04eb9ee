// Tiles of matrix products, for our own loops over panels and tiles: C[m,n] = A[m,k] B[k,n],
// row-major.
//
// f32 runs oneDNN's micro-kernel (brgemm, an experimental API: this file pair is the only one that
// knows it) where the machine has AVX2; f64 and lesser machines run a kernel of ours.
#ifndef SLUICE_KERNELS_CPU_GEMM_BRGEMM_H_
#define SLUICE_KERNELS_CPU_GEMM_BRGEMM_H_

#include <cstdint>
#include <memory>

namespace sluice::cpu {

struct TileShape {
  int64_t m = 0, n = 0, k = 0;
  int64_t lda = 0, ldb = 0, ldc = 0;  // elements from row to row
  bool accumulate = false;            // adds to C instead of overwriting it
};

// T is float or double. Made at preparation; Run() may be called by many threads.
template <typename T>
class TileGemm {
 public:
  TileGemm() = default;
  explicit TileGemm(const TileShape& shape);
  void Run(const T* a, const T* b, T* c) const;
  const char* name() const { return jit_ != nullptr ? "brgemm" : "simd"; }

 private:
  TileShape shape_;
  std::shared_ptr<void> jit_;
};

// The same once, by our kernel: for shapes that only the data knows.
template <typename T>
void SimdGemm(const TileShape& shape, const T* a, const T* b, T* c);

// out[i * ld_out + j] = the dot product of rows x_i and y_j of `size` elements, i < m, j < n: what
// a product with a transposed matrix is where m is too small to pay for the transposition.
template <typename T>
void DotRows(const T* x, int64_t m, int64_t ldx, const T* y, int64_t n, int64_t ldy, int64_t size,
             T* out, int64_t ld_out);

// The columns of a packed panel: a matrix B[k,n] is packed as ceil(n / kPanel) blocks of
// [k][kPanel].
inline constexpr int64_t kPanel = 64;
constexpr int64_t Panels(int64_t n) { return (n + kPanel - 1) / kPanel; }

// out[c * ld_out + r] = in[r * ld_in + c] for r < rows, c < columns.
template <typename T>
void TransposeTile(const T* in, int64_t rows, int64_t columns, int64_t ld_in, T* out,
                   int64_t ld_out);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_GEMM_BRGEMM_H_
