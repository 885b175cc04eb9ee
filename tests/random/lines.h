// The tables that graphs grow by. A line makes one op, or one pattern: a subgraph that passes look
// for, or one that just misses it.
#ifndef SLUICE_TESTS_RANDOM_LINES_H_
#define SLUICE_TESTS_RANDOM_LINES_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "tests/random/maker.h"

namespace sluice::random {

struct Line {
  const char* name;  // of the op; of a pattern: what it is
  int weight;        // how often it is drawn, relative to the others of its table
  // Adds nodes; null where nothing fits. Further results are added by the line itself.
  Value* (*draw)(Maker& m, const std::string& name);
};

// One line an op; together every op of ops/op_list.inc.
absl::Span<const Line> ElementwiseLines();
absl::Span<const Line> MovementLines();
absl::Span<const Line> IndexLines();
absl::Span<const Line> ReductionLines();
absl::Span<const Line> ProductLines();
absl::Span<const Line> ControlLines();
absl::Span<const Line> FusedLines();
absl::Span<const Line> RandomLines();
std::vector<Line> OpLines();

absl::Span<const Line> AttentionPatterns();
absl::Span<const Line> ProductPatterns();
absl::Span<const Line> QuantizedPatterns();
absl::Span<const Line> ArithmeticPatterns();
absl::Span<const Line> MovementPatterns();
absl::Span<const Line> ControlPatterns();
std::vector<Line> Patterns();

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_LINES_H_
