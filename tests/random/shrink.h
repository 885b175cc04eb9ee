// Delta debugging: the smallest case that still fails in the same way.
#ifndef SLUICE_TESTS_RANDOM_SHRINK_H_
#define SLUICE_TESTS_RANDOM_SHRINK_H_

#include <functional>

#include "tests/random/maker.h"

namespace sluice::random {

Case Copied(const Case& c);

// Drops outputs, runs and nodes, cuts values off (they become inputs), takes branches for their
// If, makes extents, constants and attributes simpler, for as long as `fails` says so. Asks at most
// `tries` times.
Case Shrunk(const Case& c, const std::function<bool(const Case&)>& fails, int tries = 600);

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_SHRINK_H_
