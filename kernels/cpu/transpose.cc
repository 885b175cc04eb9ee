#include <numeric>

#include "kernels/cpu/copy_kernel.h"

namespace sluice::cpu {

absl::StatusOr<std::unique_ptr<Kernel>> PrepareTranspose(const PrepareContext& context) {
  const Dims in = context.input_dims(0);
  std::vector<int64_t> perm = context.node.Ints("perm");
  if (context.node.FindAttr("perm") == nullptr) {
    perm.resize(in.size());
    std::iota(perm.rbegin(), perm.rend(), 0);
  }
  if (perm.size() != in.size()) return Invalid("perm does not fit ", DimsToString(in));
  const Dims strides = RowMajorStrides(in);
  CopyLayout layout;
  Dims src;
  for (int64_t p : perm) {
    layout.dims.push_back(in[p]);
    src.push_back(strides[p]);
  }
  layout.copy = StridedCopy(context.input_dtype(0), layout.dims, src, RowMajorStrides(layout.dims));
  return MakeCopyKernel(context, {}, [layout](absl::Span<const IntList>) { return layout; });
}

}  // namespace sluice::cpu
