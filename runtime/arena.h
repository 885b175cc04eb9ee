// Where buffers of known lifetimes lie in one block of memory.
#ifndef SLUICE_RUNTIME_ARENA_H_
#define SLUICE_RUNTIME_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace sluice {

inline constexpr int64_t kArenaAlignment = 64;

struct ArenaBuffer {
  int64_t bytes = 0;
  int first = 0, last = 0;  // the steps, both included, between which it must hold
  int64_t offset = 0;       // the result
  int lane = -1;            // of those given: it lives and dies in that lane
};

// Steps that run beside those of other lanes, somewhere between two steps, both included. What is
// a lane's alone is placed in a block of the lane's own, which holds all that time.
struct ArenaLane {
  int first, last;
};

struct ArenaLayout {
  int64_t bytes = 0;  // of the whole block
  int peak_step = 0;  // where the live buffers are largest together
  int64_t peak_live_bytes = 0;
};

// Sets the offsets: large buffers first, each at the lowest place that is free over its lifetime
// (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020: greedy by
// size).
ArenaLayout AssignOffsets(std::vector<ArenaBuffer>* buffers,
                          absl::Span<const ArenaLane> lanes = {});

}  // namespace sluice

#endif  // SLUICE_RUNTIME_ARENA_H_
