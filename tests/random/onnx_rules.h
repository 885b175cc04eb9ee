// What onnx.checker and ONNX Runtime want of a model beyond what our importer does.
#ifndef SLUICE_TESTS_RANDOM_ONNX_RULES_H_
#define SLUICE_TESTS_RANDOM_ONNX_RULES_H_

#include <string>

#include "absl/status/status.h"

namespace sluice::random {

// Every name stands for one value, in a graph and all graphs around it; every output of the model
// says its element type and rank; Loop names its first two inputs.
absl::Status CheckOnnxRules(const std::string& bytes);

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_ONNX_RULES_H_
