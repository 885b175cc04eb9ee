// The 1,797 handwritten digits of data/digits.csv.gz (UCI; E. Alpaydin and C. Kaynak, 1998, CC
// BY 4.0).
#ifndef SLUICE_TOOLS_DIGITS_H_
#define SLUICE_TOOLS_DIGITS_H_

#include "absl/status/statusor.h"
#include "graph/tensor.h"

namespace sluice {

struct Digits {
  Tensor images;  // f32[n,1,8,8], 0 to 1
  Tensor labels;  // i64[n]
};

absl::StatusOr<Digits> LoadDigits();

}  // namespace sluice

#endif  // SLUICE_TOOLS_DIGITS_H_
