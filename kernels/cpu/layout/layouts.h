// Layouts: how nodes run whose activations do not lie in memory in plain order.
//
// A channels-last tensor [N,C,D1,...] lies in memory as a plain [N,D1,...,C]. An op that means the
// same whatever the order of axes (element-wise, Concat, Pad, reductions, ...) runs as itself with
// its axes renumbered: the kernels see plain tensors in the order of memory, and nothing but
// layouts.cc knows. Convolutions and pools have kernels of their own for it. Whatever has neither
// runs plain between reorders; so any node with such values can run, and only some of them fast.
#ifndef SLUICE_KERNELS_CPU_LAYOUT_LAYOUTS_H_
#define SLUICE_KERNELS_CPU_LAYOUT_LAYOUTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "graph/layout.h"
#include "kernels/kernel.h"

namespace sluice::cpu {

// Plain and channels last put every element on the same spot.
bool SameMemory(const Dims& dims);
// The type lies channels-last: it says so, or both are one for it.
bool IsChannelsLast(const Type& type);
// A broadcast operand with the rank of the result: extents of 1 in front.
Type Widened(const Type& type, int rank);
// Some input or output is not plain.
bool HasLayouts(const PrepareContext& context);

// The op's own kernels read layouts from the types (or refuse them).
bool KnowsLayouts(const Node& node);

// Which inputs and outputs of a node are channels last when it runs so; the others are plain.
struct LayoutForm {
  std::vector<bool> inputs, outputs;
  // In plain form the kernel moves each of these into another order itself: a convolution that
  // reorders inside, a transpose that is free otherwise.
  bool plain_moves = false;
};
// Unimplemented with the reason where it would not run fast.
absl::StatusOr<LayoutForm> ChannelsLastForm(const Node& node);

// A kernel for a context with layouts: see above. `prepare` makes one for a plain context, or one
// whose op knows layouts.
using PrepareAny =
    absl::FunctionRef<absl::StatusOr<std::unique_ptr<Kernel>>(const PrepareContext& context)>;
absl::StatusOr<std::unique_ptr<Kernel>> PrepareInLayouts(const PrepareContext& context,
                                                         PrepareAny prepare);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_LAYOUT_LAYOUTS_H_
