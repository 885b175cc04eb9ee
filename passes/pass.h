// Pass: one improvement of a graph. One pass, one file pair; its header holds a sentence, a
// before/after in text, its preconditions, and what it never does.
#ifndef SLUICE_PASSES_PASS_H_
#define SLUICE_PASSES_PASS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/graph.h"

namespace sluice {

// Computes a node whose inputs are all known: how constant folding reaches the kernels without
// seeing them. ResourceExhausted where the results would be over `max_bytes`. Filled by runtime/.
using Evaluator = std::function<absl::StatusOr<std::vector<Tensor>>(
    const Node& node, absl::Span<const Tensor> inputs, int64_t max_bytes)>;

// How a node runs in another layout than plain: which of its inputs and outputs lie so in memory.
struct NodeLayouts {
  std::vector<bool> inputs, outputs;
  bool plain_moves = false;  // run plain, the kernel moves each of these into that order by itself
};

// What a device can do with a node, for fusion, layouts and placement. Filled by runtime/ from
// kernel tables.
struct TargetInfo {
  // OK, or Unimplemented with the reason why no kernel takes the node with its present types.
  std::function<absl::Status(const Node& node)> takes;
  // Unimplemented with the reason where the node is better left plain. Not set: everything is.
  std::function<absl::StatusOr<NodeLayouts>(const Node& node, Layout layout)> layouts;
};

struct LiftedState;

// What split_held took out of a program.
struct HeldProgram {
  std::unique_ptr<Graph> graph;  // null: nothing
  std::vector<int> inputs;       // by input of it, the program's input that it is
};

// One place that a pass looked at.
struct Finding {
  std::string pass;
  std::string node;  // its name
  bool applied = false;
  std::string reason;  // what was done, or why not
};

struct PassContext {
  Evaluator evaluate;
  TargetInfo target;
  int64_t fold_total_bytes = int64_t{1} << 30;  // all folded results together
  int64_t fold_result_bytes = 64 << 20;         // one result, unless it shrinks the model
  // How many more applications are allowed: bisects a wrong rewrite. Counted over all passes.
  int64_t fuel = INT64_MAX;
  bool strict = false;  // PassOptions::strict
  std::vector<Finding>* findings = nullptr;
  LiftedState* state = nullptr;  // lift_state puts it there
  HeldProgram* held = nullptr;   // split_held puts it there
  Value* random_key = nullptr;   // lift_random does, where something draws

  // A rule asks before it edits; false: leave the place alone (out of fuel).
  bool Spend() {
    if (fuel <= 0) return false;
    --fuel;
    return true;
  }
  void Applied(const char* pass, const Node& node, absl::string_view what);
  void Refused(const char* pass, const Node& node, absl::string_view reason);
};

class Pass {
 public:
  virtual ~Pass() = default;
  virtual const char* name() const = 0;  // "fold_constants"
  // True if the graph changed. The graph verifies before and after; on an error it is discarded.
  virtual absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const = 0;
  // False: what it writes may round elsewhere, and over- or underflow where the graph did not, or
  // the other way round. A strict session goes without.
  virtual bool exact() const { return true; }
};

struct PassOptions {
  bool enabled = true;  // false: only what running needs (calls, state, numbers, expansion)
  // Only rewrites that keep each operation of the graph: see Pass::exact().
  bool strict = false;
  std::vector<std::string> only, without;  // by name; `only` empty means all
  int64_t fuel = INT64_MAX;
  int64_t fold_total_bytes = int64_t{1} << 30;
  int64_t fold_result_bytes = 64 << 20;
  bool verify = true;  // between passes
  // Called after each pass that changed the graph (or each run with dump_all).
  std::function<void(const char* pass, const Graph& graph)> after_pass;
  bool dump_all = false;
};

// What one pass did in one Optimize().
struct PassReport {
  std::string pass;
  int runs = 0, applied = 0, refused = 0;
  double milliseconds = 0;
  size_t nodes_before = 0, nodes_after = 0;
};
struct OptimizeReport {
  std::vector<PassReport> passes;
  std::vector<Finding> findings;
  HeldProgram held;

  // What one of the passes did before the others.
  void Add(std::vector<Finding> earlier);
};

// The standard pipeline. An error names the pass. Names that are no pass: InvalidArgument, lists
// them.
absl::StatusOr<OptimizeReport> Optimize(Graph* graph, const PassOptions& options,
                                        const Evaluator& evaluate, const TargetInfo& target);
std::vector<std::string> PassNames();
const Pass* FindPass(absl::string_view name);  // null: there is none

}  // namespace sluice

#endif  // SLUICE_PASSES_PASS_H_
