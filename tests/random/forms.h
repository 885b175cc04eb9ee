// Every form that a program can take, each run and compared with the program as it was written:
// without passes, strict, on one thread.
#ifndef SLUICE_TESTS_RANDOM_FORMS_H_
#define SLUICE_TESTS_RANDOM_FORMS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/random/compare.h"
#include "tests/random/maker.h"

namespace sluice::random {

struct Problem {
  std::string form;  // "optimised", "reopened from text", ...
  std::string kind;  // "error", "crash", "nan", "numbers", "extents", ...
  std::string detail;
  bool SameAs(const Problem& other) const { return kind == other.kind && form == other.form; }
};

struct CheckOptions {
  std::string folder;     // where files may be written
  std::string only_form;  // that one alone; empty: all
  // Told the name of each form before it runs, so that whoever watches knows where a crash was.
  std::function<void(const std::string&)> entering;
  // Outputs that must come, by name, one entry a run; none: the unoptimised program's.
  const std::vector<Feeds>* expected = nullptr;
};

struct CheckCounts {
  int64_t runs = 0;       // of the reference
  int64_t refused = 0;    // where it fails
  int64_t widened = 0;    // compared with f64
  int64_t dismissed = 0;  // differences that rounding explains
  int64_t excused = 0;    // documented exceptions (exceptions.h)
  std::string last_refusal;
};

// Runs a case in all forms; the first problem of each form. Threads are started, so the caller
// must not fork afterwards.
std::vector<Problem> CheckForms(const Case& c, const CheckOptions& options, CheckCounts* counts);

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_FORMS_H_
