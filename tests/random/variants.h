// The same program, another way: for references that share no kernel with it, and to see how far
// rounding reaches.
#ifndef SLUICE_TESTS_RANDOM_VARIANTS_H_
#define SLUICE_TESTS_RANDOM_VARIANTS_H_

#include "absl/status/statusor.h"
#include "tests/random/maker.h"

namespace sluice::random {

// Every f32 becomes f64 where its op takes that; Casts stand around the others. Unimplemented for
// graphs with bodies or functions.
absl::StatusOr<Case> Widened(const Case& c);

// Inputs, constants and every float result multiplied by numbers within a few units in the last
// place of 1.
absl::StatusOr<Case> Disturbed(const Case& c, uint64_t seed);

// Its float constants are inputs with defaults, which are others: what was there is fed. So no pass
// and no kernel knows them. Unimplemented where there are none.
absl::StatusOr<Case> ConstantsFed(const Case& c);

// Ops whose kernel every other form shares, by others: means of integers, quantizers of integers.
// Unimplemented where there are none.
absl::StatusOr<Case> SpelledOut(const Case& c);

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_VARIANTS_H_
