#ifndef SLUICE_RUNTIME_CLOCK_H_
#define SLUICE_RUNTIME_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace sluice {

// Of the monotonic clock.
inline int64_t NowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace sluice

#endif  // SLUICE_RUNTIME_CLOCK_H_
