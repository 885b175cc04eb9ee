// What a piece of code asks of the heap, of locks and of the operating system. The binary that
// links steady_count.cc interposes on malloc and pthread locks, wraps oneDNN's entry (--wrap), and
// traps system calls in a child process by a seccomp filter: no tracer, no preloading, no
// privilege.
#ifndef SLUICE_TESTS_MODELS_STEADY_COUNT_H_
#define SLUICE_TESTS_MODELS_STEADY_COUNT_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"

namespace sluice {

struct SteadyCount {
  int allocations = 0, locks = 0, system_calls = 0;
  bool zero() const { return allocations == 0 && locks == 0 && system_calls == 0; }
};

struct SteadyReport {
  std::string error;  // why nothing was counted
  SteadyCount ours;   // all that happened outside of the library's primitives
  int first_system_call = -1;
  struct Primitive {
    std::string name;  // the library's: "brgconv:avx512_core"
    int calls = 0;
    SteadyCount inside;
  };
  std::vector<Primitive> library;  // by name
};

// Runs `body` once in a child of one thread and counts.
SteadyReport CountSteady(absl::FunctionRef<bool()> body);

}  // namespace sluice

#endif  // SLUICE_TESTS_MODELS_STEADY_COUNT_H_
