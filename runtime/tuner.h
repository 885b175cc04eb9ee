// Tuner: kernels chosen by trial. Every candidate that takes a node runs a few times on memory of
// the real shapes; the fastest wins and is remembered, in a file too, for this and later sessions.
//
// The file is text, a line a choice: the key (a hash of op, attributes, types, which inputs are
// constant, threads, accuracy, instruction set and library versions), the candidate's name and its
// time. It is not trusted: a cache that does not read in full is dropped and made anew, and a name
// in it only moves that candidate to the front, which still has to take the node. It is replaced
// atomically, with what other sessions have added in the meantime. A file that is no cache is never
// touched.
#ifndef SLUICE_RUNTIME_TUNER_H_
#define SLUICE_RUNTIME_TUNER_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "kernels/kernel.h"

namespace sluice {

class Tuner {
 public:
  // A file that is not there counts as empty. InvalidArgument where the file is something else than
  // a tuning cache, and an error where there is none and none can be made. `pool` runs the trials
  // and must outlive the tuner. `warn` may be null; it is told once where winners cannot be kept.
  static absl::StatusOr<std::shared_ptr<Tuner>> Open(
      std::string path, ThreadPool* pool, std::function<void(absl::string_view line)> warn);

  // As KernelTable::Prepare(), but by trial where there are several candidates. Nodes with bodies,
  // with tensors among their attributes, or with results sized by the data go by the estimates.
  // Thread-safe; trials run one at a time.
  absl::StatusOr<std::unique_ptr<Kernel>> Prepare(const KernelTable& table,
                                                  const PrepareContext& context,
                                                  std::string* choice);

  // Writes what was measured since the last call. An error costs the next session its trials only,
  // and is told by `warn`.
  void Save();

 private:
  struct Winner {
    std::string candidate;
    double nanoseconds = 0;
  };
  using Winners = std::map<std::string, Winner>;  // by key
  Tuner(std::string path, ThreadPool* pool, std::function<void(absl::string_view line)> warn)
      : path_(std::move(path)), pool_(pool), warn_(std::move(warn)) {}
  static absl::StatusOr<Winners> Read(const std::string& path);
  absl::Status Write() const;

  const std::string path_;
  ThreadPool* const pool_;
  const std::function<void(absl::string_view line)> warn_;
  std::mutex mutex_;
  Winners winners_;
  bool changed_ = false, warned_ = false;
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_TUNER_H_
