// Of a lifted program (passes/lift_state.h), the part that one signature runs.
#ifndef SLUICE_RUNTIME_SELECT_SIGNATURE_H_
#define SLUICE_RUNTIME_SELECT_SIGNATURE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "passes/lift_state.h"

namespace sluice {

// How a program without state touches it: input `inputs` + i is the present value of variable
// reads[i], output `outputs` + i is the new value of variable writes[i]. The inputs and outputs
// before are the caller's.
struct StatePorts {
  size_t inputs = 0, outputs = 0;
  std::vector<int> reads, writes;
  bool draws = false;  // the last input, behind these, is the run's key: (seed, number of the run)
  int run = -1;        // the variable that numbers the runs, among those written; or none

  // By output of the program: the input that holds the same variable, or -1.
  std::vector<int> Renews() const;
};

// Variables that it only reads are held inputs (Value::held()).
//
// Leaves of `graph` what the signature of this name needs, all of its effects among it; null: what
// a program without signatures runs, which is everything. NotFound lists the names;
// InvalidArgument where it needs an input that it does not list.
absl::StatusOr<StatePorts> SelectSignature(const LiftedState& state, const std::string* signature,
                                           Graph* graph);

// Of a program whose run's key is `key` (passes/lift_random.h; null: it draws nothing): where it
// writes state, the number of the run becomes a variable, and that of the next one its new value.
absl::Status NumberRuns(Value* key, LiftedState* state, StatePorts* ports, Graph* graph);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_SELECT_SIGNATURE_H_
