// What a Session is made of. Private to session.cc, callable.cc and state_access.cc.
#ifndef SLUICE_RUNTIME_SESSION_IMPL_H_
#define SLUICE_RUNTIME_SESSION_IMPL_H_

#include <algorithm>
#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "runtime/compile.h"
#include "runtime/held_values.h"
#include "runtime/run_checks.h"
#include "runtime/session.h"

namespace sluice {

inline absl::Status Closed() { return absl::FailedPreconditionError("the session is closed"); }

// Sessions for runs that feed inputs with a default, or feed and fetch values inside, by which
// ones, the latest first.
struct Variants {
  absl::flat_hash_set<std::string> names;  // of the inputs with a default
  std::mutex mutex;                        // held while one is made
  std::list<std::pair<std::vector<std::string>, std::shared_ptr<Session>>> sessions;
  std::vector<std::weak_ptr<Session>> dropped;  // which runs and callables may hold

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

// One signature, compiled; the only program of a graph without has no name.
struct Entry {
  std::string name;
  Compiled compiled;
  std::vector<Session::Port> inputs, all_inputs, outputs;  // the caller's
  absl::flat_hash_map<std::string, int> input_index, output_index;
  std::vector<int> reads, writes;  // places in the State, by the program's ports behind these
  std::vector<int> places;         // in the State, of all variables that it touches
  int run = -1;                    // place of the variable that numbers its runs; or none

  absl::flat_hash_map<int, std::string> names;  // of the variables, by place
  std::unique_ptr<HeldValues> held;

  bool writes_state() const { return !writes.empty(); }
  // Positions of the named ports. NotFound lists those that there are; `what` they are.
  static absl::StatusOr<std::vector<int>> Find(absl::Span<const std::string> names,
                                               const absl::flat_hash_map<std::string, int>& index,
                                               const std::vector<Session::Port>& ports,
                                               absl::string_view what);
  // The outputs of these names (none: all), and behind them what is written.
  absl::StatusOr<std::vector<int>> Fetches(absl::Span<const std::string> names) const;
  // Each input's tensor, in the program's order, aligned.
  absl::StatusOr<std::vector<Tensor>> OrderFeeds(const Feeds& feeds) const;
};

// What the random numbers of a session's runs follow from.
struct Randomness {
  uint64_t seed = 0;
  std::atomic<uint64_t> runs{0};  // of programs that write no state
};

// What one run has to do with the state: it sees one version, and may make the next.
class StateAccess {
 public:
  // Waits for its turn where the entry writes.
  StateAccess(Entry* entry, State* state);
  // Behind the caller's inputs: variables; the run's key where something draws, in the memory of
  // `key` where nobody else holds it; and what the program makes of variables alone.
  absl::Status AppendInputs(Randomness* randomness, const RunOptions& options, Tensor* key,
                            std::vector<Tensor>* inputs) const;
  // Behind those: what the plan wants in forms of its own.
  absl::Status AppendForms(const std::shared_ptr<const Plan>& plan,
                           std::vector<Tensor>* inputs) const;
  // Behind the caller's given outputs, `caller` of them: memory for the new values, where there is
  // some; what they take the place of, where the plan can do that.
  // InvalidArgument where a new value is of another type than its variable.
  absl::Status AppendTargets(size_t caller, const Plan& plan, const RunOptions& options,
                             std::vector<Tensor>* given);
  // The new values are what `results` holds behind the first `caller`; takes them out. No memory is
  // anybody else's afterwards: of `inputs`, the program's and the plan's forms, the first are the
  // caller's, the others the state's.
  absl::Status Commit(size_t caller, const Plan& plan, absl::Span<const Tensor> inputs,
                      std::vector<Tensor>* results);
  void Report(const RunOptions& options) const;

 private:
  absl::Status AppendKey(Randomness* randomness, const RunOptions& options, Tensor* key,
                         std::vector<Tensor>* inputs) const;
  absl::Status OtherType(int variable, const std::string& type) const;
  Entry& entry_;
  std::optional<State::Turn> turn_;
  std::shared_ptr<const State::Version> version_;
  uint64_t wrote_ = 0;
};

struct Session::Impl {
  SessionOptions options;
  std::shared_ptr<ThreadPool> pool;
  std::vector<std::unique_ptr<Entry>> entries;
  std::vector<std::string> signatures;
  std::shared_ptr<State> state;
  std::shared_ptr<Randomness> randomness;  // the variants' too
  Variants variants;
  std::unique_ptr<const Graph> source;  // SessionOptions::inner_values
  std::atomic<int64_t> peak_run_bytes{0};
  // Runs hold it shared, Close() exclusive. A callable of a program without variables does not take
  // it: it says that it is busy, and Close() waits for that.
  mutable std::shared_mutex lifetime;
  std::atomic<bool> closed{false};
  std::mutex callables_mutex;
  std::vector<Callable*> callables;

  absl::StatusOr<Entry*> FindEntry(absl::string_view signature) const;
  const Entry* only() const { return entries.size() == 1 ? entries[0].get() : nullptr; }
  RunContext Context(const RunOptions& run_options);
  void NotePeak(const RunContext& run);
};

struct Callable::Impl {
  std::shared_ptr<Session> variant;  // that `session` belongs to; null where it is the user's
  std::shared_ptr<Session::Impl> session;
  Entry* entry = nullptr;
  std::atomic<bool> busy{false};
  std::vector<int> feeds, fetches;  // behind the caller's fetches what is written
  size_t outputs = 0;               // the caller's
  std::vector<int> position;        // of the entry's input i among the feeds
  std::shared_ptr<const Plan> plan;
  std::unique_ptr<Frame> frame;  // of `plan`
  std::vector<Tensor> ordered, results;
  Tensor key;                 // of the latest run, where something draws
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
  absl::Status Run(absl::Span<const Tensor> inputs, absl::Span<Tensor> results_to,
                   const RunOptions& options);
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_SESSION_IMPL_H_
