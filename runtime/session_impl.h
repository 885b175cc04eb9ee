// What a Session is made of. Private to session.cc and callable.cc.
#ifndef SLUICE_RUNTIME_SESSION_IMPL_H_
#define SLUICE_RUNTIME_SESSION_IMPL_H_

#include <algorithm>
#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "runtime/compile.h"
#include "runtime/run_checks.h"
#include "runtime/session.h"

namespace sluice {

inline absl::Status Closed() { return absl::FailedPreconditionError("the session is closed"); }

// Sessions for runs that feed inputs with a default, by which ones, the latest first.
struct Variants {
  absl::flat_hash_set<std::string> names;  // of the inputs with a default
  std::mutex mutex;                        // held while one is made
  std::list<std::pair<std::vector<std::string>, std::shared_ptr<Session>>> sessions;

  static const std::string& NameOf(const std::string& feed) { return feed; }
  static const std::string& NameOf(const Feeds::value_type& feed) { return feed.first; }
  // Those of the feeds that are such, sorted; mostly none.
  template <typename List>
  std::vector<std::string> Among(const List& feeds) const {
    std::vector<std::string> among;
    if (names.empty()) return among;
    for (const auto& feed : feeds) {
      if (names.contains(NameOf(feed))) among.push_back(NameOf(feed));
    }
    std::sort(among.begin(), among.end());
    among.erase(std::unique(among.begin(), among.end()), among.end());
    return among;
  }
};

struct Session::Impl {
  SessionOptions options;
  std::shared_ptr<ThreadPool> pool;
  Compiled compiled;
  std::vector<Port> inputs, all_inputs, outputs;
  absl::flat_hash_map<std::string, int> input_index, output_index;
  Variants variants;
  std::vector<Tensor> variables;
  bool assigns = false, has_variables = false;
  std::atomic<int64_t> peak_run_bytes{0};
  // Runs hold it shared, or exclusive where the program assigns variables; Close() and
  // AssignVariable() exclusive. A callable of a program without variables does not take it: it says
  // that it is busy, and Close() waits for that.
  mutable std::shared_mutex state;
  std::atomic<bool> closed{false};
  std::mutex callables_mutex;
  std::vector<Callable*> callables;

  // Positions of the named ports. NotFound lists those that there are; `what` they are.
  absl::StatusOr<std::vector<int>> Find(absl::Span<const std::string> names,
                                        const absl::flat_hash_map<std::string, int>& index,
                                        const std::vector<Port>& ports,
                                        absl::string_view what) const;
  // Each input's tensor, in the program's order, aligned.
  absl::StatusOr<std::vector<Tensor>> OrderFeeds(const Feeds& feeds) const;
  RunContext Context(const RunOptions& run_options);
  void NotePeak(const RunContext& run);
};

struct Callable::Impl {
  std::shared_ptr<Session> variant;  // that `session` belongs to; null where it is the user's
  std::shared_ptr<Session::Impl> session;
  std::atomic<bool> busy{false};
  std::vector<int> feeds, fetches;
  std::vector<int> position;  // of graph input i among the feeds
  std::shared_ptr<const Plan> plan;
  std::unique_ptr<Frame> frame;  // of `plan`
  std::vector<Tensor> ordered, results;
  std::vector<Tensor> given;  // invalid where the callable's own memory is to be used
  std::vector<bool> handed;   // results[i] was put into memory of the callable's own
  std::vector<MemoryRange> fed, places;
  std::vector<std::pair<DType, Dims>> planned;  // what the plan was made for

  bool PlanFits() const;
  // What the last call handed out itself is not given: it may be of another size by now.
  bool IsGiven(size_t i, const Tensor& output) const;
  // Results that are fed, or given for another output, keep their contents: this run takes other
  // memory in their place.
  void LeaveOwn();
  absl::Status Run(absl::Span<const Tensor> inputs, absl::Span<Tensor> outputs,
                   const RunOptions& options);
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_SESSION_IMPL_H_
