#include "runtime/compile.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/format.h"
#include "graph/default_inputs.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "graph/training.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/packed_weights.h"
#include "passes/inline_calls.h"
#include "passes/lift_random.h"
#include "runtime/evaluate.h"
#include "runtime/tuner.h"

namespace sluice {
absl::StatusOr<Compiled> Compile(const Graph& graph, const std::string* signature,
                                 const SessionOptions& options, ThreadPool* pool,
                                 std::shared_ptr<PackedWeights> packed) {
  const auto start = std::chrono::steady_clock::now();
  auto log = [&](const std::string& line) {
    if (options.log) options.log(line);
  };
  Compiled compiled;

  // A processor too old for the kernels is told so before any of them runs.
  if (absl::Status s = CheckCpu(); !s.ok()) return s;

  // The caller's graph stays as it is; constants are shared between the two.
  std::unique_ptr<Graph> program = graph.Clone();
  compiled.nodes_before = program->num_nodes_with_bodies();
  log(absl::StrCat("copied: ", compiled.nodes_before, " nodes"));

  // Nothing later has to ask whether the graph is sound.
  if (absl::Status s = Verify(*program); !s.ok()) return s;
  log("verified");

  // Every value gets its type, over symbols where the caller left extents open.
  if (absl::Status s = InferTypes(program.get()); !s.ok()) return s;
  log("inferred types");

  // From here on there is no state: variables are inputs, what is assigned to them is outputs. Of
  // these values the program keeps what its signature asks for.
  std::vector<Finding> inlined;
  PassContext calls{.findings = &inlined};
  if (absl::StatusOr<bool> s = InlineCalls().Run(*program, calls); !s.ok()) return s.status();
  const std::vector<std::string>* does = nullptr;
  bool training = false;
  if (signature != nullptr) {
    auto it = program->signatures().find(*signature);
    if (it != program->signatures().end()) {
      does = &it->second.does;
      training = it->second.training;
    }
  }
  BindTraining(program.get(), training);
  const std::vector<std::string> effects = does == nullptr ? std::vector<std::string>() : *does;
  absl::StatusOr<LiftedState> state =
      LiftState(program.get(), does == nullptr ? nullptr : &effects);
  if (!state.ok()) return state.status();
  absl::StatusOr<StatePorts> ports = SelectSignature(*state, signature, program.get());
  if (!ports.ok()) return ports.status();

  // Nor does anything draw: random numbers follow from one more input, the run's key.
  absl::StatusOr<Value*> key = LiftRandom(program.get(), calls);
  if (!key.ok()) return key.status();
  if (absl::Status s = NumberRuns(*key, &*state, &*ports, program.get()); !s.ok()) return s;
  compiled.variables = std::move(state->variables);
  compiled.state = *std::move(ports);
  log(absl::StrCat("variables: ", compiled.variables.size(), ", read ", compiled.state.reads.size(),
                   ", written ", compiled.state.writes.size(),
                   compiled.state.draws ? ", draws random numbers" : ""));

  // What is made of variables that are only read is the same in every run of one version.
  if (absl::Status s = InferTypes(program.get()); !s.ok()) return s;

  // The passes see this machine only through two values: an evaluator and a target.
  PassOptions passes = options.passes;
  passes.strict |= options.accuracy == Accuracy::kStrict;
  absl::StatusOr<OptimizeReport> report =
      Optimize(program.get(), passes, CpuEvaluator(pool), CpuTarget());
  if (!report.ok()) return report.status();
  compiled.report = *std::move(report);
  compiled.report.Add(std::move(inlined));
  compiled.general = TakeGeneralProgram(program.get());
  const HeldProgram& held = compiled.report.held;
  for (int input : held.inputs) {
    const size_t read = static_cast<size_t>(input) - compiled.state.inputs;
    compiled.held_reads.push_back(compiled.state.reads[read]);
  }
  if (compiled.general != nullptr && compiled.state.draws)
    LowerRandom(compiled.general->inputs().back(), compiled.general.get());
  compiled.nodes_after = program->num_nodes_with_bodies();
  for (const PassReport& p : compiled.report.passes) {
    log(absl::StrCat("pass ", p.pass, ": ", p.applied, " applied, ", p.refused, " refused, ",
                     Format("%.2f ms, ", p.milliseconds), p.nodes_after, " nodes"));
  }

  // Packed weights belong to all plans; those of a file count where this machine would make the
  // same.
  std::shared_ptr<const PackedSet> saved = options.packed;
  if (saved != nullptr && saved->key != CpuKernelsVersion()) {
    compiled.packed_note = saved->key.empty()
                               ? "the file has no packed weights"
                               : absl::StrCat("packed again: the file's are for '", saved->key,
                                              "', this is '", CpuKernelsVersion(), "'");
    saved = nullptr;
  } else if (saved != nullptr && !saved->note.empty()) {
    compiled.packed_note = absl::StrCat("packed again: ", saved->note);
  }
  compiled.packed =
      packed != nullptr ? std::move(packed) : std::make_shared<PackedWeights>(std::move(saved));

  // Kernels, layouts and memory wait for concrete shapes: Specialise() makes a plan for each.
  ProgramOptions program_options{.threads = pool->threads(),
                                 .pool = pool,
                                 .deterministic = options.deterministic,
                                 .max_plans = std::max<size_t>(1, options.max_plans),
                                 .memory_limit = options.memory_limit,
                                 .accuracy = options.accuracy,
                                 .packed = compiled.packed};
  if (!options.tuning_cache.empty() && !options.deterministic) {
    auto tuner = Tuner::Open(options.tuning_cache, pool, options.warn);
    if (!tuner.ok()) return tuner.status();
    program_options.tuner = *std::move(tuner);
  }
  if (held.graph != nullptr) {
    log(absl::StrCat("once a version: ", held.graph->num_nodes_with_bodies(), " nodes"));
    // It runs once for what it reads, so nothing is packed of that ahead.
    for (Value* v : held.graph->inputs()) v->set_held(false);
    compiled.held_program =
        std::make_unique<Program>(std::move(compiled.report.held.graph), program_options);
  }
  program_options.log = options.log;
  compiled.program =
      std::make_unique<Program>(std::move(program), program_options, compiled.state.Renews());
  compiled.milliseconds =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  log(absl::StrCat("compiled: ", compiled.nodes_after, " nodes from ", compiled.nodes_before,
                   Format(" in %.2f ms", compiled.milliseconds)));
  return compiled;
}

}  // namespace sluice
