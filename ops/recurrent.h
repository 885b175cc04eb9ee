// What LSTM, GRU and RNN share beyond their declarations: the meaning of their attributes, read by
// inference and by the kernels alike.
#ifndef SLUICE_OPS_RECURRENT_H_
#define SLUICE_OPS_RECURRENT_H_

#include <vector>

#include "absl/status/statusor.h"
#include "graph/graph.h"

namespace sluice {

// One activation function of a gate, with its parameters resolved.
struct GateActivation {
  enum class Kind : uint8_t {
    kSigmoid,
    kTanh,
    kRelu,
    kAffine,
    kLeakyRelu,
    kThresholdedRelu,
    kScaledTanh,
    kHardSigmoid,
    kElu,
    kSoftsign,
    kSoftplus,
  };
  Kind kind = Kind::kTanh;
  float alpha = 0, beta = 0;
};

struct RecurrentConfig {
  int gates = 1;             // blocks of hidden_size rows in W: 4 for LSTM, 3 for GRU, 1 for RNN
  int directions = 1;        // 2 where bidirectional
  bool reverse = false;      // the first direction runs backward
  bool batch_first = false;  // layout = 1
  float clip = 0;            // 0: none
  bool linear_before_reset = false, input_forget = false;
  // activations.size() == directions * activations_per_direction.
  int activations_per_direction = 1;
  std::vector<GateActivation> activations;
};

// InvalidArgument, naming the node, where an attribute has no meaning: an unknown direction or
// activation, a list of the wrong length, a negative clip.
absl::StatusOr<RecurrentConfig> ReadRecurrentConfig(const Node& node);

}  // namespace sluice

#endif  // SLUICE_OPS_RECURRENT_H_
