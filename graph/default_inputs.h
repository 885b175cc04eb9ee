// Inputs with a default value: constants that a caller may feed instead. In the graph they are
// Constant nodes, so that every pass and kernel knows their contents; the attribute `input` marks
// them as inputs, and is their place among all inputs. A feed that names one asks for another
// program, in which it is an input like any other: FeedDefaults() makes its graph.
//
// What is optimised with the contents of a default cannot take another any more. So Optimize()
// keeps the graph as it was among the functions: the general program.
#ifndef SLUICE_GRAPH_DEFAULT_INPUTS_H_
#define SLUICE_GRAPH_DEFAULT_INPUTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "graph/builder.h"

namespace sluice {

// Whether it is a constant that may be fed.
bool IsDefaultInput(const Value& value);
// What may be fed: the default's element type, its extents unless the graph says others.
Type DefaultInputType(const Value& value);
// An input that a run may leave out; `type` must take the default and have a rank. Errors are the
// builder's: null.
Value* InputOr(GraphBuilder& builder, absl::string_view name, Type type, Tensor default_value);

// Marks the constant; `type` may leave extents open that its contents have.
void MakeDefaultInput(Value* constant, int64_t place, const Type& type);

struct GraphInput {
  const Value* value;  // an input, or a constant
  Type type;
  bool has_default = false;
};
// All inputs in the order in which the model lists them, those with a default included.
std::vector<GraphInput> AllInputs(const Graph& graph);

// The graph of the general program: `graph` itself unless it was optimised.
const Graph& GeneralProgram(const Graph& graph);
// Takes it out of the functions; null where there is none.
std::unique_ptr<Graph> TakeGeneralProgram(Graph* graph);
// The same, but a copy of `graph`, whose defaults are then constants for good, where it has some. A
// copy still calls the functions of `graph`: see InlineCalls.
std::unique_ptr<Graph> SplitGeneralProgram(Graph* graph);
// Puts it where GeneralProgram() finds it.
void KeepGeneralProgram(std::unique_ptr<Graph> general, Graph* graph);

// Makes inputs of the constants of these names, which follow the others, and constants for good of
// the other defaults. Types that may have come from the contents are forgotten: infer again.
void FeedDefaults(absl::Span<const std::string> names, Graph* graph);

}  // namespace sluice

#endif  // SLUICE_GRAPH_DEFAULT_INPUTS_H_
