// Whether two results are the same: dtypes, extents, integers and bools exactly, NaNs and
// infinities at the same places, other floats within rounding.
#ifndef SLUICE_TESTS_RANDOM_COMPARE_H_
#define SLUICE_TESTS_RANDOM_COMPARE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "graph/tensor.h"

namespace sluice::random {

using Results = absl::StatusOr<std::vector<Tensor>>;  // of one run

struct CompareOptions {
  // Only where both numbers are finite: for a reference of a wider range.
  bool finite_only = false;
  // Further apart than this times the ordinary tolerance counts.
  double factor = 1;
  double floor = 1e-37;  // what is no further apart is the same number
  // What the reference gives when its numbers are disturbed in their last bits: what differs there
  // as well is a matter of rounding. One entry a disturbed run.
  std::vector<const Results*> disturbed;
};

// Empty where they agree; else what kind of difference ("extents", "integers", "nan", "infinite",
// "numbers"), and where.
struct Difference {
  std::string kind, detail;
  size_t output = 0;
  explicit operator bool() const { return !kind.empty(); }
};
Difference CompareTensors(const Tensor& reference, const Tensor& got, const CompareOptions& options,
                          size_t output);
// Begins the detail of an "error" where the reference alone fails; its message follows.
inline constexpr absl::string_view kWorks = "it works; expected: ";
// Both fail ("error" where one does), or agree in every output.
Difference CompareResults(const Results& reference, const Results& got,
                          const CompareOptions& options = {});

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_COMPARE_H_
