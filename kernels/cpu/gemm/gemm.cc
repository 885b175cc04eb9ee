#include "kernels/cpu/gemm/gemm.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm/gemm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/simd.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kDepth = 256;  // rows of a packed panel of B

template <class D, class V = hn::Vec<D>>
HWY_INLINE V MulAddAny(D, V a, V b, V c) {
  if constexpr (hwy::IsFloat<hn::TFromD<D>>()) {
    return hn::MulAdd(a, b, c);
  } else {
    return hn::Add(hn::Mul(a, b), c);
  }
}

// kRows x 2 vectors of C over `depth` steps; panel is [depth][2 * Lanes].
template <int kRows, typename T>
HWY_INLINE void Micro(const T* HWY_RESTRICT a, int64_t a_row, int64_t a_col,
                      const T* HWY_RESTRICT panel, int64_t depth, T* HWY_RESTRICT c, int64_t c_row,
                      int64_t columns, bool add) {
  const hn::ScalableTag<T> d;
  const size_t lanes = hn::Lanes(d);
  using V = hn::Vec<decltype(d)>;
  V acc[kRows][2];
  for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = hn::Zero(d);
  for (int64_t k = 0; k < depth; ++k) {
    const V b0 = hn::Load(d, panel + k * 2 * lanes);
    const V b1 = hn::Load(d, panel + k * 2 * lanes + lanes);
    for (int r = 0; r < kRows; ++r) {
      const V x = hn::Set(d, a[r * a_row + k * a_col]);
      acc[r][0] = MulAddAny(d, x, b0, acc[r][0]);
      acc[r][1] = MulAddAny(d, x, b1, acc[r][1]);
    }
  }
  if (columns == static_cast<int64_t>(2 * lanes)) {
    for (int r = 0; r < kRows; ++r) {
      T* out = c + r * c_row;
      if (add) {
        acc[r][0] = hn::Add(acc[r][0], hn::LoadU(d, out));
        acc[r][1] = hn::Add(acc[r][1], hn::LoadU(d, out + lanes));
      }
      hn::StoreU(acc[r][0], d, out);
      hn::StoreU(acc[r][1], d, out + lanes);
    }
    return;
  }
  HWY_ALIGN T row[2 * HWY_MAX_BYTES / sizeof(T)];
  for (int r = 0; r < kRows; ++r) {
    T* out = c + r * c_row;
    hn::Store(acc[r][0], d, row);
    hn::Store(acc[r][1], d, row + lanes);
    if constexpr (hwy::IsFloat<T>()) {
      for (int64_t j = 0; j < columns; ++j) out[j] = add ? out[j] + row[j] : row[j];
    } else {
      using U = hwy::MakeUnsigned<T>;  // integers wrap
      for (int64_t j = 0; j < columns; ++j) {
        out[j] = static_cast<T>(static_cast<U>(add ? out[j] : 0) + static_cast<U>(row[j]));
      }
    }
  }
}

template <typename T>
void Gemm(const GemmArgs& g) {
  const T* a = static_cast<const T*>(g.a);
  const T* b = static_cast<const T*>(g.b);
  T* c = static_cast<T*>(g.c);
  if (g.k == 0) {
    for (int64_t i = 0; i < g.m; ++i) std::fill_n(c + i * g.c_row, g.n, T{0});
    return;
  }
  const hn::ScalableTag<T> d;
  const int64_t width = 2 * static_cast<int64_t>(hn::Lanes(d));
  HWY_ALIGN T panel[kDepth * 2 * HWY_MAX_BYTES / sizeof(T)];
  for (int64_t k0 = 0; k0 < g.k; k0 += kDepth) {
    const int64_t depth = std::min(kDepth, g.k - k0);
    for (int64_t n0 = 0; n0 < g.n; n0 += width) {
      const int64_t columns = std::min(width, g.n - n0);
      for (int64_t k = 0; k < depth; ++k) {
        const T* from = b + (k0 + k) * g.b_row + n0 * g.b_col;
        T* to = panel + k * width;
        if (g.b_col == 1 && columns == width) {
          hn::Store(hn::LoadU(d, from), d, to);
          hn::Store(hn::LoadU(d, from + width / 2), d, to + width / 2);
          continue;
        }
        for (int64_t j = 0; j < columns; ++j) to[j] = from[j * g.b_col];
        std::fill(to + columns, to + width, T{0});
      }
      const bool add = k0 > 0;
      const T* rows = a + k0 * g.a_col;
      T* out = c + n0;
      int64_t i = 0;
      for (; i + 6 <= g.m; i += 6) {
        Micro<6, T>(rows + i * g.a_row, g.a_row, g.a_col, panel, depth, out + i * g.c_row, g.c_row,
                    columns, add);
      }
      for (; i + 2 <= g.m; i += 2) {
        Micro<2, T>(rows + i * g.a_row, g.a_row, g.a_col, panel, depth, out + i * g.c_row, g.c_row,
                    columns, add);
      }
      if (i < g.m) {
        Micro<1, T>(rows + i * g.a_row, g.a_row, g.a_col, panel, depth, out + i * g.c_row, g.c_row,
                    columns, add);
      }
    }
  }
}

// kRows x one vector of C straight from B's rows.
template <int kRows, class D, typename T = hn::TFromD<D>>
HWY_INLINE void TinyBlock(D d, const GemmArgs& g, const T* HWY_RESTRICT a, const T* HWY_RESTRICT b,
                          T* HWY_RESTRICT c) {
  hn::Vec<D> acc[kRows];
  for (int r = 0; r < kRows; ++r) acc[r] = hn::Zero(d);
  for (int64_t k = 0; k < g.k; ++k) {
    const auto bk = hn::LoadU(d, b + k * g.b_row);
    for (int r = 0; r < kRows; ++r) {
      acc[r] = MulAddAny(d, hn::Set(d, a[r * g.a_row + k * g.a_col]), bk, acc[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) hn::StoreU(acc[r], d, c + r * g.c_row);
}

template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void TinyColumns(D d, const GemmArgs& g, int64_t j) {
  const T* a = static_cast<const T*>(g.a);
  const T* b = static_cast<const T*>(g.b) + j;
  T* c = static_cast<T*>(g.c) + j;
  int64_t i = 0;
  for (; i + 8 <= g.m; i += 8) TinyBlock<8>(d, g, a + i * g.a_row, b, c + i * g.c_row);
  for (; i + 4 <= g.m; i += 4) TinyBlock<4>(d, g, a + i * g.a_row, b, c + i * g.c_row);
  for (; i < g.m; ++i) TinyBlock<1>(d, g, a + i * g.a_row, b, c + i * g.c_row);
}

// Columns that are fewer than a vector go with half the vector, and so on down; the last vector of
// more columns overlaps the one before it.
template <class D>
HWY_INLINE void TinyWith(D d, const GemmArgs& g) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  if (g.n >= lanes) {
    int64_t j = 0;
    for (; j + lanes <= g.n; j += lanes) TinyColumns(d, g, j);
    if (j < g.n) TinyColumns(d, g, g.n - lanes);
    return;
  }
  if constexpr (hn::MaxLanes(D()) > 1) TinyWith(hn::Half<D>(), g);
}

template <typename T>
void TinyGemm(const GemmArgs& g) {
  if (g.b_col != 1 || g.n == 0) {
    Gemm<T>(g);
    return;
  }
  TinyWith(hn::ScalableTag<T>(), g);
}

// B for i16 products: panels of two vectors of i32 columns, [pairs of k][columns][2].
int64_t PanelWidth() { return 2 * static_cast<int64_t>(hn::Lanes(hn::ScalableTag<int32_t>())); }

template <typename T8>
void PackPanels(const PackI16Args& p) {
  const T8* b = static_cast<const T8*>(p.b);
  const int64_t width = PanelWidth(), pairs = (p.k + 1) / 2;
  int16_t* out = p.out;
  for (int64_t n0 = 0; n0 < p.n; n0 += width) {
    const int64_t columns = std::min(width, p.n - n0);
    for (int64_t q = 0; q < pairs; ++q, out += 2 * width) {
      std::fill_n(out, 2 * width, int16_t{0});
      for (int64_t h = 0; h < 2 && 2 * q + h < p.k; ++h) {
        const T8* row = b + (2 * q + h) * p.b_row + n0 * p.b_col;
        for (int64_t j = 0; j < columns; ++j) {
          const int32_t zero = p.zero == nullptr ? 0 : p.zero[(n0 + j) * p.zero_stride];
          out[2 * j + h] = static_cast<int16_t>(row[j * p.b_col] - zero);
        }
      }
    }
  }
}

void Pack(const PackI16Args& p) { p.is_signed ? PackPanels<int8_t>(p) : PackPanels<uint8_t>(p); }
int64_t PackedSize(int64_t k, int64_t n) {
  const int64_t width = PanelWidth();
  return (n + width - 1) / width * width * ((k + 1) / 2) * 2;
}

template <class DI, class V16, class V32>
HWY_INLINE V32 PairMulAdd(DI di, V16 a, V16 b, V32 sum) {
#if HWY_TARGET == HWY_AVX3
  return hn::Add(sum, V32{_mm512_madd_epi16(a.raw, b.raw)});
#elif HWY_TARGET == HWY_AVX2
  return hn::Add(sum, V32{_mm256_madd_epi16(a.raw, b.raw)});
#elif HWY_TARGET == HWY_SSE4
  return hn::Add(sum, V32{_mm_madd_epi16(a.raw, b.raw)});
#else
  const hn::RebindToUnsigned<DI> du;
  (void)du;
  V32 odd = hn::Zero(di);
  sum = hn::ReorderWidenMulAccumulate(di, a, b, sum, odd);
  return hn::Add(sum, odd);
#endif
}

template <int kRows>
HWY_INLINE void MicroI16(const int16_t* HWY_RESTRICT a, int64_t a_row,
                         const int16_t* HWY_RESTRICT panel, int64_t pairs, int32_t* HWY_RESTRICT c,
                         int64_t c_row, int64_t columns) {
  const hn::ScalableTag<int32_t> d;
  const hn::Repartition<int16_t, decltype(d)> d16;
  const size_t lanes = hn::Lanes(d);
  hn::Vec<decltype(d)> acc[kRows][2];
  for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = hn::Zero(d);
  for (int64_t q = 0; q < pairs; ++q) {
    const auto b0 = hn::LoadU(d16, panel + q * 4 * lanes);
    const auto b1 = hn::LoadU(d16, panel + q * 4 * lanes + 2 * lanes);
    for (int r = 0; r < kRows; ++r) {
      int32_t pair;
      __builtin_memcpy(&pair, a + r * a_row + 2 * q, sizeof pair);
      const auto x = hn::BitCast(d16, hn::Set(d, pair));
      acc[r][0] = PairMulAdd(d, x, b0, acc[r][0]);
      acc[r][1] = PairMulAdd(d, x, b1, acc[r][1]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    int32_t* out = c + r * c_row;
    if (columns == static_cast<int64_t>(2 * lanes)) {
      hn::StoreU(acc[r][0], d, out);
      hn::StoreU(acc[r][1], d, out + lanes);
      continue;
    }
    HWY_ALIGN int32_t row[2 * HWY_MAX_BYTES / sizeof(int32_t)];
    hn::Store(acc[r][0], d, row);
    hn::Store(acc[r][1], d, row + lanes);
    std::copy_n(row, columns, out);
  }
}

void I16(const GemmI16Args& g) {
  const int64_t width = PanelWidth(), pairs = (g.k + 1) / 2;
  const int16_t* panel = g.b;
  for (int64_t n0 = 0; n0 < g.n; n0 += width, panel += pairs * 2 * width) {
    const int64_t columns = std::min(width, g.n - n0);
    int64_t i = 0;
    for (; i + 6 <= g.m; i += 6) {
      MicroI16<6>(g.a + i * g.a_row, g.a_row, panel, pairs, g.c + i * g.c_row + n0, g.c_row,
                  columns);
    }
    for (; i < g.m; ++i) {
      MicroI16<1>(g.a + i * g.a_row, g.a_row, panel, pairs, g.c + i * g.c_row + n0, g.c_row,
                  columns);
    }
  }
}

GemmFn Find(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return Gemm<double>;
    case DType::kF32:
      return Gemm<float>;
    case DType::kI32:
    case DType::kU32:
      return Gemm<int32_t>;
    case DType::kI64:
    case DType::kU64:
      return Gemm<int64_t>;
    default:
      return nullptr;
  }
}

GemmFn FindTiny(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return TinyGemm<double>;
    case DType::kF32:
      return TinyGemm<float>;
    case DType::kI32:
    case DType::kU32:
      return TinyGemm<int32_t>;
    case DType::kI64:
    case DType::kU64:
      return TinyGemm<int64_t>;
    default:
      return nullptr;
  }
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {

HWY_EXPORT(Find);
HWY_EXPORT(FindTiny);
HWY_EXPORT(I16);
HWY_EXPORT(Pack);
HWY_EXPORT(PackedSize);

GemmFn FindGemm(DType dtype) { return HWY_DYNAMIC_DISPATCH(Find)(dtype); }
GemmFn FindTinyGemm(DType dtype) { return HWY_DYNAMIC_DISPATCH(FindTiny)(dtype); }
void GemmI16(const GemmI16Args& args) { HWY_DYNAMIC_DISPATCH(I16)(args); }
void PackI16(const PackI16Args& args) { HWY_DYNAMIC_DISPATCH(Pack)(args); }
int64_t PackedI16Size(int64_t k, int64_t n) { return HWY_DYNAMIC_DISPATCH(PackedSize)(k, n); }

void ForGemmBlocks(int64_t batch, int64_t m, int64_t n, int64_t k, ThreadPool* pool,
                   absl::FunctionRef<void(int64_t, int64_t, int64_t, int64_t, int64_t)> block) {
  if (batch == 0 || m == 0 || n == 0) return;
  const int64_t threads = pool == nullptr ? 1 : pool->threads();
  const double work = static_cast<double>(m) * n * std::max<int64_t>(k, 1);
  // A product by itself is cut only where the batch leaves threads idle.
  int64_t rows = m, cols = n;
  if (threads > 1 && work > 1 << 16 && batch < 2 * threads) {
    rows = std::min<int64_t>(m, 96);
    const int64_t row_blocks = (m + rows - 1) / rows;
    const int64_t wanted = (4 * threads + batch * row_blocks - 1) / (batch * row_blocks);
    cols = std::min(n, std::max<int64_t>(64, ((n + wanted - 1) / wanted + 63) / 64 * 64));
  }
  const int64_t row_blocks = (m + rows - 1) / rows, col_blocks = (n + cols - 1) / cols;
  const int64_t blocks = batch * row_blocks * col_blocks;
  const double each = static_cast<double>(rows) * cols * std::max<int64_t>(k, 1);
  const int64_t grain = std::max<int64_t>(1, static_cast<int64_t>((1 << 16) / each));
  auto body = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / col_blocks % row_blocks * rows, col = i % col_blocks * cols;
      block(i / (row_blocks * col_blocks), row, std::min(rows, m - row), col,
            std::min(cols, n - col));
    }
  };
  if (pool == nullptr) {
    body(0, blocks);
  } else {
    pool->ParallelFor(blocks, grain, body);
  }
}

}  // namespace sluice::cpu
#endif  // HWY_ONCE
