// If, Loop and Scan for GraphBuilder: bodies are functions that build them.
//
//   auto y = ops::If(g, cond, [&](GraphBuilder& b) { return ops::Values{ops::Relu(b, x)}; },
//                             [&](GraphBuilder& b) { return ops::Values{x}; });
//
// A body may use values of the graph around it. An error in a body becomes the outer builder's; on
// a builder that has failed the functions run all the same, with a builder that has failed, so that
// there are as many results as ever, all null.
#ifndef SLUICE_OPS_CONTROL_FLOW_BUILDERS_H_
#define SLUICE_OPS_CONTROL_FLOW_BUILDERS_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "ops/builder_support.h"

namespace sluice::ops {

using Values = std::vector<Value*>;
using Branch = absl::FunctionRef<Values(GraphBuilder&)>;

// Both branches return equally many values, of the same element types.
Values If(GraphBuilder& g, Value* cond, Branch then_branch, Branch else_branch,
          Location where = Location::current());

// What a loop's body returns, and what the loop does. `stacked` values gain a first axis, one slice
// an iteration.
struct LoopBody {
  Value* condition = nullptr;  // goes on while true; null: as before
  Values carried = {}, stacked = {};
};
struct LoopOutputs {
  Values carried = {}, stacked = {};
};
using LoopFunction = absl::FunctionRef<LoopBody(GraphBuilder&, Value* iteration, Value* condition,
                                                absl::Span<Value* const> carried)>;

// Null `trip_count`: no limit; null `condition`: true.
LoopOutputs Loop(GraphBuilder& g, Value* trip_count, Value* condition,
                 absl::Span<Value* const> initial, LoopFunction body,
                 Location where = Location::current());

struct ScanAttrs {
  List<int64_t> scan_input_axes = {}, scan_input_directions = {};
  List<int64_t> scan_output_axes = {}, scan_output_directions = {};
};
struct ScanBody {
  Values states = {}, stacked = {};
};
using ScanFunction = absl::FunctionRef<ScanBody(GraphBuilder&, absl::Span<Value* const> states,
                                                absl::Span<Value* const> slices)>;

// One iteration for each slice of `scanned`.
ScanBody Scan(GraphBuilder& g, absl::Span<Value* const> initial, absl::Span<Value* const> scanned,
              ScanFunction body, const ScanAttrs& attrs = {}, Location where = Location::current());

}  // namespace sluice::ops

#endif  // SLUICE_OPS_CONTROL_FLOW_BUILDERS_H_
