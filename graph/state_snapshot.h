// StateSnapshot: one version of a program's variables, as a value. The tensors are shared with
// whoever made it and are never written.
#ifndef SLUICE_GRAPH_STATE_SNAPSHOT_H_
#define SLUICE_GRAPH_STATE_SNAPSHOT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "graph/tensor.h"

namespace sluice {

struct StateSnapshot {
  uint64_t version = 0;
  std::vector<std::pair<std::string, Tensor>> variables;  // by name, in the State's order
};

}  // namespace sluice

#endif  // SLUICE_GRAPH_STATE_SNAPSHOT_H_
