// Runs every case and prints a new ledger: bazel run //tests/conformance:update_ledger -- DIR >
// ledger.txt
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "tests/conformance/corpus.h"

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  int passed = 0, all = 0;
  std::printf(
      "# One line a case of the ONNX 1.22.0 conformance corpus: passed, or why not yet.\n"
      "# Made by: bazel run //tests/conformance:update_ledger -- "
      "~/.cache/sluice/onnx-1.22.0/data\n");
  for (const std::string& name : sluice::ListCases(argv[1])) {
    if (argc > 2 && name.find(argv[2]) == std::string::npos) continue;
    // A child of its own: a crash is a finding, not the end.
    int pipes[2];
    if (pipe(pipes) != 0) return 1;
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      alarm(120);
      const std::string result = sluice::RunCase(argv[1], name);
      const ssize_t written = write(pipes[1], result.data(), result.size());
      _exit(written < 0);
    }
    close(pipes[1]);
    std::string result;
    char buffer[4096];
    for (ssize_t n; (n = read(pipes[0], buffer, sizeof buffer)) > 0;) result.append(buffer, n);
    close(pipes[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status)) result = "CRASHED";
    std::printf("%s %s\n", name.c_str(), result.c_str());
    passed += result == "passed";
    ++all;
  }
  std::fprintf(stderr, "%d of %d cases pass\n", passed, all);
}
