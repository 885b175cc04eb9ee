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

TEST(Arena, LanesHaveBlocksOfTheirOwnAndUseThemAgain) {
  // Steps 1 to 4 are two lanes, [1 3] and [2 4]; buffer 0 is read before them, 5 lives on.
  std::vector<ArenaBuffer> buffers = {{1024, 0, 0}, {1024, 1, 1}, {1024, 2, 2},
                                      {1024, 3, 3}, {1024, 4, 4}, {1024, 1, 5}};
  for (int i = 1; i <= 4; ++i) buffers[i].lane = (i - 1) % 2;
  const ArenaLayout layout = AssignOffsets(&buffers, {{1, 4}, {1, 4}});
  EXPECT_EQ(buffers[1].offset, buffers[3].offset);
  EXPECT_EQ(buffers[2].offset, buffers[4].offset);
  EXPECT_NE(buffers[1].offset, buffers[2].offset);
  EXPECT_NE(buffers[1].offset, buffers[5].offset);
  EXPECT_NE(buffers[2].offset, buffers[5].offset);
  EXPECT_EQ(layout.bytes, 3072);
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
