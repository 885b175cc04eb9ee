#include "tests/testing/refused_memory.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>

namespace {

std::atomic<bool> armed{false}, all_that_follow{false};
std::atomic<int64_t> seen{0}, fails_at{0};

bool Fails() {
  if (!armed.load(std::memory_order_relaxed)) return false;
  const int64_t number = seen.fetch_add(1) + 1, at = fails_at.load();
  return at > 0 && (all_that_follow.load() ? number >= at : number == at);
}

}  // namespace

namespace sluice {

void RefuseMemory(int64_t at, bool for_good) {
  seen = 0;
  fails_at = at;
  all_that_follow = for_good;
  armed = true;
}

int64_t GiveMemory() {
  armed = false;
  return seen;
}

}  // namespace sluice

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name,bugprone-reserved-identifier)

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLUICE_MALLOC malloc
#define SLUICE_MEMALIGN aligned_alloc
// Messages that memory ran out for are left where they lie: base/unfinished_message.h.
extern "C" int __lsan_is_turned_off() { return 1; }
#else

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
}
#define SLUICE_MALLOC __libc_malloc
#define SLUICE_MEMALIGN __libc_memalign

namespace {

constexpr size_t kLeast = 64 << 10;
bool FailsInC(size_t bytes) { return bytes >= kLeast && Fails(); }

}  // namespace

extern "C" {
void* malloc(size_t n) { return FailsInC(n) ? nullptr : __libc_malloc(n); }
void* calloc(size_t n, size_t size) {
  return FailsInC(n * size) ? nullptr : __libc_calloc(n, size);
}
void* realloc(void* p, size_t n) { return FailsInC(n) ? nullptr : __libc_realloc(p, n); }
void* memalign(size_t alignment, size_t n) {
  return Fails() ? nullptr : __libc_memalign(alignment, n);
}
void* aligned_alloc(size_t alignment, size_t n) { return memalign(alignment, n); }
int posix_memalign(void** p, size_t alignment, size_t n) {
  *p = memalign(alignment, n);
  return *p == nullptr ? ENOMEM : 0;
}
void* mmap(void* at, size_t n, int protection, int flags, int fd, off_t offset) noexcept {
  if ((flags & MAP_ANONYMOUS) != 0 && FailsInC(n)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, n, protection, flags, fd, offset));
}
}

#endif

void* operator new(size_t n) {
  void* p = Fails() ? nullptr : SLUICE_MALLOC(n > 0 ? n : 1);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void* operator new(size_t n, std::align_val_t alignment) {
  const size_t a = static_cast<size_t>(alignment);
  void* p = Fails() ? nullptr : SLUICE_MEMALIGN(a, (n + a - 1) / a * a);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void* operator new(size_t n, const std::nothrow_t&) noexcept {
  return Fails() ? nullptr : SLUICE_MALLOC(n > 0 ? n : 1);
}
void* operator new[](size_t n) { return operator new(n); }
void* operator new[](size_t n, std::align_val_t alignment) { return operator new(n, alignment); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { std::free(p); }

// NOLINTEND(readability-inconsistent-declaration-parameter-name,bugprone-reserved-identifier)
