// assign_layouts: activations stay channels-last in memory between the nodes that like it so.
//
//   before:  %a = Conv(%x, %w) : f32[n,64,56,56]
//            %b = MaxPool(%a) : f32[n,64,28,28]
//            %y = Conv(%b, %v) : f32[n,64,28,28]
//
//   after:   %r = Reorder(%x) {layout = "channels_last"} : f32[n,32,56,56]@channels_last
//            %a = Conv(%r, %w) : f32[n,64,56,56]@channels_last
//            %b = MaxPool(%a) : f32[n,64,28,28]@channels_last
//            %c = Conv(%b, %v) : f32[n,64,28,28]@channels_last
//            %y = Reorder(%c) {layout = "plain"} : f32[n,64,28,28]
//
// The target says how each node would run so, and which of its values a plain kernel moves anyway.
// Which nodes do is then the cheapest cut of the graph in two, counted in bytes that are moved: by
// reorders at the borders, one a value, or inside plain kernels. A tie stays plain, so a
// convolution alone, whose reorders merely change their place, is left as it is. Symbols count as
// one number, the same for all.
//
// Needs: inferred types, ranks above all. Runs last: rules before it see plain tensors only.
// Never: inputs and outputs of graphs and bodies; a graph that has layouts already; f64, integers.
#ifndef SLUICE_PASSES_ASSIGN_LAYOUTS_H_
#define SLUICE_PASSES_ASSIGN_LAYOUTS_H_

#include "passes/pass.h"

namespace sluice {

// Makes every value plain again and takes the Reorders out: rules see plain tensors only, also in a
// program that was optimised before.
void ClearLayouts(Graph& graph);

class AssignLayouts final : public Pass {
 public:
  const char* name() const override { return "assign_layouts"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_ASSIGN_LAYOUTS_H_
