// Timings: the quantiles of any number of times, in memory that does not grow.
#ifndef SLUICE_TOOLS_TIMINGS_H_
#define SLUICE_TOOLS_TIMINGS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::cli {

class Timings {
 public:
  // Of more times than this, quantiles are those of a uniform sample of so many.
  static constexpr size_t kKept = 1 << 16;

  Timings() { kept_.reserve(kKept); }
  void Add(double milliseconds);
  int64_t count() const { return count_; }
  double least() const { return least_; }
  // Precondition: something was added.
  double Quantile(double q) const;

 private:
  std::vector<double> kept_;
  int64_t count_ = 0;
  double least_ = 0;
  uint64_t random_ = 1;
};

}  // namespace sluice::cli

#endif  // SLUICE_TOOLS_TIMINGS_H_
