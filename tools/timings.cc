#include "tools/timings.h"

#include <algorithm>

namespace sluice::cli {

void Timings::Add(double milliseconds) {
  least_ = count_ == 0 ? milliseconds : std::min(least_, milliseconds);
  ++count_;
  if (kept_.size() < kKept) {
    kept_.push_back(milliseconds);
    return;
  }
  // Algorithm R (Vitter, "Random Sampling with a Reservoir", 1985), with a xorshift generator
  // (Marsaglia, 2003).
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  const uint64_t place = random_ % static_cast<uint64_t>(count_);
  if (place < kKept) kept_[place] = milliseconds;
}

double Timings::Quantile(double q) const {
  std::vector<double> sorted = kept_;
  const size_t place = std::min(sorted.size() - 1, static_cast<size_t>(q * sorted.size()));
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(place),
                   sorted.end());
  return sorted[place];
}

}  // namespace sluice::cli
