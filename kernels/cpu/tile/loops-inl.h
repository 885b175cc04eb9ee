// The loops around functors and vector functions, for one SIMD target at a time (see simd.h), and
// the calls that put them into the step table.
#if defined(SLUICE_KERNELS_CPU_TILE_LOOPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_CPU_TILE_LOOPS_INL_H_
#undef SLUICE_KERNELS_CPU_TILE_LOOPS_INL_H_
#else
#define SLUICE_KERNELS_CPU_TILE_LOOPS_INL_H_
#endif

#include <algorithm>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/cpu/tile/function_table.h"
#include "kernels/cpu/tile/functors.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {

// bool is handled as bytes, since a byte from a file may be neither 0 nor 1.
template <typename T>
using Stored = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;

template <typename F, typename T, typename R>
void UnaryLoop(const void* const* in, void* out, size_t n, const TileParams&) {
  const T* x = static_cast<const T*>(in[0]);
  R* y = static_cast<R*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) y[i] = F::Of(x[i]);
}

template <typename T>
HWY_INLINE T Parameter(double value) {
  if constexpr (std::is_floating_point_v<T>) return static_cast<T>(value);
  return SaturatingCast<T>(value);
}

template <typename F, typename T, typename R>
void ParameterLoop(const void* const* in, void* out, size_t n, const TileParams& params) {
  const T* x = static_cast<const T*>(in[0]);
  R* y = static_cast<R*>(out);
  const T a = Parameter<T>(params.a), b = Parameter<T>(params.b);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) y[i] = F::Of(x[i], a, b);
}

template <typename F, typename T, typename R>
void BinaryLoop(const void* const* in, void* out, size_t n, const TileParams&) {
  const T* a = static_cast<const T*>(in[0]);
  const T* b = static_cast<const T*>(in[1]);
  R* y = static_cast<R*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) y[i] = F::Of(a[i], b[i]);
}
template <typename F, typename T, typename R>
void BinaryLoopScalar0(const void* const* in, void* out, size_t n, const TileParams&) {
  const T a = *static_cast<const T*>(in[0]);
  const T* b = static_cast<const T*>(in[1]);
  R* y = static_cast<R*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) y[i] = F::Of(a, b[i]);
}
template <typename F, typename T, typename R>
void BinaryLoopScalar1(const void* const* in, void* out, size_t n, const TileParams&) {
  const T* a = static_cast<const T*>(in[0]);
  const T b = *static_cast<const T*>(in[1]);
  R* y = static_cast<R*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) y[i] = F::Of(a[i], b);
}

// By width: T is an unsigned integer.
template <typename T>
void SelectLoop(const void* const* in, void* out, size_t n, const TileParams&) {
  const uint8_t* c = static_cast<const uint8_t*>(in[0]);
  const T* a = static_cast<const T*>(in[1]);
  const T* b = static_cast<const T*>(in[2]);
  T* y = static_cast<T*>(out);
  SLUICE_VECTORIZE
  for (size_t i = 0; i < n; ++i) y[i] = c[i] != 0 ? a[i] : b[i];
}

template <typename F, typename T, typename R = T>
void AddUnary(TileFunctionTable& table, TileStep op, int cost = 1) {
  table.Set(op, kDTypeOf<T>, {.fn = UnaryLoop<F, Stored<T>, Stored<R>>, .cost = cost});
}
template <typename F, typename T, typename R = T>
void AddParameter(TileFunctionTable& table, TileStep op, int cost = 1) {
  table.Set(op, kDTypeOf<T>, {.fn = ParameterLoop<F, Stored<T>, Stored<R>>, .cost = cost});
}
template <typename F, typename T, typename R = T>
void AddBinary(TileFunctionTable& table, TileStep op, int cost = 1) {
  table.Set(op, kDTypeOf<T>, {.fn = BinaryLoop<F, Stored<T>, Stored<R>>, .cost = cost});
}
// With the forms for one scalar operand.
template <typename F, typename T, typename R = T>
void AddBinaryForms(TileFunctionTable& table, TileStep op, int cost = 1) {
  table.Set(op, kDTypeOf<T>,
            {.fn = BinaryLoop<F, Stored<T>, Stored<R>>,
             .scalar0 = BinaryLoopScalar0<F, Stored<T>, Stored<R>>,
             .scalar1 = BinaryLoopScalar1<F, Stored<T>, Stored<R>>,
             .cost = cost});
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SLUICE_KERNELS_CPU_TILE_LOOPS_INL_H_
