#include <algorithm>
#include <numeric>

#include "kernels/cpu/layout/copy_kernel.h"

namespace sluice::cpu {

absl::StatusOr<std::unique_ptr<Kernel>> PrepareIdentity(const PrepareContext& context);

namespace {

std::vector<int64_t> Permutation(const PrepareContext& context, size_t rank) {
  std::vector<int64_t> perm = context.node.Ints("perm");
  if (context.node.FindAttr("perm") == nullptr) {
    perm.resize(rank);
    std::iota(perm.rbegin(), perm.rend(), 0);
  }
  return perm;
}

}  // namespace

// Axes of extent 1 move no element: a batch of one, say.
absl::StatusOr<std::unique_ptr<Kernel>> PrepareTransposeView(const PrepareContext& context) {
  const Dims in = context.input_dims(0);
  std::vector<int64_t> perm = Permutation(context, in.size());
  if (perm.size() != in.size()) return Invalid("perm does not fit ", DimsToString(in));
  perm.erase(std::remove_if(perm.begin(), perm.end(), [&](int64_t p) { return in[p] == 1; }),
             perm.end());
  if (!std::is_sorted(perm.begin(), perm.end())) {
    return absl::UnimplementedError("elements move");
  }
  return PrepareIdentity(context);
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareTranspose(const PrepareContext& context) {
  const Dims in = context.input_dims(0);
  const std::vector<int64_t> perm = Permutation(context, in.size());
  if (perm.size() != in.size()) return Invalid("perm does not fit ", DimsToString(in));
  const Dims strides = RowMajorStrides(in);
  CopyLayout layout;
  Dims src;
  for (int64_t p : perm) {
    layout.dims.push_back(in[p]);
    src.push_back(strides[p]);
  }
  layout.copy = StridedCopy(context.input_dtype(0), layout.dims, src, RowMajorStrides(layout.dims));
  return MakeCopyKernel(context, {},
                        [layout](const Dims&, absl::Span<const IntList>) { return layout; });
}

}  // namespace sluice::cpu
