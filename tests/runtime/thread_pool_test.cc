#include "kernels/device/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "sluice.h"

namespace sluice {
namespace {

TEST(ThreadPool, EveryIndexOnce) {
  ThreadPool pool(4);
  for (int64_t n : {0, 1, 3, 100, 10007}) {
    std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
    pool.ParallelFor(n, 3, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
    });
    for (auto& h : hits) EXPECT_EQ(h.load(), 1);
  }
}

TEST(ThreadPool, CallsFromManyThreadsAtOnce) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        pool.RunTasks(7, [&](int task, int tasks) { sum += task + tasks; });
      }
    });
  }
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(sum.load(), 4 * 200 * (21 + 49));
}

TEST(ThreadPool, ACallInsideATaskRunsInline) {
  ThreadPool pool(2);
  std::atomic<int> inner{0};
  EXPECT_FALSE(ThreadPool::InTask());
  pool.RunTasks(4, [&](int, int) {
    EXPECT_TRUE(ThreadPool::InTask());
    const std::thread::id me = std::this_thread::get_id();
    pool.RunTasks(3, [&](int, int) {
      EXPECT_EQ(std::this_thread::get_id(), me);
      ++inner;
    });
    EXPECT_TRUE(ThreadPool::InTask());
  });
  EXPECT_EQ(inner.load(), 12);
}

TEST(ThreadPool, WakesAfterItParked) {
  ThreadPool pool(2);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> done{0};
    pool.RunTasks(8, [&](int, int) { ++done; });
    EXPECT_EQ(done.load(), 8);
  }
}

TEST(ThreadPool, AFixedSplitCutsAlikeWhoeverWorks) {
  using Ranges = std::vector<std::pair<int64_t, int64_t>>;
  const auto ranges_of = [](ThreadPool& pool) {
    std::mutex mutex;
    Ranges ranges;
    pool.ParallelFor(1000, 10, [&](int64_t begin, int64_t end) {
      std::lock_guard<std::mutex> lock(mutex);
      ranges.push_back({begin, end});
    });
    std::sort(ranges.begin(), ranges.end());
    return ranges;
  };
  Ranges expected;
  for (int threads : {1, 2, 5}) {
    ThreadPool shared(threads);
    ThreadPool pool(shared, 8);
    EXPECT_EQ(pool.threads(), 8);
    EXPECT_EQ(pool.workers(), threads);
    EXPECT_FALSE(shared.fixed());
    const Ranges outside = ranges_of(pool);
    if (expected.empty()) expected = outside;
    EXPECT_EQ(outside, expected);
    EXPECT_EQ(outside.size(), 32u);
    shared.RunTasks(2, [&](int, int) { EXPECT_EQ(ranges_of(pool), expected); });
  }
}

TEST(ThreadPool, AFixedSplitOutlivesThePoolThatItWasMadeOf) {
  auto shared = std::make_unique<ThreadPool>(3);
  ThreadPool pool(*shared, 8);
  shared.reset();
  std::atomic<int> done{0};
  pool.RunTasks(20, [&](int, int) { ++done; });
  EXPECT_EQ(done.load(), 20);
}

TEST(ThreadPool, WhatATaskThrowsReachesTheCaller) {
  ThreadPool pool(3);
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> running{0};
    EXPECT_THROW(pool.RunTasks(50,
                               [&](int task, int) {
                                 ++running;
                                 if (task == round % 7) throw std::bad_alloc();
                                 --running;
                               }),
                 std::bad_alloc);
    EXPECT_EQ(running.load(), 1);  // the one that threw: the others have ended
    std::atomic<int> done{0};
    pool.RunTasks(50, [&](int, int) { ++done; });
    EXPECT_EQ(done.load(), 50);
  }
  EXPECT_THROW(pool.ParallelFor(1000, 1, [](int64_t, int64_t) { throw std::bad_alloc(); }),
               std::bad_alloc);
  EXPECT_FALSE(ThreadPool::InTask());
}

TEST(ThreadPool, WorksWithTheThreadsThatThereAre) {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "a sanitizer takes more memory than a limit could leave";
#endif
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  rlimit little = before;  // room for a few stacks
  little.rlim_cur = rlim_t{1} << 30;
  ASSERT_EQ(setrlimit(RLIMIT_AS, &little), 0);
  {
    ThreadPool pool(1000);
    EXPECT_GT(pool.threads(), 1);
    EXPECT_LT(pool.threads(), 1000);
    std::atomic<int> done{0};
    pool.RunTasks(50, [&](int, int) { ++done; });
    EXPECT_EQ(done.load(), 50);
    absl::StatusOr<std::unique_ptr<Graph>> graph =
        Parse("graph g (%x: f32[2]) {\n  %y = Relu(%x)\n  return %y\n}", StandardOps());
    ASSERT_TRUE(graph.ok()) << graph.status();
    EXPECT_EQ(Session::Create(**graph, {.threads = 1000}).status().code(),
              absl::StatusCode::kResourceExhausted);
    for (const int threads : {-1, SessionOptions::kMaxThreads + 1}) {
      EXPECT_EQ(Session::Create(**graph, {.threads = threads}).status().code(),
                absl::StatusCode::kInvalidArgument);
    }
  }
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
}

}  // namespace
}  // namespace sluice
