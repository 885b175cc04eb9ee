#include "kernels/cpu/gemm/brgemm.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>

#include "absl/container/flat_hash_map.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm/brgemm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/simd.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// kRows x kVectors accumulators stay in registers over all of k.
template <int kRows, int kVectors, class D, typename T = hn::TFromD<D>>
HWY_INLINE void Block(D d, const TileShape& s, const T* HWY_RESTRICT a, const T* HWY_RESTRICT b,
                      T* HWY_RESTRICT c) {
  const size_t lanes = hn::Lanes(d);
  hn::Vec<D> sum[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = s.accumulate ? hn::LoadU(d, c + r * s.ldc + v * lanes) : hn::Zero(d);
    }
  }
  for (int64_t k = 0; k < s.k; ++k) {
    hn::Vec<D> row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = hn::LoadU(d, b + k * s.ldb + v * lanes);
    for (int r = 0; r < kRows; ++r) {
      const auto x = hn::Set(d, a[r * s.lda + k]);
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(x, row[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[r][v], d, c + r * s.ldc + v * lanes);
  }
}

template <int kVectors, class D, typename T = hn::TFromD<D>>
HWY_INLINE void Columns(D d, const TileShape& s, const T* a, const T* b, T* c) {
  int64_t m = 0;
  for (; m + 6 <= s.m; m += 6) Block<6, kVectors>(d, s, a + m * s.lda, b, c + m * s.ldc);
  a += m * s.lda;
  c += m * s.ldc;
  switch (s.m - m) {
    case 5:
      return Block<5, kVectors>(d, s, a, b, c);
    case 4:
      return Block<4, kVectors>(d, s, a, b, c);
    case 3:
      return Block<3, kVectors>(d, s, a, b, c);
    case 2:
      return Block<2, kVectors>(d, s, a, b, c);
    case 1:
      return Block<1, kVectors>(d, s, a, b, c);
    default:
      return;
  }
}

template <typename T>
HWY_INLINE void Gemm(const TileShape& s, const T* a, const T* b, T* c) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  constexpr int kVectors = HWY_TARGET <= HWY_AVX3 ? 4 : 2;  // of 32 or 16 registers
  int64_t n = 0;
  for (; n + kVectors * lanes <= s.n; n += kVectors * lanes)
    Columns<kVectors>(d, s, a, b + n, c + n);
  for (; n + lanes <= s.n; n += lanes) Columns<1>(d, s, a, b + n, c + n);
  const hn::CappedTag<T, 1> one;
  for (; n < s.n; ++n) Columns<1>(one, s, a, b + n, c + n);
}

void GemmF32(const TileShape& s, const float* a, const float* b, float* c) { Gemm(s, a, b, c); }
void GemmF64(const TileShape& s, const double* a, const double* b, double* c) { Gemm(s, a, b, c); }

// Four dot products side by side hide the latency of one another's additions.
template <typename T>
HWY_INLINE void Dots(const T* x, int64_t m, int64_t ldx, const T* y, int64_t n, int64_t ldy,
                     int64_t size, T* out, int64_t ld_out) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t j = 0; j < n; j += 4) {
    const T* rows[4];
    for (int64_t r = 0; r < 4; ++r) rows[r] = y + std::min(j + r, n - 1) * ldy;
    for (int64_t i = 0; i < m; ++i) {
      const T* a = x + i * ldx;
      hn::Vec<decltype(d)> sum[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
      int64_t k = 0;
      for (; k + lanes <= size; k += lanes) {
        const auto v = hn::LoadU(d, a + k);
        for (int r = 0; r < 4; ++r) sum[r] = hn::MulAdd(v, hn::LoadU(d, rows[r] + k), sum[r]);
      }
      for (int64_t r = 0; r < std::min<int64_t>(4, n - j); ++r) {
        T total = hn::GetLane(hn::SumOfLanes(d, sum[r]));
        for (int64_t tail = k; tail < size; ++tail) total += a[tail] * rows[r][tail];
        out[i * ld_out + j + r] = total;
      }
    }
  }
}
void DotsF32(const float* x, int64_t m, int64_t ldx, const float* y, int64_t n, int64_t ldy,
             int64_t size, float* out, int64_t ld_out) {
  Dots(x, m, ldx, y, n, ldy, size, out, ld_out);
}
void DotsF64(const double* x, int64_t m, int64_t ldx, const double* y, int64_t n, int64_t ldy,
             int64_t size, double* out, int64_t ld_out) {
  Dots(x, m, ldx, y, n, ldy, size, out, ld_out);
}

// Blocks of 4 x 4 in registers.
void TransposeF32(const float* in, int64_t rows, int64_t columns, int64_t ld_in, float* out,
                  int64_t ld_out) {
  const hn::Full128<float> d;
  const hn::Repartition<double, decltype(d)> d2;
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float* x = in + r * ld_in;
    int64_t c = 0;
    for (; c + 4 <= columns; c += 4) {
      const auto x0 = hn::LoadU(d, x + c), x1 = hn::LoadU(d, x + ld_in + c);
      const auto x2 = hn::LoadU(d, x + 2 * ld_in + c), x3 = hn::LoadU(d, x + 3 * ld_in + c);
      const auto a = hn::BitCast(d2, hn::InterleaveLower(d, x0, x1));  // 00 10 01 11
      const auto b = hn::BitCast(d2, hn::InterleaveLower(d, x2, x3));  // 20 30 21 31
      const auto e = hn::BitCast(d2, hn::InterleaveUpper(d, x0, x1));
      const auto f = hn::BitCast(d2, hn::InterleaveUpper(d, x2, x3));
      float* y = out + c * ld_out + r;
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, a, b)), d, y);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, a, b)), d, y + ld_out);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, e, f)), d, y + 2 * ld_out);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, e, f)), d, y + 3 * ld_out);
    }
    for (; c < columns; ++c) {
      for (int64_t i = 0; i < 4; ++i) out[c * ld_out + r + i] = x[i * ld_in + c];
    }
  }
  for (; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) out[c * ld_out + r] = in[r * ld_in + c];
  }
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "oneapi/dnnl/dnnl_ukernel.h"

namespace sluice::cpu {
HWY_EXPORT(GemmF32);
HWY_EXPORT(GemmF64);
HWY_EXPORT(DotsF32);
HWY_EXPORT(DotsF64);
HWY_EXPORT(TransposeF32);

namespace {

// Null where oneDNN has none for this machine and shape, or would want scratch memory.
std::shared_ptr<void> GenerateBrgemm(const TileShape& s) {
  if (std::strcmp(ChooseIsa(), "sse4") == 0) return nullptr;
  dnnl_brgemm_t raw = nullptr;
  if (dnnl_brgemm_create(&raw, s.m, s.n, s.k, /*batch_size=*/1, s.lda, s.ldb, s.ldc, dnnl_f32,
                         dnnl_f32, dnnl_f32) != dnnl_success) {
    return nullptr;
  }
  std::shared_ptr<void> handle(raw,
                               [](void* p) { dnnl_brgemm_destroy(static_cast<dnnl_brgemm_t>(p)); });
  size_t scratch = 0;
  dnnl_pack_type_t pack = dnnl_pack_type_undef;
  if (dnnl_brgemm_set_add_C(raw, s.accumulate ? 1 : 0) != dnnl_success ||
      dnnl_brgemm_finalize(raw) != dnnl_success ||
      dnnl_brgemm_get_B_pack_type(raw, &pack) != dnnl_success || pack != dnnl_pack_type_no_trans ||
      dnnl_brgemm_get_scratchpad_size(raw, &scratch) != dnnl_success || scratch > 0 ||
      dnnl_brgemm_generate(raw) != dnnl_success) {
    return nullptr;
  }
  return handle;
}

// The same, its code shared while anybody holds it: the layers of a network ask for the same tiles,
// and so do the plans for further shapes.
std::shared_ptr<void> MakeBrgemm(const TileShape& s) {
  static std::mutex* const mutex = new std::mutex;
  static auto* const known = new absl::flat_hash_map<std::array<int64_t, 7>, std::weak_ptr<void>>;
  static size_t sweep_at = 64;
  const std::array<int64_t, 7> key = {s.m, s.n, s.k, s.lda, s.ldb, s.ldc, s.accumulate};
  std::lock_guard<std::mutex> lock(*mutex);
  std::weak_ptr<void>& entry = (*known)[key];
  if (std::shared_ptr<void> handle = entry.lock()) return handle;
  std::shared_ptr<void> handle = GenerateBrgemm(s);
  entry = handle;
  if (known->size() >= sweep_at) {
    absl::erase_if(*known, [](const auto& tile) { return tile.second.expired(); });
    sweep_at = std::max<size_t>(64, 2 * known->size());
  }
  return handle;
}

}  // namespace

template <typename T>
TileGemm<T>::TileGemm(const TileShape& shape) : shape_(shape) {
  const bool empty = shape.m == 0 || shape.n == 0 || shape.k == 0;
  if constexpr (std::is_same_v<T, float>) {
    if (!empty) jit_ = MakeBrgemm(shape);
  }
}

template <>
void TileGemm<float>::Run(const float* a, const float* b, float* c) const {
  if (jit_ == nullptr) return HWY_DYNAMIC_DISPATCH(GemmF32)(shape_, a, b, c);
  static constexpr dnnl_dim_t kOffsets[2] = {0, 0};
  [[maybe_unused]] const dnnl_status_t status =
      dnnl_brgemm_execute(static_cast<dnnl_brgemm_t>(jit_.get()), a, b, kOffsets, c, nullptr);
}

template <>
void TileGemm<double>::Run(const double* a, const double* b, double* c) const {
  HWY_DYNAMIC_DISPATCH(GemmF64)(shape_, a, b, c);
}

template <>
void SimdGemm(const TileShape& s, const float* a, const float* b, float* c) {
  HWY_DYNAMIC_DISPATCH(GemmF32)(s, a, b, c);
}
template <>
void SimdGemm(const TileShape& s, const double* a, const double* b, double* c) {
  HWY_DYNAMIC_DISPATCH(GemmF64)(s, a, b, c);
}
template <>
void DotRows(const float* x, int64_t m, int64_t ldx, const float* y, int64_t n, int64_t ldy,
             int64_t size, float* out, int64_t ld_out) {
  HWY_DYNAMIC_DISPATCH(DotsF32)(x, m, ldx, y, n, ldy, size, out, ld_out);
}
template <>
void DotRows(const double* x, int64_t m, int64_t ldx, const double* y, int64_t n, int64_t ldy,
             int64_t size, double* out, int64_t ld_out) {
  HWY_DYNAMIC_DISPATCH(DotsF64)(x, m, ldx, y, n, ldy, size, out, ld_out);
}

template class TileGemm<float>;
template class TileGemm<double>;

template <>
void TransposeTile(const float* in, int64_t rows, int64_t columns, int64_t ld_in, float* out,
                   int64_t ld_out) {
  HWY_DYNAMIC_DISPATCH(TransposeF32)(in, rows, columns, ld_in, out, ld_out);
}
template <>
void TransposeTile(const double* in, int64_t rows, int64_t columns, int64_t ld_in, double* out,
                   int64_t ld_out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) out[c * ld_out + r] = in[r * ld_in + c];
  }
}

}  // namespace sluice::cpu
#endif  // HWY_ONCE
