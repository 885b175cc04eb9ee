#include "runtime/arena.h"

#include <gtest/gtest.h>

#include <random>

namespace sluice {
namespace {

bool Overlap(const ArenaBuffer& a, const ArenaBuffer& b) {
  const bool in_time = a.first <= b.last && b.first <= a.last;
  const bool in_space = a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
  return in_time && in_space;
}

TEST(Arena, ReusesMemoryOfBuffersThatAreDone) {
  std::vector<ArenaBuffer> buffers = {{1024, 0, 1}, {1024, 1, 2}, {1024, 2, 3}};
  const ArenaLayout layout = AssignOffsets(&buffers);
  EXPECT_EQ(layout.bytes, 2048);
  EXPECT_EQ(layout.peak_live_bytes, 2048);
  EXPECT_EQ(buffers[0].offset, buffers[2].offset);
}

TEST(Arena, LiveBuffersNeverOverlapAndAreAligned) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<ArenaBuffer> buffers(60);
    for (ArenaBuffer& b : buffers) {
      b.bytes = static_cast<int64_t>(random() % 5000);
      b.first = static_cast<int>(random() % 40);
      b.last = b.first + static_cast<int>(random() % 10);
    }
    const ArenaLayout layout = AssignOffsets(&buffers);
    for (size_t i = 0; i < buffers.size(); ++i) {
      EXPECT_EQ(buffers[i].offset % kArenaAlignment, 0);
      EXPECT_LE(buffers[i].offset + buffers[i].bytes, layout.bytes);
      for (size_t j = 0; j < i; ++j) EXPECT_FALSE(Overlap(buffers[i], buffers[j]));
    }
    EXPECT_GE(layout.bytes, layout.peak_live_bytes);
  }
}

}  // namespace
}  // namespace sluice
