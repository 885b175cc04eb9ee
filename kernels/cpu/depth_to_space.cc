// DepthToSpace and SpaceToDepth: transposes of six axes.
#include <array>

#include "kernels/cpu/layout/copy_kernel.h"

namespace sluice::cpu {
namespace {

// The input seen as `split`, its axes taken in the order `perm`.
absl::StatusOr<std::unique_ptr<Kernel>> Permuted(const PrepareContext& context, const Dims& split,
                                                 const std::array<int, 6>& perm, Dims dims) {
  const Dims strides = RowMajorStrides(split);
  Dims extents, src;
  for (int p : perm) {
    extents.push_back(split[p]);
    src.push_back(strides[p]);
  }
  CopyLayout layout{.dims = std::move(dims)};
  layout.copy = StridedCopy(context.input_dtype(0), extents, src, RowMajorStrides(extents));
  return MakeCopyKernel(context, {},
                        [layout](const Dims&, absl::Span<const IntList>) { return layout; });
}

absl::Status CheckBlock(int64_t block, const Dims& in) {
  if (in.size() != 4 || block < 1 || block > INT32_MAX) {
    return Invalid("blocksize ", block, " and input ", DimsToString(in), "; expected [N,C,H,W]");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareDepthToSpace(const PrepareContext& context) {
  const Dims in = context.input_dims(0);
  const int64_t b = context.node.Int("blocksize");
  if (absl::Status s = CheckBlock(b, in); !s.ok()) return s;
  const int64_t n = in[0], c = in[1] / (b * b), h = in[2], w = in[3];
  if (c * b * b != in[1]) return Invalid(in[1], " channels do not divide by ", b * b);
  if (h > INT64_MAX / b || w > INT64_MAX / b) return Invalid(DimsToString(in), " is too large");
  const Dims out = {n, c, h * b, w * b};
  if (context.node.String("mode") == "CRD") {
    return Permuted(context, {n, c, b, b, h, w}, {0, 1, 4, 2, 5, 3}, out);
  }
  return Permuted(context, {n, b, b, c, h, w}, {0, 3, 4, 1, 5, 2}, out);
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareSpaceToDepth(const PrepareContext& context) {
  const Dims in = context.input_dims(0);
  const int64_t b = context.node.Int("blocksize");
  if (absl::Status s = CheckBlock(b, in); !s.ok()) return s;
  if (in[2] % b != 0 || in[3] % b != 0) {
    return Invalid(DimsToString(in), " does not divide into blocks of ", b);
  }
  if (in[1] > INT64_MAX / (b * b)) return Invalid(DimsToString(in), " is too large");
  const int64_t n = in[0], c = in[1], h = in[2] / b, w = in[3] / b;
  return Permuted(context, {n, c, h, b, w, b}, {0, 3, 5, 1, 2, 4}, {n, b * b * c, h, w});
}

}  // namespace sluice::cpu
