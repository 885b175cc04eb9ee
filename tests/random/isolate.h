// Work in a process of its own, so that a crash is a finding and not the end.
#ifndef SLUICE_TESTS_RANDOM_ISOLATE_H_
#define SLUICE_TESTS_RANDOM_ISOLATE_H_

#include <cstdint>
#include <functional>
#include <string>

namespace sluice::random {

// What a child was doing, in memory that its parent sees.
struct Progress {
  volatile uint64_t seed;
  char form[64];
  void Enter(const std::string& name);
  // Ends this process unless called again within so many seconds of its computing, or many more of
  // the clock: on a busy machine nothing is late, and what computes nothing waits in vain.
  void Watch(int seconds);
};

struct Outcome {
  std::string said;  // all that the child has written
  bool crashed = false, late = false;
  std::string how;    // "signal 11 (Segmentation fault)"
  uint64_t seed = 0;  // where
  std::string form;
};

// The caller has one thread.
class Child {
 public:
  explicit Child(const std::function<void(Progress*, int fd)>& work);
  int fd() const { return fd_; }
  bool Read();  // what there is to read; false: the child has ended
  // What it has said so far up to the last `end`, once.
  std::string Said(char end);
  Outcome Finish();

 private:
  Progress* progress_;
  int pid_ = 0, fd_ = -1;
  std::string said_;
};

Outcome Isolated(const std::function<void(Progress*, int fd)>& work);
void Write(int fd, const std::string& text);

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_ISOLATE_H_
