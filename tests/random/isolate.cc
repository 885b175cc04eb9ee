#include "tests/random/isolate.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace sluice::random {

void Progress::Enter(const std::string& name) {
  std::strncpy(form, name.c_str(), sizeof(form) - 1);
}

void Progress::Watch(int seconds) {
  constexpr unsigned kBusy = 20;
  const itimerval computed = {.it_interval = {}, .it_value = {.tv_sec = seconds, .tv_usec = 0}};
  setitimer(ITIMER_PROF, &computed, nullptr);
  alarm(kBusy * static_cast<unsigned>(seconds));
}

void Write(int fd, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t n = write(fd, text.data() + at, text.size() - at);
    if (n <= 0) _exit(3);
    at += static_cast<size_t>(n);
  }
}

Child::Child(const std::function<void(Progress*, int)>& work) {
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  progress_ = static_cast<Progress*>(page);
  int ends[2];
  if (page == MAP_FAILED || pipe(ends) != 0) std::abort();
  pid_ = fork();
  if (pid_ == 0) {
    close(ends[0]);
    const rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    work(progress_, ends[1]);
    _exit(0);
  }
  close(ends[1]);
  fd_ = ends[0];
}

bool Child::Read() {
  char buffer[65536];
  const ssize_t n = read(fd_, buffer, sizeof(buffer));
  if (n > 0) said_.append(buffer, static_cast<size_t>(n));
  return n > 0;
}

std::string Child::Said(char end) {
  const size_t size = said_.rfind(end) + 1;
  std::string said = said_.substr(0, size);
  said_.erase(0, size);
  return said;
}

Outcome Child::Finish() {
  while (Read()) {
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  close(fd_);
  Outcome outcome;
  outcome.said = std::move(said_);
  outcome.seed = progress_->seed;
  outcome.form = progress_->form;
  if (WIFSIGNALED(status)) {
    outcome.crashed = true;
    outcome.late = WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGPROF;
    outcome.how = absl::StrCat("signal ", WTERMSIG(status), " (", strsignal(WTERMSIG(status)), ")");
  } else if (WEXITSTATUS(status) != 0) {
    outcome.crashed = true;
    outcome.how = absl::StrCat("exit code ", WEXITSTATUS(status));
  }
  munmap(progress_, 4096);
  return outcome;
}

Outcome Isolated(const std::function<void(Progress*, int)>& work) { return Child(work).Finish(); }

}  // namespace sluice::random
