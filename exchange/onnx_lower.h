// Down to ONNX's own ops: the first half of the export.
#ifndef SLUICE_EXCHANGE_ONNX_LOWER_H_
#define SLUICE_EXCHANGE_ONNX_LOWER_H_

#include "absl/status/status.h"
#include "graph/graph.h"

namespace sluice {

// Replaces ops that ONNX lacks by their expansions and calls by the function's nodes; leaves
// Variable, which the writer handles.
absl::Status LowerToOnnx(Graph* graph);

// The opset that a node with these attributes needs at least.
int64_t OnnxOpsetOf(const Node& node);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_ONNX_LOWER_H_
