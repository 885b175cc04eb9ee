// Memory that cannot be had ends in ResourceExhausted, wherever it was wanted: each buffer of a
// model's whole way (read, compile, run, write) is refused in turn, alone or with all that follow.
//
// Less than 64 KB is always given: models decide the sizes of tensors, packed weights and code, and
// the hash tables of Abseil do not survive that they cannot grow.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "sluice.h"

// A sanitizer brings its own malloc.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)

namespace {

std::atomic<bool> armed{false}, for_good{false};
std::atomic<int64_t> seen{0}, fails_at{0};

constexpr size_t kLeast = 64 << 10;

bool Fails(size_t bytes) {
  if (bytes < kLeast || !armed.load(std::memory_order_relaxed)) return false;
  const int64_t at = seen.fetch_add(1) + 1;
  return for_good.load() ? at >= fails_at.load() : at == fails_at.load();
}

}  // namespace

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name,bugprone-reserved-identifier)
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t n) { return Fails(n) ? nullptr : __libc_malloc(n); }
void* calloc(size_t n, size_t size) { return Fails(n * size) ? nullptr : __libc_calloc(n, size); }
void* realloc(void* p, size_t n) { return Fails(n) ? nullptr : __libc_realloc(p, n); }
void* memalign(size_t alignment, size_t n) {
  return Fails(n) ? nullptr : __libc_memalign(alignment, n);
}
void* aligned_alloc(size_t alignment, size_t n) { return memalign(alignment, n); }
int posix_memalign(void** p, size_t alignment, size_t n) {
  *p = memalign(alignment, n);
  return *p == nullptr ? ENOMEM : 0;
}
void* mmap(void* at, size_t n, int protection, int flags, int fd, off_t offset) noexcept {
  if (Fails(n)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, n, protection, flags, fd, offset));
}
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name,bugprone-reserved-identifier)

namespace sluice {
namespace {

constexpr const char* kModels[] = {
    R"(graph conv (%x: f32[n,16,12,12]) {
  %w = Constant {value = f32[16,16,3,3] {random = 1, scale = 0.1}}
  %c = Conv(%x, %w) {pads = [1, 1, 1, 1]}
  %r = Relu(%c)
  %p = MaxPool(%r) {kernel_shape = [2, 2], strides = [2, 2]}
  %f = Flatten(%p)
  %v = Constant {value = f32[576,32] {random = 2, scale = 0.1}}
  %m = MatMul(%f, %v)
  %y = Softmax(%m)
  return %y
})",
    R"(graph recurrent (%x: f32[5,n,8]) {
  %w = Constant {value = f32[1,48,8] {random = 1, scale = 0.1}}
  %r = Constant {value = f32[1,48,16] {random = 2, scale = 0.1}}
  %y, %h = GRU(%x, %w, %r) {hidden_size = 16}
  return %y
})",
    R"(graph sized_by_data (%x: f32[n,16,12,12]) {
  %a = Relu(%x)
  %i = NonZero(%a)
  %t = Transpose(%i) {perm = [1, 0]}
  %g = GatherND(%a, %t)
  %e = Exp(%g)
  %three = Constant {value = i64[1] [3]}
  %s, %k = TopK(%e, %three)
  return %s, %k
})"};

// Reads, compiles and runs; the first error of it, or the result.
absl::StatusOr<Tensor> Once(const std::string& text, const Feeds& feeds, int threads) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  if (!graph.ok()) return graph.status();
  SessionOptions options;
  options.threads = threads;
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, std::move(options));
  if (!session.ok()) return session.status();
  absl::StatusOr<std::vector<Tensor>> results = (*session)->Run(feeds);
  if (!results.ok()) return results.status();
  return (*results)[0];
}

// Calls `body` with each `step`-th allocation failing; it must end in the result or in
// ResourceExhausted.
template <typename F>
void FailEach(int64_t tries, const Tensor& expected, F body) {
  fails_at = std::numeric_limits<int64_t>::max();
  seen = 0;
  armed = true;
  absl::StatusOr<Tensor> whole = body();
  armed = false;
  ASSERT_TRUE(whole.ok()) << whole.status();
  const int64_t all = seen;
  ASSERT_GT(all, 0);
  int64_t failed = 0;
  for (const bool good : {false, true}) {
    for (int64_t n = 0; n < tries; ++n) {
      const int64_t at = 1 + n * all / tries;
      for_good = good;
      fails_at = at;
      seen = 0;
      armed = true;
      absl::StatusOr<Tensor> result = body();
      armed = false;
      if (result.ok()) {  // another way was found
        EXPECT_TRUE(*result == expected) << "other numbers when allocation " << at << " fails";
      } else {
        ++failed;
        EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted)
            << "allocation " << at << " of " << all << ": " << result.status();
      }
    }
  }
  EXPECT_GT(failed, 0);
}

TEST(FailingAllocations, EndInResourceExhausted) {
  for (const char* text : kModels) {
    const bool recurrent = std::string_view(text).starts_with("graph recurrent");
    const Feeds feeds = {{"x", recurrent
                                   ? *Tensor::Random(DType::kF32, {5, 2, 8}, {.seed = 5})
                                   : *Tensor::Random(DType::kF32, {2, 16, 12, 12}, {.seed = 5})}};
    for (const int threads : {1, 2}) {
      absl::StatusOr<Tensor> expected = Once(text, feeds, threads);
      ASSERT_TRUE(expected.ok()) << expected.status();
      const std::string model = text;
      FailEach(150, *expected, [&] { return Once(model, feeds, threads); });
    }
  }
}

TEST(FailingAllocations, LeaveASessionThatRunsOn) {
  const Feeds feeds = {{"x", *Tensor::Random(DType::kF32, {2, 16, 12, 12}, {.seed = 5})}};
  for (const char* text : {kModels[0], kModels[2]}) {
    absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
    ASSERT_TRUE(graph.ok()) << graph.status();
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, {.threads = 2});
    ASSERT_TRUE(session.ok()) << session.status();
    absl::StatusOr<std::vector<Tensor>> expected = (*session)->Run(feeds);
    ASSERT_TRUE(expected.ok()) << expected.status();
    FailEach(100, (*expected)[0], [&]() -> absl::StatusOr<Tensor> {
      absl::StatusOr<std::vector<Tensor>> results = (*session)->Run(feeds);
      if (!results.ok()) return results.status();
      return (*results)[0];
    });
    absl::StatusOr<std::vector<Tensor>> again = (*session)->Run(feeds);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE((*again)[0] == (*expected)[0]);
  }
}

TEST(FailingAllocations, OfReadingAndWriting) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(kModels[0], StandardOps());
  ASSERT_TRUE(graph.ok()) << graph.status();
  for (const char* form : {"m.onnx", "m.sluice", "m.sluice.txt", "folder"}) {
    const std::string path = ::testing::TempDir() + "/" + form;
    FailEach(100, Tensor::Scalar<float>(1), [&]() -> absl::StatusOr<Tensor> {
      if (absl::Status s = WriteModel(**graph, path); !s.ok()) return s;
      absl::StatusOr<std::unique_ptr<Graph>> read = ReadModel(path);
      if (!read.ok()) return read.status();
      return Tensor::Scalar<float>(1);
    });
    EXPECT_TRUE(ReadModel(path).ok());
  }
}

}  // namespace
}  // namespace sluice

#endif
