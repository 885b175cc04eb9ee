// How long a Range is: shared by inference and kernels.
#ifndef SLUICE_OPS_RANGE_H_
#define SLUICE_OPS_RANGE_H_

#include <cmath>
#include <type_traits>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "graph/tensor.h"

namespace sluice {

// max(ceil((limit - start) / delta), 0). InvalidArgument where delta is 0, an operand is not
// finite, or the count does not fit.
template <typename T>
absl::StatusOr<int64_t> RangeCount(T start, T limit, T delta) {
  if constexpr (std::is_integral_v<T>) {
    if (delta == 0) return absl::InvalidArgumentError("delta is 0; expected a step");
    if (delta > 0 ? start >= limit : start <= limit) return 0;
    // Unsigned, since limit - start may be up to 2^64 - 1.
    const uint64_t span = delta > 0 ? static_cast<uint64_t>(limit) - static_cast<uint64_t>(start)
                                    : static_cast<uint64_t>(start) - static_cast<uint64_t>(limit);
    const uint64_t step =
        delta > 0 ? static_cast<uint64_t>(delta) : 0 - static_cast<uint64_t>(delta);
    const uint64_t count = (span - 1) / step + 1;
    if (count > static_cast<uint64_t>(INT64_MAX)) {
      return absl::InvalidArgumentError("the range has more than 2^63 elements");
    }
    return static_cast<int64_t>(count);
  } else {
    const double s = start, l = limit, d = delta;
    if (!std::isfinite(s) || !std::isfinite(l) || !std::isfinite(d) || d == 0) {
      return absl::InvalidArgumentError(absl::StrCat("start ", s, ", limit ", l, ", delta ", d,
                                                     ": expected finite numbers and a step"));
    }
    const double count = std::ceil((l - s) / d);
    if (!(count < 0x1p62)) {
      return absl::InvalidArgumentError("the range has more than 2^62 elements");
    }
    return count > 0 ? static_cast<int64_t>(count) : 0;
  }
}

// The same of three one-element tensors of one dtype.
inline absl::StatusOr<int64_t> RangeCount(const Tensor& start, const Tensor& limit,
                                          const Tensor& delta) {
  if (start.elements() != 1 || limit.elements() != 1 || delta.elements() != 1) {
    return absl::InvalidArgumentError("start, limit and delta must be scalars");
  }
  return VisitDType(
      start.dtype(),
      [&]<typename T>() -> absl::StatusOr<int64_t> {
        return RangeCount<T>(*start.data<T>(), *limit.data<T>(), *delta.data<T>());
      },
      []() -> absl::StatusOr<int64_t> { return absl::InvalidArgumentError("not a number"); });
}

}  // namespace sluice

#endif  // SLUICE_OPS_RANGE_H_
