// The definition that norms are tested against: statistics of groups of elements, in double.
#ifndef SLUICE_TESTS_OPS_NORMALIZATION_REFERENCE_H_
#define SLUICE_TESTS_OPS_NORMALIZATION_REFERENCE_H_

#include <cmath>
#include <functional>
#include <vector>

#include "graph/tensor.h"
#include "gtest/gtest.h"

namespace sluice {

inline double At(const Tensor& t, int64_t i) {
  return VisitDType(
      t.dtype(), [&]<typename T>() { return static_cast<double>(t.data<T>()[i]); },
      [] { return 0.0; });
}

inline double Tolerance(DType dtype) {
  return dtype == DType::kF16    ? 4e-3
         : dtype == DType::kBF16 ? 4e-2
         : dtype == DType::kF32  ? 1e-5
                                 : 1e-10;
}

struct Statistics {
  double sum = 0, square = 0, count = 0;
  double mean() const { return sum / count; }
  double variance() const { return square / count - mean() * mean(); }
};

// Statistics of the elements of x that `group` puts together.
inline std::vector<Statistics> GroupStatistics(const Tensor& x, int64_t groups,
                                               const std::function<int64_t(int64_t)>& group) {
  std::vector<Statistics> s(groups);
  for (int64_t i = 0; i < x.elements(); ++i) {
    Statistics& g = s[group(i)];
    g.sum += At(x, i);
    g.square += At(x, i) * At(x, i);
    ++g.count;
  }
  return s;
}

// y[i] must be f(i), within what y's dtype can say.
inline void ExpectElements(const Tensor& y, const std::function<double(int64_t)>& f) {
  for (int64_t i = 0; i < y.elements(); ++i) {
    const double expected = f(i);
    ASSERT_NEAR(At(y, i), expected, Tolerance(y.dtype()) * std::max(1.0, std::abs(expected)))
        << y.TypeString() << " element " << i;
  }
}

}  // namespace sluice

#endif  // SLUICE_TESTS_OPS_NORMALIZATION_REFERENCE_H_
