// Session: a compiled program and everything it needs to run.
//
//   auto session = Session::Create(graph, {.threads = 2});
//   auto results = (*session)->Run({{"image", image}}, {"probabilities"});
//
// A graph with signatures is several programs over one State: Run("train", ...), Run("predict",
// ...). A graph without is one, of all its outputs and all its assignments. A program's assignments
// happen on each of its runs, whatever is fetched.
//
// Threads: many may call Run() on one session; runs that assign variables take turns, and those
// that only read them do not wait (state.h).
#ifndef SLUICE_RUNTIME_SESSION_H_
#define SLUICE_RUNTIME_SESSION_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "graph/graph.h"
#include "graph/packed_set.h"
#include "kernels/accuracy.h"
#include "kernels/device/thread_pool.h"
#include "passes/pass.h"
#include "runtime/state.h"

namespace sluice {

using Feeds = std::vector<std::pair<std::string, Tensor>>;

struct SessionOptions {
  static constexpr int kMaxThreads = 4096;
  int threads = 0;  // 0: every core this process may use
  std::shared_ptr<ThreadPool>
      thread_pool;  // shared with the host or other sessions; overrides threads
  PassOptions passes;
  // Results do not depend on the number of threads: all work is split for a fixed number of them.
  bool deterministic = false;
  // kStrict: each operation as the graph has it, at the cost of speed: no passes that are not
  // Pass::exact(), no algebraic rewriting inside kernels (Winograd).
  Accuracy accuracy = Accuracy::kStandard;
  // A file: kernels are chosen by trying each candidate on the real shapes, not by their estimates,
  // and the winners are kept there for later sessions. Empty: no trials. Ignored when
  // `deterministic`, since a trial is none. A file that is something else is an error.
  std::string tuning_cache;
  // Weights that an earlier session packed (Session::Packed()), read with the model. Taken where
  // made for this machine and library and sound; anything else is packed again, and Explain() says
  // so.
  std::shared_ptr<const PackedSet> packed;
  // The variables; null: of this session's own. One that is shared may hold some of the graph's by
  // name already; those that it lacks begin as the graph says.
  std::shared_ptr<State> state;
  // Of random numbers, which follow from it, the number of the run, and each node's name and place
  // in the graph; not set: one is drawn (Session::seed()). An op's own attribute `seed` counts
  // instead for its numbers.
  std::optional<uint64_t> seed;
  // Runs and callables may also feed and fetch values inside of the graph, by name, as for
  // debugging: those that are no inputs or outputs, but of the graph itself, not of a body or
  // function, and not, in an optimised graph, what fusion has swallowed. The inputs are fed as
  // ever. The session keeps the graph for it, all constants with it, and compiles one more program
  // for each set of such names, `max_plans` of them at most.
  bool inner_values = false;
  int64_t memory_limit = 0;  // bytes of activations one run may hold; 0: unlimited
  size_t max_plans = 16;     // plans kept for different input shapes, least recently used out first
  // One line a compile step, and one for each new shape that a plan is made for: from the thread of
  // the run that brings it, so perhaps from several at once, and while the session is in use, so it
  // may not call the session. Null: silent.
  std::function<void(absl::string_view line)> log;
  // What went wrong without an error: winners of trials that could not be kept. Null: silent.
  std::function<void(absl::string_view line)> warn;
};

// Set from any thread to stop the runs that hold it.
class CancelToken {
 public:
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_{false};
};

// What one step took; see Profile.
struct ProfileEvent {
  std::string node, op, kernel, origin, output_type;
  int64_t start_ns = 0, duration_ns = 0;  // since the run's start
  int64_t thread = 0;
  double flops = 0,
         bytes = 0;  // from the types alone; bodies of If, Loop and Scan count as nothing
};
struct Profile {
  std::vector<ProfileEvent> events;
  double peak_flops_per_ns = 0;  // f32, of the threads together: what a good product kernel reaches
  std::string ToChromeTrace() const;  // JSON for chrome://tracing and Perfetto
};

struct RunOptions {
  absl::Time deadline = absl::InfiniteFuture();  // DeadlineExceeded past it
  const CancelToken* cancel = nullptr;           // Cancelled once set
  // The number of this run, for random numbers: the same one gives the same numbers. Not set:
  // programs that write state count their runs there (kRunVariable), the others of a session
  // together in the session, from 0. Given to one that writes, the next one has the next number.
  std::optional<uint64_t> run;
  Profile* profile = nullptr;         // filled when given; slows the run a little
  uint64_t* read_version = nullptr;   // receives the version of the State that the run saw,
  uint64_t* wrote_version = nullptr;  // and the one that it made: the same where it writes nothing
  // Where results go, by fetch position: a tensor whose memory is written in place (dtype and
  // extents must fit; aligned; none may overlap another, or a feed), or an invalid one for fresh
  // memory. Of Session::Run alone: a callable is given its outputs directly.
  std::vector<Tensor> outputs;
};

// What a callable is compiled for: each input once, any outputs; of which signature, where the
// graph has some.
struct CallableOptions {
  std::vector<std::string> feeds, fetches;
  std::string signature = {};
};

class Callable;
class Plan;
class PackedWeights;
struct Entry;

class Session {
 public:
  // Copies and compiles `graph`: each of its signatures, or all of its outputs. The graph may go
  // away afterwards; constants are shared, not copied. InvalidArgument for options out of range, a
  // graph without outputs, or one that was left half built (Graph::status()). Here and below
  // ResourceExhausted means memory or threads that the system does not give.
  static absl::StatusOr<std::unique_ptr<Session>> Create(const Graph& graph,
                                                         SessionOptions options = {});
  ~Session();

  // The program's own inputs and outputs (names and types as symbols).
  struct Port {
    std::string name;
    Type type;
    bool has_default = false;
  };
  // Here and below those of the graph's only program; of a graph with several signatures none: ask
  // by name.
  const std::vector<Port>& inputs() const;  // those that every run feeds
  // In the model's order also those that have a default, which a run may feed. The first run that
  // feeds some of these compiles a program for just these, which is kept; all others run with the
  // defaults as constants. Unimplemented for a program with variables or
  // several signatures.
  const std::vector<Port>& all_inputs() const;
  const std::vector<Port>& outputs() const;
  const std::vector<std::string>& signatures() const;  // by name; none: one program without a name
  // OK, or why no program goes by this name: see Run().
  absl::Status CheckSignature(absl::string_view signature) const;
  const std::vector<Port>& inputs(absl::string_view signature) const;  // of an unknown one: none
  const std::vector<Port>& all_inputs(absl::string_view signature) const;
  const std::vector<Port>& outputs(absl::string_view signature) const;

  // Results in the order of `fetches` (names of graph outputs); no fetches: all outputs. Errors:
  // InvalidArgument for feeds that do not fit (the message shows the expected and the given type),
  // NotFound for names that do not exist (it lists those that do), and whatever a kernel says of
  // the data, with the node, its shapes as they were, where it came from and a hint.
  absl::StatusOr<std::vector<Tensor>> Run(const Feeds& feeds,
                                          absl::Span<const std::string> fetches = {},
                                          const RunOptions& options = {});
  absl::StatusOr<std::vector<Tensor>> Run(const Feeds& feeds,
                                          std::initializer_list<std::string> fetches,
                                          const RunOptions& options = {}) {
    return Run(feeds, absl::Span<const std::string>(fetches.begin(), fetches.size()), options);
  }
  // The same of one signature. FailedPrecondition without a name where there are several.
  absl::StatusOr<std::vector<Tensor>> Run(absl::string_view signature, const Feeds& feeds,
                                          absl::Span<const std::string> fetches = {},
                                          const RunOptions& options = {});

  // A fixed signature for the hot path; owns its frame, so one thread at a time may call it. It may
  // outlive the session, but runs no more then.
  absl::StatusOr<std::unique_ptr<Callable>> MakeCallable(const CallableOptions& options);

  // Makes ready for runs with inputs of these types, whose extents are numbers: their plan, kernels
  // and packed weights, which the first run would make else. Errors as Run()'s.
  absl::Status Prepare(const std::vector<std::pair<std::string, Type>>& inputs,
                       absl::string_view signature = "");
  // SessionOptions::seed, or what was drawn in its place.
  uint64_t seed() const;

  // The compile report: passes, kernels, memory plan. As text, or as JSON.
  std::string Explain() const;
  std::string ExplainJson() const;  // both: std::bad_alloc where memory runs out
  // The plan made for inputs of the given types, in its text form.
  absl::StatusOr<std::string> PlanText(const Feeds& feeds, absl::string_view signature = "");

  // The variables: to be listed, read, written, saved whole, and shared with other sessions. Null
  // once the session is closed.
  std::shared_ptr<State> state() const;
  absl::StatusOr<Tensor> ReadVariable(absl::string_view name) const;  // a copy
  absl::Status AssignVariable(absl::string_view name, const Tensor& value);

  // The weights in the forms that the kernels of the plans held now read them in, to be saved
  // beside the graph as it was optimised. Shares their memory.
  PackedSet Packed() const;

  struct MemoryStats {
    int64_t arena_bytes = 0;     // of the largest plan held now
    int64_t peak_run_bytes = 0;  // activations of the largest run so far, dynamic results included
    int64_t packed_bytes = 0;    // weights in kernels' own formats, those of all plans once
    int64_t state_bytes = 0;     // variables, once
    int64_t spare_bytes = 0;     // memory kept for their next values
    int64_t form_bytes = 0;      // variables in kernels' own formats
    int64_t plans = 0;
    // An arena each, of runs of this session; what is idle beyond the recent most at once goes
    // back.
    int64_t frames = 0;
    double specialise_ms = 0;  // what the plan used last took to make
    std::string peak_node;     // the step at which the largest arena is fullest
  };
  MemoryStats Memory() const;

  // Frees plans, frames, variables and threads. Runs under way end first, those of callables too;
  // later calls are FailedPrecondition.
  absl::Status Close();

 private:
  Session();
  static absl::StatusOr<std::unique_ptr<Session>> Create(const Graph& graph, SessionOptions options,
                                                         std::shared_ptr<PackedWeights> packed);
  absl::StatusOr<std::shared_ptr<const Plan>> PlanOf(const Feeds& feeds,
                                                     absl::string_view signature);
  // For runs that feed inputs with a default, or (`feeds`, `fetches`) values inside.
  absl::StatusOr<std::shared_ptr<Session>> VariantFor(const std::vector<std::string>& fed);
  template <typename List>
  absl::StatusOr<std::shared_ptr<Session>> InnerVariant(absl::string_view signature,
                                                        const List& feeds,
                                                        absl::Span<const std::string> fetches);
  absl::StatusOr<std::shared_ptr<Session>> KeptVariant(
      std::vector<std::string> key, const Entry& like,
      absl::FunctionRef<absl::StatusOr<std::unique_ptr<Graph>>()> graph);
  friend class Callable;
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

class Callable {
 public:
  ~Callable();
  // Inputs and outputs in the order of the signature. Given outputs are written in place, under the
  // conditions of RunOptions::outputs; without, the results are views of the callable's own memory,
  // good until the next call. What the last call put into `outputs` counts as not given, and may be
  // fed to the next. FailedPrecondition where another thread is inside, or the session is closed.
  absl::Status Run(absl::Span<const Tensor> inputs, absl::Span<Tensor> outputs,
                   const RunOptions& options = {});

 private:
  friend class Session;
  Callable();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_SESSION_H_
