#include "graph/layout.h"

#include <algorithm>
#include <numeric>

namespace sluice {
namespace {

constexpr absl::string_view kNames[] = {"plain", "channels_last", "blocked8", "blocked16"};

}  // namespace

absl::string_view ToString(Layout layout) { return kNames[static_cast<int>(layout)]; }

std::optional<Layout> ParseLayout(absl::string_view name) {
  for (int i = 0; i < 4; ++i) {
    if (name == kNames[i]) return static_cast<Layout>(i);
  }
  return std::nullopt;
}

std::vector<int> MemoryOrder(int rank, Layout layout) {
  std::vector<int> order(static_cast<size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  if (layout == Layout::kChannelsLast && rank > 2) {
    std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  }
  return order;
}

Dims RowMajorStrides(absl::Span<const int64_t> dims) {
  if (std::find(dims.begin(), dims.end(), 0) != dims.end()) return Dims(dims.size(), 0);
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

Dims MemoryDims(const Dims& dims, Layout layout) {
  Dims result;
  for (int axis : MemoryOrder(static_cast<int>(dims.size()), layout)) result.push_back(dims[axis]);
  return result;
}

Dims MemoryStrides(const Dims& dims, Layout layout) {
  const std::vector<int> order = MemoryOrder(static_cast<int>(dims.size()), layout);
  const Dims strides = RowMajorStrides(MemoryDims(dims, layout));
  Dims result(dims.size(), 0);
  for (size_t i = 0; i < order.size(); ++i) result[order[i]] = strides[i];
  return result;
}

Type WithLayout(const Type& type, Layout layout) {
  return Type::Tensor(type.dtype(), type.shape(), layout);
}

bool SameInChannelsLast(const Type& type) {
  if (!type.is_tensor() || !type.has_shape()) return false;
  if (type.rank() < 3) return true;
  const auto is_one = [](const Dim& d) { return d.is_number() && d.number() == 1; };
  return is_one(type.dim(1)) || std::all_of(type.shape().begin() + 2, type.shape().end(), is_one);
}

}  // namespace sluice
