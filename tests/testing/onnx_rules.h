// The rules of the ONNX specification that a model's structure must follow, asked of the message
// alone: what onnx.checker and ONNX Runtime refuse, though our importer may take it.
#ifndef SLUICE_TESTS_TESTING_ONNX_RULES_H_
#define SLUICE_TESTS_TESTING_ONNX_RULES_H_

#include <string>
#include <vector>

#include "graph/graph.h"
#include "proto/onnx.pb.h"

namespace sluice {

// What is broken, a line each. Every name stands for one value, in a graph and all graphs around
// it, but for an input and its default; what is read was made before; outputs have ranks, Loops
// their first two inputs, nodes names of their own. `exported`: the graph that was written, where
// given; a rank that it does not know itself may be missing.
std::vector<std::string> BrokenOnnxRules(const onnx::ModelProto& model,
                                         const Graph* exported = nullptr);

}  // namespace sluice

#endif  // SLUICE_TESTS_TESTING_ONNX_RULES_H_
