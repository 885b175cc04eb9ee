#include "kernels/cpu/arg_reduce.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/arg_reduce.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/simd.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu {
namespace HWY_NAMESPACE {

// For each column: takes x[i], which stands at `row`, where it beats best[i].
template <typename C, bool kMin, bool kLast>
void Update(const void* x_, int64_t row, void* best_, int64_t* index, size_t n) {
  const C* x = static_cast<const C*>(x_);
  C* best = static_cast<C*>(best_);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) {
    const C v = x[i], b = best[i];
    bool take = kMin ? v < b : v > b;
    take |= v != v && (kLast || b == b);
    if (kLast) take |= v == b;
    best[i] = take ? v : b;
    index[i] = take ? row : index[i];
  }
}

using UpdateFn = void (*)(const void* x, int64_t row, void* best, int64_t* index, size_t n);

UpdateFn FindUpdate(DType dtype, bool min, bool last) {
  return VisitDType(
      dtype,
      [&]<typename T>() -> UpdateFn {
        if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
          return nullptr;  // computed in float
        } else {
          return min ? (last ? Update<T, true, true> : Update<T, true, false>)
                     : (last ? Update<T, false, true> : Update<T, false, false>);
        }
      },
      []() -> UpdateFn { return nullptr; });
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {
namespace {

HWY_EXPORT(FindUpdate);
using UpdateFn = void (*)(const void* x, int64_t row, void* best, int64_t* index, size_t n);

constexpr int64_t kTile = 1024;

// `count` elements of x from `offset` on, in the compute type: in place, or converted into `tile`.
template <typename C>
const C* Load(const void* x, DType dtype, TileFn convert, int64_t offset, int64_t count, C* tile) {
  const void* from = static_cast<const char*>(x) + offset * static_cast<int64_t>(ByteSize(dtype));
  if (dtype == kDTypeOf<C>) return static_cast<const C*>(from);
  convert(&from, tile, static_cast<size_t>(count), {});
  return tile;
}

template <typename C>
bool Same(C a, C b) {
  return a == b || (a != a && b != b);
}

}  // namespace

// Finds the best tile by the reduction step, then the element inside it.
template <typename C>
void ArgReducer::Rows(const void* x, int64_t begin, int64_t end, int64_t* indices) const {
  const TileFn convert = FindConversion(dtype, kDTypeOf<C>);
  const ReduceOp op = min ? ReduceOp::kMin : ReduceOp::kMax;
  const ReduceFn reduce = FindReduce(op, kDTypeOf<C>);
  alignas(64) C tile[kTile];
  for (int64_t row = begin; row < end; ++row) {
    C best{};
    int64_t best_tile = 0;
    for (int64_t t = 0; t < n; t += kTile) {
      const int64_t count = std::min(kTile, n - t);
      C extreme;
      ReduceIdentity(op, kDTypeOf<C>, &extreme);
      reduce(Load<C>(x, dtype, convert, row * n + t, count, tile), static_cast<size_t>(count),
             &extreme);
      const bool better = (min ? extreme < best : extreme > best) ||
                          (extreme != extreme && best == best) || (last && Same(extreme, best));
      if (t > 0 && !better) continue;
      best = extreme;
      best_tile = t;
    }
    const int64_t count = std::min(kTile, n - best_tile);
    const C* v = Load<C>(x, dtype, convert, row * n + best_tile, count, tile);
    int64_t i = last ? count - 1 : 0;
    if (last) {
      while (i > 0 && !Same(v[i], best)) --i;
    } else {
      while (i < count - 1 && !Same(v[i], best)) ++i;
    }
    indices[row] = best_tile + i;
  }
}

template <typename C>
void ArgReducer::Columns(const void* x, int64_t begin, int64_t end, int64_t* indices) const {
  const TileFn convert = FindConversion(dtype, kDTypeOf<C>);
  const UpdateFn update = HWY_DYNAMIC_DISPATCH(FindUpdate)(kDTypeOf<C>, min, last);
  alignas(64) C tile[kTile];
  alignas(64) C best[kTile];
  const int64_t tiles = (inner + kTile - 1) / kTile;
  for (int64_t t = begin; t < end; ++t) {
    const int64_t o = t / tiles, i = t % tiles * kTile;
    const int64_t count = std::min(kTile, inner - i);
    int64_t* index = indices + o * inner + i;
    std::fill_n(index, count, 0);
    std::copy_n(Load<C>(x, dtype, convert, o * n * inner + i, count, tile), count, best);
    for (int64_t r = 1; r < n; ++r) {
      update(Load<C>(x, dtype, convert, (o * n + r) * inner + i, count, tile), r, best, index,
             static_cast<size_t>(count));
    }
  }
}

void ArgReducer::Run(const void* x, int64_t* indices, ThreadPool* pool) const {
  VisitDType(
      ComputeType(dtype),
      [&]<typename C>() {
        if constexpr (!std::is_same_v<C, Float16> && !std::is_same_v<C, BFloat16> &&
                      !std::is_same_v<C, bool>) {
          const int64_t tiles = (inner + kTile - 1) / kTile;
          const int64_t cost = n * std::min(inner, kTile);
          pool->ParallelFor(outer * tiles, std::max<int64_t>(1, 32768 / cost),
                            [&](int64_t begin, int64_t end) {
                              if (inner == 1) {
                                Rows<C>(x, begin, end, indices);
                              } else {
                                Columns<C>(x, begin, end, indices);
                              }
                            });
        }
      },
      [] {});
}

}  // namespace sluice::cpu
#endif  // HWY_ONCE
