#include "tests/models/steady_count.h"

#include <dlfcn.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>

#include "oneapi/dnnl/dnnl.h"
#include "oneapi/dnnl/dnnl_ukernel.h"

// A sanitizer brings its own malloc and locks, and uses them for itself.
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLUICE_SANITIZED 1
#else
#define SLUICE_SANITIZED 0
#endif

namespace sluice {
namespace {

constexpr int kMaxCalls = 1 << 18;

// Shared between the child that counts and the parent that reads.
struct Tally {
  SteadyCount ours;
  int first_system_call = -1;
  int calls = 0;
  bool filtered = false, ran = false;
  struct Call {
    const_dnnl_primitive_t primitive;
    SteadyCount inside;
  } call[kMaxCalls];
};

Tally* tally = nullptr;
bool counting = false;
SteadyCount* inside = nullptr;  // of the primitive under way

SteadyCount& Here() { return inside != nullptr ? *inside : tally->ours; }

void OnSystemCall(int, siginfo_t* info, void* context) {
  if (counting) {
    ++Here().system_calls;
    if (inside == nullptr && tally->first_system_call < 0)
      tally->first_system_call = info->si_syscall;
  }
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
}

// Every system call but those that end the child raises SIGSYS.
bool TrapSystemCalls() {
  struct sigaction action = {};
  action.sa_sigaction = OnSystemCall;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  if (sigaction(SIGSYS, &action, nullptr) != 0) return false;
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit_group, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_rt_sigreturn, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  const sock_fprog program = {static_cast<unsigned short>(std::size(filter)), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

// A null primitive stands for the micro-kernel.
std::string NameOf(const_dnnl_primitive_t primitive) {
  if (primitive == nullptr) return "brgemm micro-kernel";
  const_dnnl_primitive_desc_t description = nullptr;
  const char* name = nullptr;
  if (dnnl_primitive_get_primitive_desc(primitive, &description) != dnnl_success ||
      dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0,
                                static_cast<void*>(&name)) != dnnl_success)
    return "?";
  return name;
}

// Counts what happens within `call`, which enters the library, for `primitive`.
template <typename Call>
dnnl_status_t Inside(const_dnnl_primitive_t primitive, const Call& call) {
  SteadyCount* const outer = inside;
  if (counting && outer == nullptr) {
    const int at = std::min(tally->calls++, kMaxCalls - 1);
    tally->call[at].primitive = primitive;
    inside = &tally->call[at].inside;
  }
  const dnnl_status_t status = call();
  inside = outer;
  return status;
}

template <typename F>
F Next(F, const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

}  // namespace

SteadyReport CountSteady(absl::FunctionRef<bool()> body) {
  SteadyReport report;
  if (SLUICE_SANITIZED) return {.error = "a sanitizer allocates and locks by itself"};
  void* shared =
      mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return {.error = "no shared memory"};
  tally = new (shared) Tally;
  const pid_t child = fork();
  if (child == 0) {
    tally->filtered = TrapSystemCalls();
    if (!tally->filtered) _exit(1);
    counting = true;
    tally->ran = body();
    counting = false;
    _exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    report.error = "no child process";
  } else if (!tally->filtered) {
    report.error = "this sandbox allows no seccomp filter";
  } else if (!WIFEXITED(status) || !tally->ran || tally->calls > kMaxCalls) {
    report.error = "the run failed in the child";
  }
  report.ours = tally->ours;
  report.first_system_call = tally->first_system_call;
  for (int i = 0; i < std::min(tally->calls, kMaxCalls); ++i) {
    const std::string name = NameOf(tally->call[i].primitive);
    auto it = std::find_if(report.library.begin(), report.library.end(),
                           [&](const SteadyReport::Primitive& p) { return p.name == name; });
    if (it == report.library.end()) it = report.library.insert(it, {name, 0, {}});
    ++it->calls;
    it->inside.allocations += tally->call[i].inside.allocations;
    it->inside.locks += tally->call[i].inside.locks;
    it->inside.system_calls += tally->call[i].inside.system_calls;
  }
  munmap(shared, sizeof(Tally));
  tally = nullptr;
  return report;
}

}  // namespace sluice

// ---- What is interposed

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library names none
extern "C" {

dnnl_status_t __real_dnnl_primitive_execute(const_dnnl_primitive_t, dnnl_stream_t, int,
                                            const dnnl_exec_arg_t*);
dnnl_status_t __wrap_dnnl_primitive_execute(const_dnnl_primitive_t primitive, dnnl_stream_t stream,
                                            int n, const dnnl_exec_arg_t* arguments) {
  return sluice::Inside(
      primitive, [&] { return __real_dnnl_primitive_execute(primitive, stream, n, arguments); });
}

dnnl_status_t __real_dnnl_brgemm_execute(const_dnnl_brgemm_t, const void*, const void*,
                                         const dnnl_dim_t*, void*, void*);
dnnl_status_t __wrap_dnnl_brgemm_execute(const_dnnl_brgemm_t brgemm, const void* a, const void* b,
                                         const dnnl_dim_t* offsets, void* c, void* scratch) {
  return sluice::Inside(
      nullptr, [&] { return __real_dnnl_brgemm_execute(brgemm, a, b, offsets, c, scratch); });
}

#if !SLUICE_SANITIZED

#define SLUICE_COUNT(what) \
  if (sluice::counting) ++sluice::Here().what

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t n) {
  SLUICE_COUNT(allocations);
  return __libc_malloc(n);
}
void* calloc(size_t n, size_t size) {
  SLUICE_COUNT(allocations);
  return __libc_calloc(n, size);
}
void* realloc(void* p, size_t n) {
  SLUICE_COUNT(allocations);
  return __libc_realloc(p, n);
}
void* memalign(size_t alignment, size_t n) {
  SLUICE_COUNT(allocations);
  return __libc_memalign(alignment, n);
}
void* aligned_alloc(size_t alignment, size_t n) {
  SLUICE_COUNT(allocations);
  return __libc_memalign(alignment, n);
}
int posix_memalign(void** p, size_t alignment, size_t n) {
  SLUICE_COUNT(allocations);
  *p = __libc_memalign(alignment, n);
  return *p == nullptr ? ENOMEM : 0;
}

// NOLINTBEGIN(bugprone-macro-parentheses): names and types
#define SLUICE_LOCK(name, object)                         \
  int name(object* o) {                                   \
    static auto* const next = sluice::Next(&name, #name); \
    SLUICE_COUNT(locks);                                  \
    return next(o);                                       \
  }
// NOLINTEND(bugprone-macro-parentheses)
SLUICE_LOCK(pthread_mutex_lock, pthread_mutex_t)
SLUICE_LOCK(pthread_mutex_trylock, pthread_mutex_t)
SLUICE_LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
SLUICE_LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
SLUICE_LOCK(pthread_spin_lock, pthread_spinlock_t)

#endif  // !SLUICE_SANITIZED

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
