// Whether two graphs compute the same in the same way, whatever their values are called and in
// whatever order independent nodes stand. Float constants and attributes may differ by rounding.
#ifndef SLUICE_TESTS_PASSES_SAME_GRAPH_H_
#define SLUICE_TESTS_PASSES_SAME_GRAPH_H_

#include <string>

#include "graph/graph.h"

namespace sluice {

bool SameGraph(const Graph& a, const Graph& b, std::string* difference);

// The largest |a - b| over the largest |b|, infinite where dtype, extents, NaNs or non-numbers
// differ.
double Difference(const Tensor& a, const Tensor& b);

}  // namespace sluice

#endif  // SLUICE_TESTS_PASSES_SAME_GRAPH_H_
