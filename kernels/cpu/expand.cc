// Expand and Tile: source strides of 0.
#include <algorithm>

#include "kernels/cpu/layout/copy_kernel.h"

namespace sluice::cpu {
namespace {

absl::StatusOr<CopyLayout> ExpandLayout(DType dtype, const Dims& in, const IntList& shape) {
  const size_t rank = std::max(in.size(), shape.size());
  const Dims strides = RowMajorStrides(in);
  CopyLayout layout;
  Dims src(rank, 0);
  for (size_t i = 0; i < rank; ++i) {
    const size_t a = i + in.size() - rank, b = i + shape.size() - rank;  // wrap where absent
    const int64_t have = a < in.size() ? in[a] : 1, want = b < shape.size() ? shape[b] : 1;
    if (want < 0 || (have != want && have != 1 && want != 1)) {
      return Invalid("cannot expand ", DimsToString(in), " to ", DimsToString(shape));
    }
    layout.dims.push_back(have == 1 ? want : have);
    if (have != 1) src[i] = strides[a];
  }
  if (absl::StatusOr<int64_t> n = ElementCount(layout.dims, ByteSize(dtype)); !n.ok()) {
    return n.status();
  }
  layout.copy = StridedCopy(dtype, layout.dims, src, RowMajorStrides(layout.dims));
  return layout;
}

absl::StatusOr<CopyLayout> TileLayout(DType dtype, const Dims& in, const IntList& repeats) {
  if (repeats.size() != in.size()) {
    return Invalid(repeats.size(), " repeats for ", DimsToString(in), "; expected one an axis");
  }
  const Dims strides = RowMajorStrides(in);
  CopyLayout layout;
  Dims extents, src;
  for (size_t i = 0; i < in.size(); ++i) {
    if (repeats[i] < 0) return Invalid("repeats[", i, "] is ", repeats[i], "; expected 0 or more");
    extents.push_back(repeats[i]);
    extents.push_back(in[i]);
    src.push_back(0);
    src.push_back(strides[i]);
  }
  if (absl::StatusOr<int64_t> n = ElementCount(extents, ByteSize(dtype)); !n.ok()) {
    return n.status();
  }
  for (size_t i = 0; i < in.size(); ++i) layout.dims.push_back(in[i] * repeats[i]);
  layout.copy = StridedCopy(dtype, extents, src, RowMajorStrides(extents));
  return layout;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareExpand(const PrepareContext& context) {
  return MakeCopyKernel(
      context, {IntInput(context, 1)},
      [dtype = context.input_dtype(0)](const Dims& in, absl::Span<const IntList> lists) {
        return ExpandLayout(dtype, in, lists[0]);
      });
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareTile(const PrepareContext& context) {
  return MakeCopyKernel(
      context, {IntInput(context, 1)},
      [dtype = context.input_dtype(0)](const Dims& in, absl::Span<const IntList> lists) {
        return TileLayout(dtype, in, lists[0]);
      });
}

}  // namespace sluice::cpu
