// Memory that is refused: a binary that links this has an allocator which fails when it is told to.
//
// Refused are C++'s allocations and aligned ones (oneDNN's objects) of any size, and of C's others
// (malloc and its kin, anonymous mappings) those of 64 KB and more: what the C library needs for
// itself is not looked at. Under a sanitizer, whose malloc cannot
// be replaced, C++'s alone.
#ifndef SLUICE_TESTS_TESTING_REFUSED_MEMORY_H_
#define SLUICE_TESTS_TESTING_REFUSED_MEMORY_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "absl/status/status.h"

namespace sluice {

// Allocation number `at` (from 1) from now on fails, on whatever thread; with `for_good` all that
// follow, too. 0: none fails.
void RefuseMemory(int64_t at, bool for_good);
// No allocation fails any more; how many there were since RefuseMemory().
int64_t GiveMemory();

// Calls `body`, which returns a Status, once in peace and then with one allocation failing after
// the other, alone and with all that follow; `tries` of each kind, spread over all of them, or
// every one where SLUICE_EVERY_ALLOCATION is set. It must end well or in ResourceExhausted.
template <typename F>
void RefuseEach(int64_t tries, F body) {
  const absl::Status first = body();
  ASSERT_TRUE(first.ok()) << first;  // the first call fills what the process keeps
  RefuseMemory(0, false);
  const absl::Status whole = body();
  const int64_t all = GiveMemory();
  ASSERT_TRUE(whole.ok()) << whole;
  ASSERT_GT(all, 0);
  if (std::getenv("SLUICE_EVERY_ALLOCATION") != nullptr) tries = all;
  tries = std::min(tries, all);
  int64_t refused = 0;
  for (const bool for_good : {false, true}) {
    for (int64_t n = 0; n < tries; ++n) {
      const int64_t at = 1 + n * all / tries;
      RefuseMemory(at, for_good);
      const absl::Status status = body();
      GiveMemory();
      if (status.ok()) continue;
      ++refused;
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted)
          << "allocation " << at << " of " << all << (for_good ? " and all that follow" : "")
          << ": " << status;
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace sluice

#endif  // SLUICE_TESTS_TESTING_REFUSED_MEMORY_H_
