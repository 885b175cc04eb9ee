// CopyKernel: an op that is one strided copy of input 0, laid out by its extents and by small
// integer inputs: at preparation where these are known, else at each launch.
#ifndef SLUICE_KERNELS_CPU_LAYOUT_COPY_KERNEL_H_
#define SLUICE_KERNELS_CPU_LAYOUT_COPY_KERNEL_H_

#include <functional>

#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {

struct CopyLayout {
  Dims dims = {};  // of the output
  StridedCopy copy = {};
  int64_t src_offset = 0, dst_offset = 0;  // in elements
  // What the copy leaves out: boxes filled with one value, and where they start.
  absl::InlinedVector<std::pair<StridedCopy, int64_t>, 1> fills = {};
};

// The layout for the extents of input 0 and the contents of the integer inputs, in their order;
// absent ones are empty.
using LayoutFn =
    std::function<absl::StatusOr<CopyLayout>(const Dims& in, absl::Span<const IntList> lists)>;

// `ints` are the inputs that `layout` is called with. `fill_input`: the one-element input whose
// value the fills take; zero where it is absent.
absl::StatusOr<std::unique_ptr<Kernel>> MakeCopyKernel(const PrepareContext& context,
                                                       std::vector<IntInput> ints, LayoutFn layout,
                                                       std::optional<size_t> fill_input = {});

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_LAYOUT_COPY_KERNEL_H_
