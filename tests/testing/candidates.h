// Runs an op through every kernel that the CPU has for it, one after the other: so that candidates
// which a table would rarely reach are proven against the same reference.
#ifndef SLUICE_TESTS_TESTING_CANDIDATES_H_
#define SLUICE_TESTS_TESTING_CANDIDATES_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/builder.h"

namespace sluice {

struct CandidateResult {
  std::string name, description;
  std::vector<Tensor> outputs;
  size_t packed_bytes = 0;
};

// The kernels that take the node (those which refuse are left out). Inputs listed in `constants`
// are constants, the others are fed; an invalid tensor is an absent input.
absl::StatusOr<std::vector<CandidateResult>> RunCandidates(absl::string_view op,
                                                           absl::Span<const Tensor> inputs,
                                                           const AttrList& attrs,
                                                           const std::set<int>& constants = {},
                                                           int threads = 2, size_t num_outputs = 1);

// The op by its expansion into ordinary ops.
absl::StatusOr<std::vector<Tensor>> RunExpansion(absl::string_view op,
                                                 absl::Span<const Tensor> inputs,
                                                 const AttrList& attrs);

// The largest |a - b| over the largest |b| (both converted to f64; 0 for empty ones); infinite
// where dtypes or shapes differ, or one is NaN where the other is not.
double RelativeError(const Tensor& a, const Tensor& b);

// Another dtype, by value.
Tensor Converted(const Tensor& t, DType to);

}  // namespace sluice

#endif  // SLUICE_TESTS_TESTING_CANDIDATES_H_
