// Program: a graph and the plans made of it. The whole session is one; each body of If, Loop and
// Scan is one too, its captured values made inputs.
#ifndef SLUICE_RUNTIME_PROGRAM_H_
#define SLUICE_RUNTIME_PROGRAM_H_

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "graph/graph.h"
#include "runtime/plan.h"

namespace sluice {

class PackedWeights;
class Tuner;

// Tensors of at most so many elements count as contents, not only as types: axes, shapes, limits.
inline constexpr int64_t kContentElements = 1024;

struct ProgramOptions {
  int threads = 1;
  ThreadPool* pool = nullptr;  // prepares kernels; null: the calling thread alone
  bool deterministic = false;
  size_t max_plans = 16;
  int64_t memory_limit = 0;
  bool body = false;  // of If, Loop or Scan
  Accuracy accuracy = Accuracy::kStandard;
  std::shared_ptr<PackedWeights> packed;
  std::shared_ptr<Tuner> tuner;  // null: kernels are chosen by their estimates
  // The program of one node whose inputs came late (node_program.h): what no kernel takes as it is
  // now is Unimplemented, and waits for nothing more.
  bool deferred = false;
  // Small plain inputs are constants of a plan, which is good for these contents alone.
  bool by_contents = false;
  // Told of each plan that is made. Null: nobody.
  std::function<void(absl::string_view line)> log;
};

class Program {
 public:
  // `graph` is optimised and its types are inferred; it holds no state (passes/lift_state.h).
  // `renews`: by output, the input of which it is the next value, or -1; empty: none is.
  Program(std::unique_ptr<Graph> graph, ProgramOptions options, std::vector<int> renews = {});

  const Graph& graph() const { return *graph_; }

  // Feeds against the inputs' types: dtype, rank, numbers, and each symbol the same everywhere.
  absl::Status CheckInputs(absl::Span<const Tensor> inputs) const;

  // The plan for inputs of these extents and the outputs chosen (indices into the graph's), from
  // the cache or new: one thread makes it, others that want the same wait. Checks the inputs where
  // it is new; what lies in them is not looked at, but where the plan is by contents. Thread-safe.
  absl::StatusOr<std::shared_ptr<const Plan>> PlanFor(absl::Span<const Tensor> inputs,
                                                      absl::Span<const int> fetches);

  absl::StatusOr<std::vector<Tensor>> Run(absl::Span<const Tensor> inputs,
                                          absl::Span<const int> fetches,
                                          absl::Span<const Tensor> given, RunContext* run);
  // With the plan that PlanFor() gave for these inputs and fetches.
  absl::StatusOr<std::vector<Tensor>> Run(const std::shared_ptr<const Plan>& plan,
                                          absl::Span<const Tensor> inputs,
                                          absl::Span<const Tensor> given, RunContext* run);

  // The same in a frame that the caller holds.
  absl::StatusOr<std::vector<Tensor>> RunIn(Frame* frame, const Plan& plan,
                                            absl::Span<const Tensor> inputs,
                                            absl::Span<const Tensor> given, RunContext* run);

  std::unique_ptr<Frame> BorrowFrame(const std::shared_ptr<const Plan>& plan);
  void ReturnFrame(const std::shared_ptr<const Plan>& plan, std::unique_ptr<Frame> frame) noexcept;

  struct Totals {
    int64_t plans = 0, arena_bytes = 0;
    int64_t frames = 0;        // of all plans, those that runs hold among them
    double specialise_ms = 0;  // of the plan used last
    std::string peak_node;
  };
  Totals Stats() const;
  // The plan used last, for reports; null before the first.
  std::shared_ptr<const Plan> Latest() const;
  void Clear();

 private:
  absl::StatusOr<std::shared_ptr<const Plan>> MakePlan(absl::Span<const Tensor> inputs,
                                                       std::vector<Tensor> contents,
                                                       absl::Span<const int> fetches) const;
  struct Entry {
    std::string key;
    std::shared_ptr<const Plan> plan;
    std::vector<std::unique_ptr<Frame>> frames;  // that no run holds
    // Frames are kept as long as so many runs were under way at once: in the last window of
    // returns, or in this one.
    size_t in_use = 0, most_before = 0, most = 0, returns = 0;
  };

  std::unique_ptr<Graph> graph_;
  ProgramOptions options_;
  std::vector<int> renews_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // most recently used first
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> by_key_;
  absl::flat_hash_set<std::string> under_way_;  // keys of plans that are being made
  std::condition_variable made_;                // one of them is, or failed
};

// The flat plan for inputs of the given types: see runtime/specialise.cc. `contents`: of those
// inputs that are constants of the plan; an invalid tensor for each other, or none at all.
// `renews`: as Program's.
absl::StatusOr<std::shared_ptr<const Plan>> Specialise(
    const Graph& graph, absl::Span<const Type> inputs, absl::Span<const Tensor> contents,
    absl::Span<const int> fetches, absl::Span<const int> renews, const ProgramOptions& options);

// If, Loop and Scan as steps, their bodies as programs. `reads` receives the captured values that
// the step wants behind the node's inputs.
absl::StatusOr<std::unique_ptr<DynamicStep>> MakeControlFlow(const Node& node,
                                                             const ProgramOptions& outer,
                                                             std::vector<Value*>* reads);
bool IsControlFlow(const Node& node);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_PROGRAM_H_
