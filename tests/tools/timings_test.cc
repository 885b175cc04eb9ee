#include "tools/timings.h"

#include <gtest/gtest.h>
#include <malloc.h>

namespace sluice::cli {
namespace {

TEST(Timings, FewAreExact) {
  Timings times;
  for (int i = 100; i > 0; --i) times.Add(i);
  EXPECT_EQ(times.count(), 100);
  EXPECT_EQ(times.least(), 1);
  EXPECT_EQ(times.Quantile(0), 1);
  EXPECT_EQ(times.Quantile(.5), 51);
  EXPECT_EQ(times.Quantile(.99), 100);
  EXPECT_EQ(times.Quantile(1), 100);
}

TEST(Timings, ManyTakeNoMoreMemoryAndKeepTheirQuantiles) {
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  Timings times;
  constexpr int kTimes = 5'000'000;
  // Slower and slower: the first ones alone, or the last, would be far off.
  for (int i = 0; i < kTimes; ++i) times.Add(1 + i);
  const size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
  EXPECT_LT(after - before, size_t{1} << 20);
  EXPECT_EQ(times.count(), kTimes);
  EXPECT_EQ(times.least(), 1);
  for (double q : {.1, .5, .9, .99}) EXPECT_NEAR(times.Quantile(q) / kTimes, q, .01);
}

}  // namespace
}  // namespace sluice::cli
