// ThreadPool: fork-join over a fixed set of threads, shared by our loops and by oneDNN.
//
// The calling thread works too: a pool of n starts n - 1 threads, or as many of them as the system
// gives: threads() says how many there are to split work for. Idle threads spin for some
// microseconds, then park. Several callers may use one pool at once; a call from inside a task runs
// inline. Nothing is allocated in a call.
//
// Tasks may throw (std::bad_alloc, mostly): no further task of the call begins, those under way
// end, and the call throws what the first one threw. The pool is as good as before.
//
// Who splits work for threads() gets other splits, and so other sums, from other pools. A pool with
// a fixed split says always the same number, and cuts alike whoever works: by its own thread alone,
// by many, or from inside a task.
#ifndef SLUICE_KERNELS_DEVICE_THREAD_POOL_H_
#define SLUICE_KERNELS_DEVICE_THREAD_POOL_H_

#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"

namespace sluice {

class ThreadPool {
 public:
  // 0 threads: as many as this process may use (affinity and cgroup limits respected). Throws
  // std::bad_alloc, but not for threads that cannot be had: the pool is a smaller one then.
  explicit ThreadPool(int threads = 0);
  // The threads of `pool`, with work split for `split` of them.
  ThreadPool(const ThreadPool& pool, int split);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }  // to split work for
  int workers() const;                      // that share it, the calling one among them
  bool fixed() const { return fixed_; }     // a fixed split
  static int UsableCores();

  // Calls body(task, tasks) for each task in [0, tasks), on several threads; returns when all are
  // done.
  void RunTasks(int tasks, absl::FunctionRef<void(int task, int tasks)> body);

  // Splits [0, n) into ranges of at least `grain` and calls body(begin, end) on each; runs inline
  // where one range is enough. The ranges depend on n, grain and threads() alone.
  void ParallelFor(int64_t n, int64_t grain,
                   absl::FunctionRef<void(int64_t begin, int64_t end)> body);

  // True inside a task of any pool, on this thread.
  static bool InTask();

 private:
  struct Impl;
  int threads_;
  bool fixed_ = false;
  std::shared_ptr<Impl> impl_;
};

}  // namespace sluice

#endif  // SLUICE_KERNELS_DEVICE_THREAD_POOL_H_
