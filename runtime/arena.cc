#include "runtime/arena.h"

#include <algorithm>
#include <numeric>

namespace sluice {

namespace {

ArenaLayout Place(std::vector<ArenaBuffer>* buffers) {
  std::vector<size_t> order(buffers->size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return (*buffers)[a].bytes > (*buffers)[b].bytes; });
  ArenaLayout layout;
  std::vector<ArenaBuffer*> placed;  // by offset
  size_t latest = 0;                 // the place in it of the buffer before
  for (size_t i : order) {
    ArenaBuffer& buffer = (*buffers)[i];
    const auto rounded = [](int64_t bytes) {
      return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
    };
    const int64_t bytes = rounded(buffer.bytes);
    int64_t offset = 0;
    size_t first = 0;
    if (!placed.empty()) {
      // What found no place below its like finds none either: many equal buffers take linear time.
      const ArenaBuffer& like = *placed[latest];
      if (like.first == buffer.first && like.last == buffer.last && rounded(like.bytes) == bytes) {
        offset = like.offset + bytes;
        first = latest + 1;
      }
    }
    for (size_t k = first; k < placed.size(); ++k) {
      const ArenaBuffer* other = placed[k];
      if (other->last < buffer.first || buffer.last < other->first) continue;
      if (offset + bytes <= other->offset) break;
      offset = std::max(offset, other->offset + rounded(other->bytes));
    }
    buffer.offset = offset;
    layout.bytes = std::max(layout.bytes, offset + bytes);
    const auto at = std::upper_bound(placed.begin(), placed.end(), offset,
                                     [](int64_t o, const ArenaBuffer* b) { return o < b->offset; });
    latest = static_cast<size_t>(placed.insert(at, &buffer) - placed.begin());
  }
  int last = 0;
  for (const ArenaBuffer& b : *buffers) last = std::max(last, b.last);
  std::vector<int64_t> change(static_cast<size_t>(last) + 2, 0);
  for (const ArenaBuffer& b : *buffers) {
    change[b.first] += b.bytes;
    change[b.last + 1] -= b.bytes;
  }
  int64_t live = 0;
  for (int step = 0; step <= last; ++step) {
    live += change[step];
    if (live > layout.peak_live_bytes) {
      layout.peak_live_bytes = live;
      layout.peak_step = step;
    }
  }
  return layout;
}

}  // namespace

ArenaLayout AssignOffsets(std::vector<ArenaBuffer>* buffers, absl::Span<const ArenaLane> lanes) {
  if (lanes.empty()) return Place(buffers);
  std::vector<ArenaBuffer> outer;
  std::vector<std::vector<ArenaBuffer>> inner(lanes.size());
  for (const ArenaBuffer& b : *buffers) (b.lane < 0 ? outer : inner[b.lane]).push_back(b);
  const size_t whole = outer.size();
  for (size_t i = 0; i < lanes.size(); ++i) {
    outer.push_back({Place(&inner[i]).bytes, lanes[i].first, lanes[i].last});
  }
  const ArenaLayout layout = Place(&outer);
  std::vector<size_t> next(lanes.size(), 0);
  size_t next_outer = 0;
  for (ArenaBuffer& b : *buffers) {
    b.offset = b.lane < 0 ? outer[next_outer++].offset
                          : outer[whole + b.lane].offset + inner[b.lane][next[b.lane]++].offset;
  }
  return layout;
}

}  // namespace sluice
