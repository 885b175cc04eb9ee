// Reductions over rows and over columns, for each SIMD target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/tile/reduce.cc"
#include "kernels/cpu/simd.h"
// simd.h stands first: it sets the targets.
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/tile/loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Vector forms of the functors; maximum and minimum hand on NaN.
struct SumV {
  template <class V>
  static HWY_INLINE V Of(V a, V b) {
    return hn::Add(a, b);
  }
};
struct ProdV {
  template <class V>
  static HWY_INLINE V Of(V a, V b) {
    return hn::Mul(a, b);
  }
};
struct MaxV {
  template <class V>
  static HWY_INLINE V Of(V a, V b) {
    return hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, b);
  }
};
struct MinV {
  template <class V>
  static HWY_INLINE V Of(V a, V b) {
    return hn::IfThenElse(hn::Or(hn::Lt(a, b), hn::IsNaN(a)), a, b);
  }
};

// Four vectors of lanes, so that the operations do not wait for each other and rounding errors stay
// short.
template <typename F, typename V, typename T>
void FloatReduce(const void* in, size_t n, void* acc) {
  const hn::ScalableTag<T> d;
  const size_t lanes = hn::Lanes(d);
  const T* x = static_cast<const T*>(in);
  T result = *static_cast<T*>(acc);
  size_t i = 0;
  if (n >= lanes) {
    auto a = hn::LoadU(d, x);
    i = lanes;
    if (n >= 4 * lanes) {
      auto b = hn::LoadU(d, x + lanes), c = hn::LoadU(d, x + 2 * lanes);
      auto e = hn::LoadU(d, x + 3 * lanes);
      for (i = 4 * lanes; i + 4 * lanes <= n; i += 4 * lanes) {
        a = V::Of(a, hn::LoadU(d, x + i));
        b = V::Of(b, hn::LoadU(d, x + i + lanes));
        c = V::Of(c, hn::LoadU(d, x + i + 2 * lanes));
        e = V::Of(e, hn::LoadU(d, x + i + 3 * lanes));
      }
      a = V::Of(V::Of(a, b), V::Of(c, e));
    }
    for (; i + lanes <= n; i += lanes) a = V::Of(a, hn::LoadU(d, x + i));
    HWY_ALIGN T parts[hn::MaxLanes(hn::ScalableTag<T>())];
    hn::Store(a, d, parts);
    for (size_t width = lanes / 2; width > 0; width /= 2) {
      for (size_t k = 0; k < width; ++k) parts[k] = F::Of(parts[k], parts[k + width]);
    }
    result = F::Of(result, parts[0]);
  }
  for (; i < n; ++i) result = F::Of(result, x[i]);
  *static_cast<T*>(acc) = result;
}

template <typename F, typename T>
void ReduceColumns(const void* in, size_t rows, size_t columns, void* acc) {
  const T* x = static_cast<const T*>(in);
  T* result = static_cast<T*>(acc);
  for (size_t r = 0; r < rows; ++r, x += columns) {
    SLUICE_VECTORIZE
    for (size_t c = 0; c < columns; ++c) result[c] = F::Of(result[c], x[c]);
  }
}

// The results of some columns stay in registers while the rows pass.
template <typename F, typename V, typename T>
void FloatReduceColumns(const void* in, size_t rows, size_t columns, void* acc) {
  const hn::ScalableTag<T> d;
  const size_t lanes = hn::Lanes(d);
  if (columns < lanes) return ReduceColumns<F, T>(in, rows, columns, acc);
  const T* const begin = static_cast<const T*>(in);
  T* const result = static_cast<T*>(acc);
  const auto one = [&](size_t c) HWY_ATTR {
    auto y = hn::LoadU(d, result + c);
    const T* x = begin + c;
    for (size_t r = 0; r < rows; ++r, x += columns) y = V::Of(y, hn::LoadU(d, x));
    return y;
  };
  // The last vector overlaps the one before: it is read before that is written.
  const size_t last = columns - lanes;
  const auto at_last = one(last);
  size_t c = 0;
  for (; c + 4 * lanes <= columns; c += 4 * lanes) {
    const T* x = begin + c;
    T* const y = result + c;
    auto y0 = hn::LoadU(d, y), y1 = hn::LoadU(d, y + lanes);
    auto y2 = hn::LoadU(d, y + 2 * lanes), y3 = hn::LoadU(d, y + 3 * lanes);
    for (size_t r = 0; r < rows; ++r, x += columns) {
      y0 = V::Of(y0, hn::LoadU(d, x));
      y1 = V::Of(y1, hn::LoadU(d, x + lanes));
      y2 = V::Of(y2, hn::LoadU(d, x + 2 * lanes));
      y3 = V::Of(y3, hn::LoadU(d, x + 3 * lanes));
    }
    hn::StoreU(y0, d, y);
    hn::StoreU(y1, d, y + lanes);
    hn::StoreU(y2, d, y + 2 * lanes);
    hn::StoreU(y3, d, y + 3 * lanes);
  }
  for (; c < last; c += lanes) hn::StoreU(one(c), d, result + c);
  hn::StoreU(at_last, d, result + last);
}

// Integers may be combined in any order: the compiler vectorises it.
template <typename F, typename T>
void IntegerReduce(const void* in, size_t n, void* acc) {
  const T* x = static_cast<const T*>(in);
  T result = *static_cast<T*>(acc);
  for (size_t i = 0; i < n; ++i) result = F::Of(result, x[i]);
  *static_cast<T*>(acc) = result;
}

template <typename T>
void AddFloat(TileFunctionTable& t) {
  constexpr DType kType = kDTypeOf<T>;
  t.SetReduce(ReduceOp::kSum, kType, FloatReduce<AddF, SumV, T>, FloatReduceColumns<AddF, SumV, T>);
  t.SetReduce(ReduceOp::kProd, kType, FloatReduce<MulF, ProdV, T>,
              FloatReduceColumns<MulF, ProdV, T>);
  t.SetReduce(ReduceOp::kMax, kType, FloatReduce<MaxF, MaxV, T>, FloatReduceColumns<MaxF, MaxV, T>);
  t.SetReduce(ReduceOp::kMin, kType, FloatReduce<MinF, MinV, T>, FloatReduceColumns<MinF, MinV, T>);
}
template <typename T>
void AddInteger(TileFunctionTable& t) {
  constexpr DType kType = kDTypeOf<T>;
  t.SetReduce(ReduceOp::kSum, kType, IntegerReduce<AddF, T>, ReduceColumns<AddF, T>);
  t.SetReduce(ReduceOp::kProd, kType, IntegerReduce<MulF, T>, ReduceColumns<MulF, T>);
  t.SetReduce(ReduceOp::kMax, kType, IntegerReduce<MaxF, T>, ReduceColumns<MaxF, T>);
  t.SetReduce(ReduceOp::kMin, kType, IntegerReduce<MinF, T>, ReduceColumns<MinF, T>);
}

void AddReduceLoops(TileFunctionTable& t) {
  AddFloat<float>(t);
  AddFloat<double>(t);
  AddInteger<int32_t>(t);
  AddInteger<int64_t>(t);
  AddInteger<int16_t>(t);
  AddInteger<int8_t>(t);
  AddInteger<uint64_t>(t);
  AddInteger<uint32_t>(t);
  AddInteger<uint16_t>(t);
  AddInteger<uint8_t>(t);
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {
HWY_EXPORT(AddReduceLoops);
void AddReduces(TileFunctionTable& table) { HWY_DYNAMIC_DISPATCH(AddReduceLoops)(table); }
}  // namespace sluice::cpu
#endif  // HWY_ONCE
