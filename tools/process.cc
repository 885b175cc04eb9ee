#include "tools/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>

#include "absl/strings/str_cat.h"
#include "exchange/temporary_files.h"

namespace sluice::cli {
namespace {

// The default action follows, since the handler is gone by then: the caller sees which signal it
// was.
void OnEnd(int signal) {
  RemoveTemporaryFiles();
  (void)raise(signal);
}

// Several threads may meet lost pages at once: the first one speaks, the others wait for the end.
void OnLostPage(int) {
  static std::atomic_flag told;
  while (told.test_and_set()) pause();
  RemoveTemporaryFiles();
  static constexpr char kMessage[] =
      "sluice: a file became shorter, or could not be read, while it was in use\n";
  (void)!write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(1);
}

// Memory that ran out in a destructor, as that of a JSON value, which takes some: no handler of
// ours is asked. Anything else is a fault, and ends as one.
void OnTerminate() {
  bool memory = false;
  try {
    if (std::current_exception() != nullptr) std::rethrow_exception(std::current_exception());
  } catch (const std::bad_alloc&) {
    memory = true;
  } catch (...) {
  }
  RemoveTemporaryFiles();
  if (!memory) std::abort();
  static constexpr char kMessage[] = "sluice: memory ran out\n";
  (void)!write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(1);
}

void Handle(int signal, void (*handler)(int), int flags) {
  struct sigaction before = {}, action = {};
  // What the caller has switched off, as nohup does, stays off.
  if (sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) return;
  action.sa_handler = handler;
  action.sa_flags = flags;
  (void)sigaction(signal, &action, nullptr);
}

}  // namespace

void PrepareProcess() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest free number is this one. Opened the wrong way round, each use of it fails.
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
  for (int signal : {SIGPIPE, SIGXFSZ}) (void)std::signal(signal, SIG_IGN);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU})
    Handle(signal, OnEnd, static_cast<int>(SA_RESETHAND));
  Handle(SIGBUS, OnLostPage, 0);
  std::set_terminate(OnTerminate);
}

absl::Status FlushOutput() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("cannot write to standard output", errno != 0 ? ": " : "",
                                          errno != 0 ? std::strerror(errno) : ""));
}

}  // namespace sluice::cli
