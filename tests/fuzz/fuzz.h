// What a fuzz target is: one function that takes any bytes, and seeds, made by code, to start from.
//
// Under --config=fuzz each target is a libFuzzer program (tools/fuzz runs it); in every other
// configuration it is an ordinary test, which runs the seeds and some thousand mutations of them.
#ifndef SLUICE_TESTS_FUZZ_FUZZ_H_
#define SLUICE_TESTS_FUZZ_FUZZ_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "graph/graph.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace sluice::fuzz {

// Of the target.
std::vector<std::string> Seeds();

// Small graphs: one of each op over fed values, one of each over constants, and some that nest.
std::vector<std::unique_ptr<Graph>> SeedGraphs();
std::vector<std::string> SeedTexts();  // the same in our text form
// The graph of a text: null where it does not parse within small budgets, or is not legal.
std::unique_ptr<Graph> LegalGraph(absl::string_view text, size_t max_nodes);

// Readers that take paths: the bytes as a file that exists in memory only.
class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  int fd_;
  std::string path_;
};

// What must hold for every input; else the process ends and libFuzzer keeps the input.
inline void Require(bool holds, absl::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}
// An error is as good as a result, but it says something, and it is never our own mistake.
inline bool Fine(const absl::Status& status) {
  Require(status.ok() || !status.message().empty(), "an error without a message");
  Require(status.code() != absl::StatusCode::kInternal, status.ToString());
  return status.ok();
}

}  // namespace sluice::fuzz

#endif  // SLUICE_TESTS_FUZZ_FUZZ_H_
