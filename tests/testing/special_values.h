// Numbers that arithmetic rarely meets, and whether two results agree on them: what is no number in
// one is none in the other.
#ifndef SLUICE_TESTS_TESTING_SPECIAL_VALUES_H_
#define SLUICE_TESTS_TESTING_SPECIAL_VALUES_H_

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "graph/tensor.h"

namespace sluice {

// NaN of both signs, infinities, zeros of both signs, denormals, the largest numbers, and the
// places where functions bend, over- or underflow. Floats in f32; they fit f16 where `half`.
inline std::vector<float> SpecialValues(bool half = false) {
  using L = std::numeric_limits<float>;
  std::vector<float> v = {
      L::quiet_NaN(), -L::quiet_NaN(), L::infinity(), -L::infinity(), 0.0f, -0.0f, 0.5f, -0.5f,
      1.0f,           -1.0f,           2.5f,          -2.5f,          3.0f, -3.0f, 6.5f, -9.5f,
      88.0f,          -88.0f,          95.0f,         -105.0f};
  if (half) {
    v.insert(v.end(), {65504.0f, -65504.0f, 6e-8f, -6e-8f, 300.0f});
  } else {
    v.insert(v.end(), {L::max(), L::lowest(), L::denorm_min(), -L::denorm_min(), 1e-40f, L::min(),
                       1e4f, -1e4f, 1e20f, -1e20f, 3e38f, 1e-20f});
  }
  return v;
}

// Of f32, f64 or f16: the values again and again, from the `shift`-th on.
inline Tensor SpecialTensor(DType dtype, const Dims& dims, size_t shift = 0) {
  Tensor t = *Tensor::Allocate(dtype, dims);
  const std::vector<float> values = SpecialValues(ByteSize(dtype) == 2);
  for (int64_t i = 0; i < t.elements(); ++i) {
    const float v = values[(static_cast<size_t>(i) + shift) % values.size()];
    if (dtype == DType::kF64) t.mutable_data<double>()[i] = v;
    if (dtype == DType::kF32) t.mutable_data<float>()[i] = v;
    if (dtype == DType::kF16) t.mutable_data<Float16>()[i] = Float16(v);
  }
  return t;
}

struct Agreement {
  double relative = 1e-4, absolute = 1e-5;
  bool zeros = false;  // the signs of zeros count
};

// Empty where `a` agrees with `b`: NaN with NaN, infinities with their like, numbers to the
// tolerance; else the first place where they do not.
inline std::string Disagreement(const Tensor& a, const Tensor& b, const Agreement& agreement = {}) {
  if (a.TypeString() != b.TypeString()) {
    return absl::StrCat(a.TypeString(), " against ", b.TypeString());
  }
  std::string told;
  VisitDType(
      a.dtype(),
      [&]<typename T>() {
        for (int64_t i = 0; i < a.elements() && told.empty(); ++i) {
          const double x = static_cast<double>(a.At<T>(i)), y = static_cast<double>(b.At<T>(i));
          bool same = std::isnan(x) == std::isnan(y);
          if (same && !std::isnan(x) && x != y) {
            same = std::isfinite(x) && std::isfinite(y) &&
                   std::abs(x - y) <= agreement.absolute + agreement.relative * std::abs(y);
          }
          if (x == 0 && y == 0 && agreement.zeros) same &= std::signbit(x) == std::signbit(y);
          if (!same) told = absl::StrCat("element ", i, ": ", x, " against ", y);
        }
      },
      [] {});
  return told;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_TESTING_SPECIAL_VALUES_H_
