// What onnx.checker and ONNX Runtime want of a model beyond what our importer does.
#ifndef SLUICE_TESTS_RANDOM_ONNX_RULES_H_
#define SLUICE_TESTS_RANDOM_ONNX_RULES_H_

#include <string>

#include "absl/status/status.h"
#include "graph/graph.h"

namespace sluice::random {

// Every name stands for one value, in a graph and all graphs around it, but for an input and its
// default; outputs of the model, and inputs and outputs of bodies, whose rank `graph`, which was
// exported, knows say it; Loop names its first two inputs.
absl::Status CheckOnnxRules(const std::string& bytes, const Graph& graph);

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_ONNX_RULES_H_
