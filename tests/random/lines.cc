#include "tests/random/lines.h"

namespace sluice::random {
namespace {

std::vector<Line> Joined(std::initializer_list<absl::Span<const Line>> tables) {
  std::vector<Line> all;
  for (absl::Span<const Line> table : tables) all.insert(all.end(), table.begin(), table.end());
  return all;
}

}  // namespace

std::vector<Line> OpLines() {
  return Joined({ElementwiseLines(), MovementLines(), IndexLines(), ReductionLines(),
                 ProductLines(), ControlLines(), FusedLines(), RandomLines()});
}

std::vector<Line> Patterns() {
  return Joined({AttentionPatterns(), ProductPatterns(), QuantizedPatterns(), ArithmeticPatterns(),
                 MovementPatterns(), ControlPatterns()});
}

}  // namespace sluice::random
