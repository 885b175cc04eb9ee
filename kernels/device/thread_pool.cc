#include "kernels/device/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/base/optimization.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice {
namespace {

constexpr int kSpins = 4000;  // some 20 to 50 microseconds: longer than the gap between two kernels

thread_local bool in_task = false;

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// One RunTasks() under way; lives on the caller's stack.
struct Job {
  absl::FunctionRef<void(int, int)> body;
  int tasks;
  std::atomic<int> next{0};
  std::atomic<int> helpers{0};  // workers inside; changes under the pool's mutex
  Job* following = nullptr;
  std::atomic_flag failed;
  std::exception_ptr error;  // what the first task that failed threw

  bool HasWork() const { return next.load(std::memory_order_relaxed) < tasks; }
  void Work() {
    in_task = true;
    try {
      for (int i = next.fetch_add(1, std::memory_order_relaxed); i < tasks;
           i = next.fetch_add(1, std::memory_order_relaxed)) {
        body(i, tasks);
      }
    } catch (...) {
      next.store(tasks, std::memory_order_relaxed);  // no task begins any more
      if (!failed.test_and_set()) error = std::current_exception();
    }
    in_task = false;
  }
};

// Cores that the control group's quota allows, or a large number.
int CgroupCores() {
  int cores = 1 << 20;
  if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu.max", "re")) {
    long long quota = 0, period = 0;
    if (std::fscanf(f, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0) {
      cores = static_cast<int>(std::max<long long>(1, (quota + period - 1) / period));
    }
    std::fclose(f);
  }
  return cores;
}

}  // namespace

struct ThreadPool::Impl {
  std::mutex mutex;
  std::condition_variable wake, left;
  Job* jobs = nullptr;             // under mutex
  int parked = 0;                  // under mutex
  std::atomic<uint64_t> epoch{0};  // changes when a job arrives or the pool stops
  bool stop = false;               // under mutex
  std::vector<std::thread> workers;

  explicit Impl(int threads) {
    try {
      for (int i = 1; i < threads; ++i) workers.emplace_back([this] { WorkerLoop(); });
    } catch (const std::exception&) {
      // The system gives no more threads, or no memory for them: those that there are do the work.
    }
  }
  ~Impl() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      stop = true;
      epoch.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
    for (std::thread& t : workers) t.join();
  }

  Job* FindWork() {
    for (Job* job = jobs; job != nullptr; job = job->following) {
      if (job->HasWork()) return job;
    }
    return nullptr;
  }

  void WorkerLoop() {
    std::unique_lock<std::mutex> lock(mutex);
    while (!stop) {
      if (Job* job = FindWork()) {
        job->helpers.fetch_add(1, std::memory_order_relaxed);
        lock.unlock();
        job->Work();
        lock.lock();
        if (job->helpers.fetch_sub(1, std::memory_order_acq_rel) == 1) left.notify_all();
        continue;
      }
      const uint64_t seen = epoch.load(std::memory_order_relaxed);
      lock.unlock();
      for (int i = 0; i < kSpins && epoch.load(std::memory_order_acquire) == seen; ++i) Pause();
      lock.lock();
      if (stop || epoch.load(std::memory_order_relaxed) != seen) continue;
      ++parked;
      wake.wait(lock, [&] { return stop || epoch.load(std::memory_order_relaxed) != seen; });
      --parked;
    }
  }
};

int ThreadPool::UsableCores() {
  cpu_set_t set;
  const int affinity = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::max(1, std::min(affinity, CgroupCores()));
}

ThreadPool::ThreadPool(int threads)
    : threads_(threads > 0 ? threads : UsableCores()), impl_(std::make_shared<Impl>(threads_)) {
  threads_ = workers();  // as many as the system gives
}

ThreadPool::ThreadPool(const ThreadPool& pool, int split)
    : threads_(split), fixed_(true), impl_(pool.impl_) {}

ThreadPool::~ThreadPool() = default;

int ThreadPool::workers() const { return static_cast<int>(impl_->workers.size()) + 1; }

bool ThreadPool::InTask() { return in_task; }

void ThreadPool::RunTasks(int tasks, absl::FunctionRef<void(int task, int tasks)> body) {
  if (tasks <= 1 || impl_->workers.empty() || in_task) {
    for (int i = 0; i < tasks; ++i) body(i, tasks);
    return;
  }
  Job job{body, tasks};
  bool wake;
  {
    std::lock_guard<std::mutex> lock(impl_->mutex);
    job.following = impl_->jobs;
    impl_->jobs = &job;
    impl_->epoch.fetch_add(1, std::memory_order_release);
    wake = impl_->parked > 0;
  }
  if (wake) {
    if (tasks == 2) {
      impl_->wake.notify_one();
    } else {
      impl_->wake.notify_all();
    }
  }
  job.Work();
  for (int i = 0; i < kSpins && job.helpers.load(std::memory_order_acquire) > 0; ++i) Pause();
  std::unique_lock<std::mutex> lock(impl_->mutex);
  Job** link = &impl_->jobs;
  while (*link != &job) link = &(*link)->following;
  *link = job.following;
  impl_->left.wait(lock, [&] { return job.helpers.load(std::memory_order_acquire) == 0; });
  if (ABSL_PREDICT_FALSE(job.error != nullptr)) std::rethrow_exception(job.error);
}

void ThreadPool::ParallelFor(int64_t n, int64_t grain,
                             absl::FunctionRef<void(int64_t begin, int64_t end)> body) {
  if (n <= 0) return;
  grain = std::max<int64_t>(1, grain);
  int64_t ranges = std::min<int64_t>(n / grain, threads_);
  // Some more ranges than threads even out cores that are slowed by other work.
  if (ranges == threads_) ranges = std::min<int64_t>(n / grain, 4 * int64_t{threads_});
  if (ranges <= 1 || (!fixed_ && (threads_ == 1 || in_task))) {
    body(0, n);
    return;
  }
  RunTasks(static_cast<int>(ranges), [&](int task, int) {
    const int64_t each = n / ranges, more = n % ranges;
    const int64_t begin = task * each + std::min<int64_t>(task, more);
    body(begin, begin + each + (task < more ? 1 : 0));
  });
}

}  // namespace sluice
