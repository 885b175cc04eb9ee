// Einsum's equation, parsed.
#ifndef SLUICE_OPS_EINSUM_H_
#define SLUICE_OPS_EINSUM_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

// Labels are small numbers: letters in order of first appearance come after the ellipsis axes.
struct EinsumEquation {
  static constexpr int kEllipsis = -1;
  std::vector<std::vector<int>> inputs;  // a label an axis; kEllipsis stands for "..."
  std::vector<int> output;
  int labels = 0;

  // "ij,jk->ik", "...ii->...i", "ij,jk" (implicit output: "..." and then the labels that appear
  // once, in alphabetical order). InvalidArgument says what is wrong where.
  static absl::StatusOr<EinsumEquation> Parse(absl::string_view text);

  // The same with "..." written out as labels of their own for inputs of these ranks: the last
  // ellipsis axis of all inputs shares one label, and so on outward (numpy's broadcasting).
  absl::StatusOr<EinsumEquation> Expand(const std::vector<int>& ranks) const;
};

}  // namespace sluice

#endif  // SLUICE_OPS_EINSUM_H_
