// A region of element-wise nodes as a function of one number: the meaning of a pattern, whatever
// its spelling.
#ifndef SLUICE_PASSES_SCALAR_FUNCTION_H_
#define SLUICE_PASSES_SCALAR_FUNCTION_H_

#include <functional>
#include <vector>

#include "graph/graph.h"

namespace sluice {

using ScalarFunction = std::function<double(double)>;

// Whether a region may contain the node: a cheap element-wise op of floats whose other operands can
// be scalar constants.
bool IsScalarOp(const Node& node);

// The value of `output` when `input` is x, through the nodes of `region`, which stand in order and
// read nothing else but constants of one element. In f64, as the ops are specified.
double Evaluate(const std::vector<Node*>& region, const Value* input, const Value* output,
                double x);

}  // namespace sluice

#endif  // SLUICE_PASSES_SCALAR_FUNCTION_H_
