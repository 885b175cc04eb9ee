// Layouts of types: their names, the order of axes in memory, and where two of them are one.
#ifndef SLUICE_GRAPH_LAYOUT_H_
#define SLUICE_GRAPH_LAYOUT_H_

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "graph/type.h"

namespace sluice {

absl::string_view ToString(Layout layout);  // "plain", "channels_last", ...
// The layout of that name; nothing where there is none.
std::optional<Layout> ParseLayout(absl::string_view name);

// The axes of a tensor of `rank` in the order in which they lie in memory. For plain and channels
// last, which lies as [N,D1,...,C].
std::vector<int> MemoryOrder(int rank, Layout layout);

// The extents in the order of memory, and the distances in memory between neighbours along each
// axis, in elements: what MemoryOrder() says of a tensor.
Dims MemoryDims(const Dims& dims, Layout layout);
Dims MemoryStrides(const Dims& dims, Layout layout);
// Of the plain layout; 0 where there is no element.
Dims RowMajorStrides(absl::Span<const int64_t> dims);

// `type`, whose shape is known, in another layout. No extent changes.
Type WithLayout(const Type& type, Layout layout);

// True where plain and channels last put every element on the same spot, as far as the extents are
// numbers: [N,C,1,1], [N,1,H,W], ranks below 3. Such a tensor is called plain.
bool SameInChannelsLast(const Type& type);

}  // namespace sluice

#endif  // SLUICE_GRAPH_LAYOUT_H_
