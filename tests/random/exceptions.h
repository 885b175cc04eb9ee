// What passes may change beside rounding: the documented exceptions, one line each. Strict forms
// have none.
#ifndef SLUICE_TESTS_RANDOM_EXCEPTIONS_H_
#define SLUICE_TESTS_RANDOM_EXCEPTIONS_H_

#include <functional>
#include <string>

#include "passes/pass.h"
#include "tests/random/compare.h"
#include "tests/random/maker.h"

namespace sluice::random {

// What may be asked of the run that differs.
struct Evidence {
  // Whether a session with such passes gives what the reference does.
  std::function<bool(const PassOptions&)> agrees;
  // What the reference's session gives for another graph of the same inputs.
  std::function<Results(const Graph&)> reference;
};
bool Excused(const Case& c, const std::string& form, const Difference& difference,
             const Evidence& evidence);

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_EXCEPTIONS_H_
