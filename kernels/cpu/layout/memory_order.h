// The same node with its axes renumbered to the order of memory: all its tensors plain.
#ifndef SLUICE_KERNELS_CPU_LAYOUT_MEMORY_ORDER_H_
#define SLUICE_KERNELS_CPU_LAYOUT_MEMORY_ORDER_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/cpu/layout/layouts.h"
#include "kernels/kernel.h"

namespace sluice::cpu {

// A node in a graph of its own, and what a kernel for it is prepared with. Inputs and outputs stand
// in the order of the original's; constants may be added behind.
class MemoryOrderNode {
 public:
  const PrepareContext& context() const { return *context_; }

 private:
  friend absl::StatusOr<MemoryOrderNode> InMemoryOrder(const PrepareContext& context);
  std::unique_ptr<Graph> graph_;
  std::unique_ptr<PrepareContext> context_;
};

// Unimplemented where the op means something else under another order of axes, or its axes are not
// constant.
absl::StatusOr<MemoryOrderNode> InMemoryOrder(const PrepareContext& context);
// The same question of a node of any graph, its shapes perhaps symbolic.
absl::StatusOr<LayoutForm> MemoryOrderForm(const Node& node);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_LAYOUT_MEMORY_ORDER_H_
