#include <algorithm>

#include "kernels/cpu/layout/copy_kernel.h"

namespace sluice::cpu {
namespace {

absl::StatusOr<CopyLayout> SliceLayout(DType dtype, const Dims& in, const IntList& starts,
                                       const IntList& ends, const IntList* axes,
                                       const IntList* steps) {
  const size_t n = starts.size();
  if (ends.size() != n || (axes != nullptr && axes->size() != n) ||
      (steps != nullptr && steps->size() != n)) {
    return Invalid("starts, ends, axes and steps must be equally long");
  }
  const Dims strides = RowMajorStrides(in);
  CopyLayout layout{.dims = in};
  Dims src = strides;
  absl::InlinedVector<bool, 8> seen(in.size());
  for (size_t i = 0; i < n; ++i) {
    absl::StatusOr<int> axis = NormalAxis(axes != nullptr ? (*axes)[i] : static_cast<int64_t>(i),
                                          static_cast<int>(in.size()));
    if (!axis.ok()) return axis.status();
    if (seen[*axis]) return Invalid("axis ", *axis, " is sliced twice");
    seen[*axis] = true;
    const int64_t extent = in[*axis], step = steps != nullptr ? (*steps)[i] : 1;
    if (step == 0) return Invalid("steps[", i, "] is 0; expected a forward or backward step");
    if (extent == 0) continue;
    auto clamp = [extent](int64_t index, int64_t low, int64_t high) {
      return std::clamp(index < 0 ? index + extent : index, low, high);
    };
    int64_t from, count;
    if (step > 0) {
      from = clamp(starts[i], 0, extent);
      const int64_t to = clamp(ends[i], 0, extent);
      count = from < to ? (to - from - 1) / step + 1 : 0;
    } else {
      from = clamp(starts[i], 0, extent - 1);
      const int64_t to = clamp(ends[i], -1, extent - 1);
      // -(step + 1) is defined for the smallest step too, and (x - 1) / s + 1 is x / s rounded up.
      const uint64_t size = static_cast<uint64_t>(-(step + 1)) + 1;
      count = from > to ? static_cast<int64_t>(static_cast<uint64_t>(from - to - 1) / size) + 1 : 0;
    }
    layout.dims[*axis] = count;
    layout.src_offset += count > 0 ? from * strides[*axis] : 0;
    src[*axis] = count > 1 ? step * strides[*axis] : 0;
  }
  if (std::find(layout.dims.begin(), layout.dims.end(), 0) != layout.dims.end()) {
    layout.src_offset = 0;
  }
  layout.copy = StridedCopy(dtype, layout.dims, src, RowMajorStrides(layout.dims));
  return layout;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareSlice(const PrepareContext& context) {
  std::vector<IntInput> ints;
  for (size_t i = 1; i <= 4; ++i) ints.emplace_back(context, i);
  const bool has_axes = ints[2].present(), has_steps = ints[3].present();
  return MakeCopyKernel(context, std::move(ints),
                        [dtype = context.input_dtype(0), has_axes, has_steps](
                            const Dims& in, absl::Span<const IntList> lists) {
                          return SliceLayout(dtype, in, lists[0], lists[1],
                                             has_axes ? &lists[2] : nullptr,
                                             has_steps ? &lists[3] : nullptr);
                        });
}

}  // namespace sluice::cpu
