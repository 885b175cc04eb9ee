// Tuner: kernels chosen by trial. Every candidate that takes a node runs a few times on memory of
// the real shapes; the fastest wins and is remembered, in a file too, for this and later sessions.
//
// The file is text, a line a choice: the key (a hash of op, attributes, types, which inputs are
// constant, threads, accuracy, instruction set and library versions), the candidate's name and its
// time. It is not trusted: a file that does not read in full is dropped and made anew, and a name
// in it only moves that candidate to the front, which still has to take the node. It is replaced
// atomically, with what other sessions have added in the meantime.
#ifndef SLUICE_RUNTIME_TUNER_H_
#define SLUICE_RUNTIME_TUNER_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/kernel.h"

namespace sluice {

class Tuner {
 public:
  // A file that cannot be read counts as empty. `pool` runs the trials and must outlive the tuner.
  Tuner(std::string path, ThreadPool* pool);

  // As KernelTable::Prepare(), but by trial where there are several candidates. Nodes with bodies,
  // with tensors among their attributes, or with results sized by the data go by the estimates.
  // Thread-safe; trials run one at a time.
  absl::StatusOr<std::unique_ptr<Kernel>> Prepare(const KernelTable& table,
                                                  const PrepareContext& context,
                                                  std::string* choice);

  // Writes what was measured since the last call. An error costs the next session its trials only.
  absl::Status Save();

 private:
  struct Winner {
    std::string candidate;
    double nanoseconds = 0;
  };
  using Winners = std::map<std::string, Winner>;  // by key
  static Winners Read(const std::string& path);

  const std::string path_;
  ThreadPool* const pool_;
  std::mutex mutex_;
  Winners winners_;
  bool changed_ = false;
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_TUNER_H_
