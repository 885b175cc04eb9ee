// Runs one op on the CPU: for op tests.
#ifndef SLUICE_TESTS_TESTING_RUN_OP_H_
#define SLUICE_TESTS_TESTING_RUN_OP_H_

#include <ostream>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/builder.h"

namespace sluice {

// Builds a graph of one node over `inputs` (invalid tensor: absent; they are fed, not constants,
// unless `constant_inputs`), verifies, infers, prepares and launches. `threads` of a pool of its
// own.
absl::StatusOr<std::vector<Tensor>> RunOp(absl::string_view op, absl::Span<const Tensor> inputs,
                                          const AttrList& attrs = {}, size_t num_outputs = 1,
                                          int threads = 1);
inline absl::StatusOr<std::vector<Tensor>> RunOp(absl::string_view op,
                                                 std::initializer_list<Tensor> inputs,
                                                 const AttrList& attrs = {}, size_t num_outputs = 1,
                                                 int threads = 1) {
  return RunOp(op, absl::Span<const Tensor>(inputs.begin(), inputs.size()), attrs, num_outputs,
               threads);
}

template <typename T>
Tensor MakeTensor(absl::Span<const int64_t> dims, const std::vector<T>& values) {
  return Tensor::FromSpan<T>(dims, absl::Span<const T>(values));
}
// For gtest.
inline void PrintTo(const Tensor& tensor, std::ostream* os) { *os << tensor.ToString(); }

// std::vector<bool> has no span.
inline Tensor MakeBools(absl::Span<const int64_t> dims, const std::vector<int>& values) {
  Tensor t = *Tensor::Allocate(DType::kBool, dims);
  for (size_t i = 0; i < values.size(); ++i) t.mutable_data<bool>()[i] = values[i] != 0;
  return t;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_TESTING_RUN_OP_H_
