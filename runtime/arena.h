// Where buffers of known lifetimes lie in one block of memory.
#ifndef SLUICE_RUNTIME_ARENA_H_
#define SLUICE_RUNTIME_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

inline constexpr int64_t kArenaAlignment = 64;

struct ArenaBuffer {
  int64_t bytes = 0;
  int first = 0, last = 0;  // the steps, both included, between which it must hold
  int64_t offset = 0;       // the result
};

struct ArenaLayout {
  int64_t bytes = 0;  // of the whole block
  int peak_step = 0;  // where the live buffers are largest together
  int64_t peak_live_bytes = 0;
};

// Sets the offsets: large buffers first, each at the lowest place that is free over its lifetime
// (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020: greedy by
// size).
ArenaLayout AssignOffsets(std::vector<ArenaBuffer>* buffers);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_ARENA_H_
