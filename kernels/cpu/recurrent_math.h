// Arithmetic of recurrent cells over arrays.
#ifndef SLUICE_KERNELS_CPU_RECURRENT_MATH_H_
#define SLUICE_KERNELS_CPU_RECURRENT_MATH_H_

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/tile/function.h"
#include "ops/recurrent.h"

namespace sluice::cpu {

// Arithmetic of T over arrays, by the steps that the ops of the same names run.
template <typename T>
class Math {
 public:
  static void Unary(TileStep op, T* x, int64_t n, double a = 0, double b = 0) {
    const void* in[] = {x};
    Find(op)->fn(in, x, n, {a, b});
  }
  static void Binary(TileStep op, const T* x, const T* y, T* out, int64_t n) {
    const void* in[] = {x, y};
    Find(op)->fn(in, out, n, {});
  }
  static void Activate(const GateActivation& f, T* x, int64_t n) {
    using Activation = GateActivation::Kind;
    const T a = f.alpha, b = f.beta;
    switch (f.kind) {
      case Activation::kSigmoid:
        return Unary(TileStep::kSigmoid, x, n);
      case Activation::kTanh:
        return Unary(TileStep::kTanh, x, n);
      case Activation::kRelu:
        return Unary(TileStep::kRelu, x, n);
      case Activation::kLeakyRelu:
        return Unary(TileStep::kLeakyRelu, x, n, f.alpha);
      case Activation::kHardSigmoid:
        return Unary(TileStep::kHardSigmoid, x, n, f.alpha, f.beta);
      case Activation::kElu:
        return Unary(TileStep::kElu, x, n, f.alpha);
      case Activation::kSoftsign:
        return Unary(TileStep::kSoftsign, x, n);
      case Activation::kSoftplus:
        return Unary(TileStep::kSoftplus, x, n);
      case Activation::kAffine:
        for (int64_t i = 0; i < n; ++i) x[i] = a * x[i] + b;
        return;
      case Activation::kThresholdedRelu:  // unlike the op, at least alpha
        for (int64_t i = 0; i < n; ++i) x[i] = x[i] >= a ? x[i] : T(0);
        return;
      case Activation::kScaledTanh:
        for (int64_t i = 0; i < n; ++i) x[i] *= b;
        Unary(TileStep::kTanh, x, n);
        for (int64_t i = 0; i < n; ++i) x[i] *= a;
        return;
    }
  }
  static void Clip(T limit, T* x, int64_t n) {
    if (limit == 0) return;
    for (int64_t i = 0; i < n; ++i) x[i] = x[i] < -limit ? -limit : x[i] > limit ? limit : x[i];
  }

 private:
  static const TileFunction* Find(TileStep op) {
    static const TileFunction* const* const steps = [] {
      auto** table = new const TileFunction*[static_cast<size_t>(TileStep::kCount)];
      for (int i = 0; i < static_cast<int>(TileStep::kCount); ++i) {
        table[i] = FindTileFunction(static_cast<TileStep>(i), kDTypeOf<T>);
      }
      return table;
    }();
    return steps[static_cast<int>(op)];
  }
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_RECURRENT_MATH_H_
