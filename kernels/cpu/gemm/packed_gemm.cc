#include "kernels/cpu/gemm/packed_gemm.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm/packed_gemm.cc"
#include "kernels/cpu/simd.h"
// After simd.h, which sets the targets.
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

// 24 accumulators of 32 registers, or 12 of 16.
constexpr int kVectors = HWY_TARGET <= HWY_AVX3 ? 3 : 2;
constexpr int kRows = HWY_TARGET <= HWY_AVX3 ? 8 : 6;
constexpr int64_t kLanes = hn::MaxLanes(DF());
constexpr int64_t kColumns = kVectors * kLanes;
constexpr int64_t kLine = 64 / sizeof(float);
// Steps of k between two looks at what to prefetch.
constexpr int64_t kUnroll = 4;
// How far ahead of its reading a panel that is read only once is prefetched.
constexpr int64_t kAhead = 4096 / sizeof(float);
// Steps of k, and elements of A, that one pass over the panels takes: A's part, a panel's part and
// the next one's stay in the second-level cache.
constexpr int64_t kDepth = 1024, kBlock = 192 << 10;

// Lines from `at` on, `lines` of them for each kUnroll steps of k.
struct Prefetch {
  const float* at = nullptr;
  int64_t lines = 0;
};

// Of one tile, when its last term has been added.
struct Finish {
  const float* bias;
  const float* addend;
  int64_t addend_row;
  float low, high;
};

template <int kR, int kV>
void Tile(const float* HWY_RESTRICT a, int64_t a_row, const float* HWY_RESTRICT b, int64_t depth,
          bool load, float* c, int64_t c_row, const Finish* finish, Prefetch prefetch) {
  const DF d;
  VF sum[kR][kV];
  for (int r = 0; r < kR; ++r) {
    for (int v = 0; v < kV; ++v) {
      sum[r][v] = load ? hn::LoadU(d, c + r * c_row + v * kLanes) : hn::Zero(d);
    }
  }
  const auto step = [&](const float* HWY_RESTRICT x, const float* HWY_RESTRICT row) HWY_ATTR {
    VF y[kV];
    for (int v = 0; v < kV; ++v) y[v] = hn::Load(d, row + v * kLanes);
    for (int r = 0; r < kR; ++r) {
      const VF factor = hn::Set(d, x[r * a_row]);
      for (int v = 0; v < kV; ++v) sum[r][v] = hn::MulAdd(factor, y[v], sum[r][v]);
    }
  };
  int64_t k = 0;
  for (; k + kUnroll <= depth; k += kUnroll) {
    for (int64_t i = 0; i < prefetch.lines; ++i) {
      __builtin_prefetch(prefetch.at, 0, 2);
      prefetch.at += kLine;
    }
    for (int u = 0; u < kUnroll; ++u) step(a + u, b + u * kV * kLanes);
    a += kUnroll;
    b += kUnroll * kV * kLanes;
  }
  for (; k < depth; ++k, ++a, b += kV * kLanes) step(a, b);

  if (finish == nullptr) {
    for (int r = 0; r < kR; ++r) {
      for (int v = 0; v < kV; ++v) hn::StoreU(sum[r][v], d, c + r * c_row + v * kLanes);
    }
    return;
  }
  // The bound is the first operand: x86 then gives back a NaN of the second.
  const VF low = hn::Set(d, finish->low), high = hn::Set(d, finish->high);
  for (int v = 0; v < kV; ++v) {
    const VF bias = finish->bias != nullptr ? hn::LoadU(d, finish->bias + v * kLanes) : hn::Zero(d);
    for (int r = 0; r < kR; ++r) {
      VF y = sum[r][v];
      if (finish->bias != nullptr) y = hn::Add(y, bias);
      if (finish->addend != nullptr) {
        y = hn::Add(y, hn::LoadU(d, finish->addend + r * finish->addend_row + v * kLanes));
      }
      hn::StoreU(hn::Min(high, hn::Max(low, y)), d, c + r * c_row + v * kLanes);
    }
  }
}

using TileFn = void (*)(const float*, int64_t, const float*, int64_t, bool, float*, int64_t,
                        const Finish*, Prefetch);
template <int kV>
TileFn FindTile(int64_t rows) {
  constexpr TileFn kTiles[] = {nullptr,     Tile<1, kV>, Tile<2, kV>, Tile<3, kV>,
                               Tile<4, kV>, Tile<5, kV>, Tile<6, kV>,
#if HWY_TARGET <= HWY_AVX3
                               Tile<7, kV>, Tile<8, kV>
#endif
  };
  return kTiles[rows];
}
TileFn FindTile(int64_t rows, int64_t vectors) {
  switch (vectors) {
    case 1:
      return FindTile<1>(rows);
    case 2:
      return FindTile<2>(rows);
    default:
      return FindTile<kVectors>(rows);
  }
}

// What one tile is made of, and where it goes.
struct TileJob {
  int64_t row, rows, column, columns;
  int64_t width;  // columns filled up to whole vectors
  const float* a;
  const float* b;
  int64_t depth;
  bool load, last;
  Prefetch prefetch;
};

// A tile by way of a buffer: its last vector goes beyond C, or something is done with it first.
HWY_NOINLINE void BufferedTile(const PackedGemmArgs& g, TileFn tile, const TileJob& t, float* c,
                               const Finish* finish, const TileDone* done) {
  HWY_ALIGN float out[kRows * kColumns], addend[kRows * kColumns], bias[kColumns];
  const auto copy = [&](const float* from, int64_t from_row, float* to) {
    for (int64_t r = 0; r < t.rows; ++r) {
      std::copy_n(from + r * from_row, t.columns, to + r * t.width);
      std::fill(to + r * t.width + t.columns, to + (r + 1) * t.width, 0.0f);
    }
  };
  if (t.load) copy(c, g.c_row, out);
  Finish padded;
  if (finish != nullptr && t.columns < t.width) {
    padded = *finish;
    if (finish->bias != nullptr) {
      std::copy_n(finish->bias, t.columns, bias);
      std::fill(bias + t.columns, bias + t.width, 0.0f);
      padded.bias = bias;
    }
    if (finish->addend != nullptr) {
      copy(finish->addend, finish->addend_row, addend);
      padded.addend = addend;
      padded.addend_row = t.width;
    }
    finish = &padded;
  }
  tile(t.a, g.a_row, t.b, t.depth, t.load, out, t.width, finish, t.prefetch);
  if (done != nullptr) (*done)({t.row, t.rows, t.column, t.columns, out, t.width});
  for (int64_t r = 0; r < t.rows; ++r) std::copy_n(out + r * t.width, t.columns, c + r * g.c_row);
}

void MakeTile(const PackedGemmArgs& g, const TileJob& t, const TileDone* done) {
  const TileFn tile = FindTile(t.rows, t.width / kLanes);
  float* c = g.c + t.row * g.c_row + t.column;
  const float* addend = g.addend == nullptr ? nullptr : g.addend + t.row * g.addend_row + t.column;
  const Finish finish = {g.bias == nullptr ? nullptr : g.bias + t.column, addend, g.addend_row,
                         g.low, g.high};
  if (t.last && addend != nullptr) {
    for (int64_t r = 0; r < t.rows; ++r) {
      for (int64_t j = 0; j < t.columns; j += kLine) {
        __builtin_prefetch(addend + r * g.addend_row + j, 0, 3);
      }
    }
  }
  if (t.columns < t.width || (t.last && done != nullptr)) {
    return BufferedTile(g, tile, t, c, t.last ? &finish : nullptr, t.last ? done : nullptr);
  }
  tile(t.a, g.a_row, t.b, t.depth, t.load, c, g.c_row, t.last ? &finish : nullptr, t.prefetch);
}

// Part [k0, k0 + depth) of the sums of rows [row, row + rows).
void Pass(const PackedGemmArgs& g, int64_t row, int64_t rows, int64_t k0, int64_t depth,
          const TileDone* done) {
  const bool load = g.accumulate || k0 > 0, last = k0 + depth == g.k;
  // Blocks of even height: their count is least, and none is much lower than kRows.
  const int64_t blocks = (rows + kRows - 1) / kRows;
  for (int64_t column = 0; column < g.n; column += kColumns) {
    const int64_t columns = std::min(kColumns, g.n - column);
    const int64_t vectors = (columns + kLanes - 1) / kLanes, width = vectors * kLanes;
    const float* b = g.panels + column * g.k + k0 * width;
    const int64_t lines = (depth * width + kLine - 1) / kLine;
    Prefetch prefetch;
    if (blocks == 1) {
      // Past the end of the packed weights is harmless: prefetching never faults.
      prefetch = {b + kAhead, kUnroll * width / kLine};
    } else {
      const bool more = column + kColumns < g.n;
      const int64_t following = std::min(kColumns, g.n - column - kColumns);
      const float* next = more ? g.panels + (column + kColumns) * g.k +
                                     k0 * ((following + kLanes - 1) / kLanes * kLanes)
                               : static_cast<const float*>(g.next);
      if (next != nullptr) {
        const int64_t looks = std::max<int64_t>(1, blocks * (depth / kUnroll));
        prefetch = {next, (lines + looks - 1) / looks};
      }
    }
    const float* const stop = prefetch.at == nullptr ? nullptr : prefetch.at + lines * kLine;
    for (int64_t i = 0; i < blocks; ++i) {
      const int64_t begin = row + rows * i / blocks, end = row + rows * (i + 1) / blocks;
      MakeTile(g,
               {begin, end - begin, column, columns, width, g.a + begin * g.a_row + k0, b, depth,
                load, last, prefetch},
               done);
      if (prefetch.lines > 0) {
        prefetch.at += depth / kUnroll * prefetch.lines * kLine;
        if (prefetch.at >= stop) prefetch.lines = 0;
      }
    }
  }
}

void Run(const PackedGemmArgs& g, const TileDone* done) {
  // A few rows read the weights once: nothing is gained by parts.
  const int64_t parts = g.m <= kRows ? 1 : std::max<int64_t>(1, (g.k + kDepth - 1) / kDepth);
  const int64_t depth = (g.k + parts - 1) / parts;
  const int64_t most = std::max<int64_t>(kRows, kBlock / std::max<int64_t>(depth, 1));
  const int64_t row_blocks = (g.m + most - 1) / most;
  const int64_t rows =
      ((g.m + row_blocks - 1) / std::max<int64_t>(row_blocks, 1) + kRows - 1) / kRows * kRows;
  for (int64_t row = 0; row < g.m; row += rows) {
    int64_t k0 = 0;
    do {
      Pass(g, row, std::min(rows, g.m - row), k0, std::min(depth, g.k - k0), done);
      k0 += depth;
    } while (k0 < g.k);
  }
}

void Pack(const float* b, int64_t row, int64_t col, int64_t k, int64_t n, float scale, float* out) {
  for (int64_t column = 0; column < n; column += kColumns) {
    const int64_t columns = std::min(kColumns, n - column);
    const int64_t width = (columns + kLanes - 1) / kLanes * kLanes;
    // Columns of a transposed B are rows: a few of them at a time fill whole lines.
    constexpr int64_t kStrip = 16;
    for (int64_t k0 = 0; k0 < k; k0 += kStrip) {
      const int64_t k1 = std::min(k0 + kStrip, k);
      if (col == 1) {
        for (int64_t i = k0; i < k1; ++i) {
          const float* from = b + i * row + column;
          for (int64_t j = 0; j < columns; ++j) out[i * width + j] = scale * from[j];
        }
      } else {
        for (int64_t j = 0; j < columns; ++j) {
          const float* from = b + (column + j) * col;
          for (int64_t i = k0; i < k1; ++i) out[i * width + j] = scale * from[i * row];
        }
      }
      for (int64_t i = k0; i < k1; ++i)
        std::fill(out + i * width + columns, out + (i + 1) * width, 0.0f);
    }
    out += width * k;
  }
}

int64_t Columns() { return kColumns; }
int64_t Rows() { return kRows; }
int64_t Floats(int64_t k, int64_t n) { return (n + kLanes - 1) / kLanes * kLanes * k; }

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {

HWY_EXPORT(Run);
HWY_EXPORT(Pack);
HWY_EXPORT(Columns);
HWY_EXPORT(Rows);
HWY_EXPORT(Floats);

namespace {

// Multiplications below which another thread is not worth waking.
constexpr double kSpreadTerms = 200000;

}  // namespace

int64_t PanelColumns() { return HWY_DYNAMIC_DISPATCH(Columns)(); }
int64_t TileRows() { return HWY_DYNAMIC_DISPATCH(Rows)(); }
int64_t PackedFloats(int64_t k, int64_t n) { return HWY_DYNAMIC_DISPATCH(Floats)(k, n); }
void PackPanels(const float* b, int64_t row, int64_t col, int64_t k, int64_t n, float scale,
                float* out) {
  HWY_DYNAMIC_DISPATCH(Pack)(b, row, col, k, n, scale, out);
}

void PackedGemm(const PackedGemmArgs& args) { HWY_DYNAMIC_DISPATCH(Run)(args, nullptr); }
void PackedGemm(const PackedGemmArgs& args, TileDone done) {
  HWY_DYNAMIC_DISPATCH(Run)(args, &done);
}

void PackedGemm(const PackedGemmArgs& args, ThreadPool* pool, const TileDone* done) {
  const int64_t threads = pool == nullptr ? 1 : pool->threads();
  const double terms = static_cast<double>(args.m) * args.n * std::max<int64_t>(args.k, 1);
  const int64_t panels = (args.n + PanelColumns() - 1) / PanelColumns();
  const int64_t blocks = (args.m + TileRows() - 1) / TileRows();
  const auto run = HWY_DYNAMIC_DISPATCH(Run);
  if (threads == 1 || terms < kSpreadTerms || std::max(panels, blocks) < 2) return run(args, done);
  // Each thread reads its own part of the larger operand, and all of the other. A cut must leave
  // the parts about even.
  const auto even = [&](int64_t units) { return units % threads == 0 || units >= 6 * threads; };
  const bool by_columns =
      panels > 1 &&
      (blocks == 1 || (even(panels) != even(blocks) ? even(panels) : args.n >= args.m));
  const int64_t units = by_columns ? panels : blocks;
  const int64_t unit = by_columns ? PanelColumns() : TileRows();
  const int64_t parts = std::min(units, threads);
  pool->RunTasks(static_cast<int>(parts), [&](int part, int) {
    const int64_t first = units * part / parts * unit;
    const int64_t end = std::min(units * (part + 1) / parts * unit, by_columns ? args.n : args.m);
    PackedGemmArgs g = args;
    const int64_t row = by_columns ? 0 : first, column = by_columns ? first : 0;
    (by_columns ? g.n : g.m) = end - first;
    g.a += row * g.a_row;
    g.c += row * g.c_row + column;
    if (g.bias != nullptr) g.bias += column;
    if (g.addend != nullptr) g.addend += row * g.addend_row + column;
    g.panels += column * g.k;
    if (done == nullptr) return run(g, nullptr);
    const auto shifted = [&](FinishedTile tile) {
      tile.row += row;
      tile.column += column;
      (*done)(tile);
    };
    const TileDone shifted_done = shifted;
    run(g, &shifted_done);
  });
}

}  // namespace sluice::cpu
#endif  // HWY_ONCE
