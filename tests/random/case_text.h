// A case as text: the graph in its text form, behind comments that hold what it is fed and what is
// expected. `sluice run FILE` takes it as it is (and makes inputs up); this folder's program, with
// --replay, feeds what is written:
//
//   // run
//   // feed %x0 = f32[2] [1.0, nan]
//   // expect %y = f32[2] [1.0, nan]
//   graph g (%x0: f32[n]) { ... }
#ifndef SLUICE_TESTS_RANDOM_CASE_TEXT_H_
#define SLUICE_TESTS_RANDOM_CASE_TEXT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/random/maker.h"

namespace sluice::random {

std::string TensorText(const Tensor& tensor);
absl::StatusOr<Tensor> ParseTensor(absl::string_view text);

std::string CaseText(const Case& c);
// `expected` receives one entry a run (by output name; empty where nothing is expected).
absl::StatusOr<Case> ParseCase(const std::string& text, std::vector<Feeds>* expected = nullptr);

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_CASE_TEXT_H_
