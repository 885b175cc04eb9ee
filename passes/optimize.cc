// The pipeline: which pass runs when, and what is checked and told around each.
#include <algorithm>
#include <chrono>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/no_throw.h"
#include "graph/default_inputs.h"
#include "graph/error_details.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "passes/assign_layouts.h"
#include "passes/eliminate_common_subexpressions.h"
#include "passes/expand_ops.h"
#include "passes/flatten_convolutions.h"
#include "passes/fold_batch_norm.h"
#include "passes/fold_branches.h"
#include "passes/fold_constants.h"
#include "passes/fuse_attention.h"
#include "passes/fuse_bias_activation.h"
#include "passes/fuse_loops.h"
#include "passes/fuse_pads.h"
#include "passes/fuse_quantized.h"
#include "passes/inline_calls.h"
#include "passes/lift_random.h"
#include "passes/lift_state.h"
#include "passes/move_quantization.h"
#include "passes/pass.h"
#include "passes/prune.h"
#include "passes/recognize_activations.h"
#include "passes/recognize_norms.h"
#include "passes/simplify_algebra.h"
#include "passes/simplify_shapes.h"
#include "passes/sink_transposes.h"
#include "passes/split_held.h"

namespace sluice {
namespace {

constexpr InlineCalls kInlineCalls;
constexpr LiftStatePass kLiftState;
constexpr LiftRandomPass kLiftRandom;
constexpr ExpandOps kExpandOps;
constexpr Prune kPrune;
constexpr FoldBranches kFoldBranches;
constexpr FoldConstants kFoldConstants;
constexpr FoldConstants kFoldButQuantized(/*keep_quantized=*/true);
constexpr SimplifyShapes kSimplifyShapes;
constexpr SimplifyAlgebra kSimplifyAlgebra;
constexpr SinkTransposes kSinkTransposes;
constexpr EliminateCommonSubexpressions kEliminateCommonSubexpressions;
constexpr RecognizeActivations kRecognizeActivations;
constexpr RecognizeNorms kRecognizeNorms;
constexpr FoldBatchNorm kFoldBatchNorm;
constexpr FlattenConvolutions kFlattenConvolutions;
constexpr SplitHeld kSplitHeld;
constexpr FuseAttention kFuseAttention;
constexpr FuseBiasActivation kFuseBiasActivation;
constexpr FuseLoops kFuseLoops;
constexpr MoveQuantization kMoveQuantization;
constexpr FuseQuantized kFuseQuantized;
constexpr FusePads kFusePads;
constexpr AssignLayouts kAssignLayouts;

// Passes that run one after the other until none changes anything, or so many rounds are over.
struct Group {
  int max_rounds;
  std::vector<const Pass*> passes;
  bool infers = false;  // types again behind it
};

std::vector<Group> Pipeline() {
  std::vector<const Pass*> simplify = {&kFoldConstants, &kSimplifyShapes, &kSimplifyAlgebra,
                                       &kEliminateCommonSubexpressions, &kPrune};
  std::vector<const Pass*> first = simplify;  // 8-bit weights stay what they are
  first.front() = &kFoldButQuantized;
  first.insert(first.begin() + 1, &kFoldBranches);
  return {
      // Rules see through calls, and values alone; and only what results need.
      {1, {&kInlineCalls, &kLiftState, &kLiftRandom, &kPrune}},
      {8, first, true},
      {1, {&kSinkTransposes}},  // what stood between them and a product is its steps again
      {8, first, true},
      {1, {&kRecognizeActivations, &kRecognizeNorms}},  // while no scale of theirs is in weights
      {1, {&kMoveQuantization, &kFuseQuantized}},       // before 8-bit weights fold into f32
      {1, {&kFusePads, &kPrune}},
      {4, {&kFoldBatchNorm, &kFoldConstants, &kPrune}},  // chains of scales fold one by one
      {1, {&kFuseAttention}},  // while its products have no steps of their own
      {4, {&kSimplifyShapes, &kEliminateCommonSubexpressions, &kPrune}},  // views that it left
      {1, {&kFuseBiasActivation}},  // first whole ops: an expansion may hide a step's name
      {1, {&kFlattenConvolutions, &kMoveQuantization}},  // with the steps that they have now
      {1, {&kExpandOps}},                                // what no kernel takes
      {8, simplify, true},                               // of what came out
      {1, {&kFusePads, &kPrune}},                        // which may be a Pad
      {1, {&kFuseBiasActivation, &kPrune}},
      {1, {&kSplitHeld}},  // before what runs once a version shares loops with what does not
      // Last: what other passes know by its ops goes into bodies.
      {3, {&kFuseLoops, &kEliminateCommonSubexpressions, &kPrune}},
      {1, {&kAssignLayouts}},  // rules before it see plain tensors only
  };
}

bool IsRequired(const Pass* pass) { return pass == &kInlineCalls || pass == &kExpandOps; }

bool Contains(const std::vector<std::string>& names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsOn(const Pass* pass, const PassOptions& options) {
  if (pass == &kLiftState || pass == &kLiftRandom) return true;  // no other pass knows either
  if (Contains(options.without, pass->name())) return false;
  if (IsRequired(pass)) return true;
  if (options.strict && !pass->exact()) return false;
  return options.enabled && (options.only.empty() || Contains(options.only, pass->name()));
}

absl::Status CheckNames(const PassOptions& options) {
  const std::vector<std::string> known = PassNames();
  for (const auto* list : {&options.only, &options.without}) {
    for (const std::string& name : *list) {
      if (Contains(known, name)) continue;
      return absl::InvalidArgumentError(absl::StrCat("no pass is called ", Shown(name),
                                                     "; there are ", absl::StrJoin(known, ", ")));
    }
  }
  return absl::OkStatus();
}

// The same place may be looked at many times; a user wants each thing said once.
class Findings {
 public:
  explicit Findings(std::vector<Finding>* all) : all_(all) {}
  void Take(std::vector<Finding> found, PassReport* report) {
    for (Finding& f : found) {
      if (!f.applied && !said_.insert(absl::StrCat(f.pass, "\n", f.node, "\n", f.reason)).second) {
        continue;
      }
      ++(f.applied ? report->applied : report->refused);
      all_->push_back(std::move(f));
    }
  }

 private:
  std::vector<Finding>* all_;
  absl::flat_hash_set<std::string> said_;
};

class Manager {
 public:
  Manager(Graph* graph, const PassOptions& options, const Evaluator& evaluate,
          const TargetInfo& target)
      : graph_(*graph), options_(options), findings_(&report_.findings) {
    context_.evaluate = evaluate;
    context_.target = target;
    context_.fuel = options.fuel;
    context_.strict = options.strict;
    context_.state = &state_;
    context_.held = &report_.held;
    context_.fold_total_bytes = options.fold_total_bytes;
    context_.fold_result_bytes = options.fold_result_bytes;
  }

  absl::StatusOr<OptimizeReport> Run() {
    if (options_.enabled) ClearLayouts(graph_);
    for (const Group& group : Pipeline()) {
      bool changed = true;
      for (int round = 0; round < group.max_rounds && changed; ++round) {
        changed = false;
        for (const Pass* pass : group.passes) {
          if (!IsOn(pass, options_)) continue;
          absl::StatusOr<bool> result = RunPass(*pass);
          if (!result.ok()) {
            absl::Status named(result.status().code(), absl::StrCat("pass ", pass->name(), ": ",
                                                                    result.status().message()));
            const std::optional<ErrorDetails> details = DetailsOf(result.status());
            return details.has_value() ? WithDetails(std::move(named), *details) : named;
          }
          changed |= *result;
        }
      }
      if (group.infers) Reinfer();
    }
    LowerRandom(context_.random_key, &graph_);
    LowerState(state_, &graph_);
    if (!graph_.status().ok()) return graph_.status();
    Reinfer();
    return std::move(report_);
  }

 private:
  // Rules refine types and name extents anew; after this all that follows from them is as a reader
  // of the graph would infer it. What contradicts them fails when it runs, if it does.
  void Reinfer() {
    if (stale_) static_cast<void>(InferTypes(&graph_));
    stale_ = false;
  }

  absl::StatusOr<bool> RunPass(const Pass& pass) {
    const auto start = std::chrono::steady_clock::now();
    PassReport& report = ReportOf(pass);
    const size_t before = graph_.num_nodes_with_bodies();
    if (report.runs++ == 0) report.nodes_before = before;
    std::vector<Finding> found;
    context_.findings = &found;
    absl::StatusOr<bool> changed = pass.Run(graph_, context_);
    context_.findings = nullptr;
    if (!changed.ok()) return changed;
    stale_ |= *changed;
    if (*changed && options_.verify) {
      if (absl::Status s = Verify(graph_); !s.ok()) {
        if (absl::IsResourceExhausted(s)) return s;
        return absl::InternalError(absl::StrCat("it broke the graph: ", s.message()));
      }
    }
    findings_.Take(std::move(found), &report);
    report.nodes_after = graph_.num_nodes_with_bodies();
    report.milliseconds +=
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    if (options_.after_pass && (*changed || options_.dump_all)) {
      options_.after_pass(pass.name(), graph_);
    }
    return changed;
  }

  PassReport& ReportOf(const Pass& pass) {
    for (PassReport& r : report_.passes) {
      if (r.pass == pass.name()) return r;
    }
    report_.passes.push_back({.pass = pass.name()});
    return report_.passes.back();
  }

  Graph& graph_;
  const PassOptions& options_;
  PassContext context_;
  LiftedState state_;
  OptimizeReport report_;
  Findings findings_;
  bool stale_ = false;  // the types of what follows from something that changed
};

}  // namespace

void OptimizeReport::Add(std::vector<Finding> earlier) {
  for (const Finding& f : earlier) {
    for (PassReport& p : passes) {
      if (p.pass == f.pass) ++(f.applied ? p.applied : p.refused);
    }
  }
  findings.insert(findings.begin(), earlier.begin(), earlier.end());
}

std::vector<std::string> PassNames() {
  std::vector<std::string> names;
  for (const Group& group : Pipeline()) {
    for (const Pass* pass : group.passes) {
      if (!Contains(names, pass->name())) names.push_back(pass->name());
    }
  }
  return names;
}

const Pass* FindPass(absl::string_view name) {
  const Pass* found = nullptr;  // the last of that name: the first may still hold back
  for (const Group& group : Pipeline()) {
    for (const Pass* pass : group.passes) {
      if (pass->name() == name) found = pass;
    }
  }
  return found;
}

absl::StatusOr<OptimizeReport> Optimize(Graph* graph, const PassOptions& options,
                                        const Evaluator& evaluate, const TargetInfo& target) try {
  if (absl::Status s = CheckNames(options); !s.ok()) return s;
  std::unique_ptr<Graph> general = SplitGeneralProgram(graph);
  if (general != nullptr) {  // it becomes a function, which holds no others
    PassContext context;
    if (absl::StatusOr<bool> s = kInlineCalls.Run(*general, context); !s.ok()) return s.status();
    general->functions().clear();
  }
  absl::StatusOr<OptimizeReport> report = Manager(graph, options, evaluate, target).Run();
  KeepGeneralProgram(std::move(general), graph);
  return report;
} catch (...) {
  return ExceptionStatus();
}

}  // namespace sluice
