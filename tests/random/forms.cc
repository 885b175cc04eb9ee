#include "tests/random/forms.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "exchange/model.h"
#include "exchange/onnx_export.h"
#include "exchange/onnx_import.h"
#include "graph/default_inputs.h"
#include "graph/effects.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"
#include "runtime/evaluate.h"
#include "tests/random/exceptions.h"
#include "tests/random/variants.h"
#include "tests/testing/onnx_rules.h"

namespace sluice::random {
namespace {

using Runs = std::vector<Results>;

std::shared_ptr<ThreadPool> Pool(int threads) {
  static auto* const pools = new std::map<int, std::shared_ptr<ThreadPool>>();
  std::shared_ptr<ThreadPool>& pool = (*pools)[threads];
  if (pool == nullptr) pool = std::make_shared<ThreadPool>(threads);
  return pool;
}

SessionOptions Options(int threads, bool passes = true) {
  SessionOptions options;
  options.thread_pool = Pool(threads);
  options.passes.enabled = passes;
  options.seed = 1;
  return options;
}

SessionOptions Strict(SessionOptions options) {
  options.accuracy = Accuracy::kStrict;
  return options;
}

SessionOptions Deterministic(SessionOptions options) {
  options.deterministic = true;
  return options;
}

Runs Failed(const Case& c, const absl::Status& status) {
  return Runs(c.feeds.size(), Results(status));
}

Runs RunAll(const Graph& graph, const Case& c, const SessionOptions& options) {
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(graph, options);
  if (!session.ok()) return Failed(c, session.status());
  Runs runs;
  for (const Feeds& feeds : c.feeds) {
    RunOptions numbered;  // programs that write state would count otherwise than those that do not
    numbered.run = runs.size();
    runs.push_back((*session)->Run(feeds, {}, numbered));
  }
  return runs;
}

absl::StatusOr<std::unique_ptr<Graph>> Optimized(const Graph& graph) {
  std::unique_ptr<Graph> made = graph.Clone();
  if (absl::Status s = InferTypes(made.get()); !s.ok()) return s;
  auto report = Optimize(made.get(), {}, CpuEvaluator(Pool(1).get()), CpuTarget());
  if (!report.ok()) return report.status();
  return made;
}

bool Uses(const Graph& graph, absl::string_view op) {
  for (const auto& node : graph.nodes()) {
    if (node->Is(op)) return true;
    for (const auto& [name, body] : node->bodies()) {
      if (Uses(*body, op)) return true;
    }
  }
  return false;
}

// What is around 1 is lost in f32 beside such numbers.
bool LeavesF32(const Tensor& t) {
  constexpr double kMost = 1e8;
  const absl::Span<const double> values = t.values<double>();
  return std::any_of(values.begin(), values.end(), [](double x) { return std::abs(x) > kMost; });
}

bool Draws(const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    if ((EffectsOf(*node) & kDraws) != 0) return true;
  }
  return false;
}

class Checker {
 public:
  Checker(const Case& c, const CheckOptions& options, CheckCounts* counts)
      : case_(c), options_(options), counts_(counts) {}

  std::vector<Problem> Run() {
    Enter("unoptimised");
    reference_ = RunAll(*case_.graph, case_, Strict(Options(1, false)));
    for (const Results& r : reference_) {
      ++counts_->runs;
      if (r.ok()) continue;
      ++counts_->refused;
      counts_->last_refusal = std::string(r.status().message());
      const absl::StatusCode code = r.status().code();
      if ((code != absl::StatusCode::kInvalidArgument && code != absl::StatusCode::kOutOfRange &&
           code != absl::StatusCode::kResourceExhausted) ||
          absl::StrContains(counts_->last_refusal, absl::StrCat("%", kNeverWrong)) ||
          absl::StartsWith(counts_->last_refusal, "pass "))  // passes refuse, and do not fail
        Found("unoptimised", {"error", counts_->last_refusal});
    }
    if (!case_.refused.empty()) Found("generating", {"error", case_.refused});
    if (options_.expected != nullptr) CompareWithExpected();
    AgainstWidened();
    Variant("constants fed", ConstantsFed(case_), Options(1));
    Spelled();

    Session("unoptimised, three threads", *case_.graph, Options(3, false));
    Session("optimised", *case_.graph, Options(1));
    Session("optimised, two threads", *case_.graph, Options(2));
    Session("strict", *case_.graph, Strict(Options(1)));
    AllThreadCounts();
    Reopened();
    Exported();
    return std::move(problems_);
  }

 private:
  bool Wanted(const std::string& form) const {
    return options_.only_form.empty() || options_.only_form == form;
  }
  void Enter(const std::string& form) {
    if (options_.entering) options_.entering(form);
  }
  void Found(const std::string& form, const Difference& d) {
    problems_.push_back({form, d.kind, d.detail});
  }

  void CompareWithExpected() {
    Runs expected;
    for (size_t run = 0; run < reference_.size(); ++run) {
      std::vector<Tensor> tensors;
      for (const auto& [name, tensor] : (*options_.expected)[run]) tensors.push_back(tensor);
      if (tensors.empty()) return;
      expected.push_back(tensors);
    }
    for (size_t run = 0; run < expected.size(); ++run) {
      if (Difference d = CompareResults(expected[run], reference_[run], {.factor = 10}))
        return Found("unoptimised", d);
    }
    reference_ = std::move(expected);
  }

  // The reference with its last bits disturbed, made when first asked for.
  const std::vector<Runs>& DisturbedRuns() {
    constexpr uint64_t kRuns = 12;
    if (disturbed_.empty()) {
      for (uint64_t seed = 1; seed <= kRuns; ++seed) {
        absl::StatusOr<Case> other = Disturbed(case_, seed);
        if (other.ok())
          disturbed_.push_back(RunAll(*other->graph, *other, Strict(Options(1, false))));
      }
    }
    return disturbed_;
  }

  // `variant`: the case that was run, where it is another one.
  void Judge(const std::string& form, const Runs& runs, CompareOptions compare = {},
             const Case* variant = nullptr) {
    for (size_t run = 0; run < reference_.size(); ++run) {
      Difference d = CompareResults(reference_[run], runs[run], compare);
      if (!d) continue;
      // A shape or an error is none of rounding's business, most of the time: ask in any case.
      CompareOptions wary = compare;
      for (const Runs& disturbed : DisturbedRuns()) wary.disturbed.push_back(&disturbed[run]);
      d = CompareResults(reference_[run], runs[run], wary);
      if (!d) {
        ++counts_->dismissed;
      } else if (TakenOut(form, d) || Excused(case_, form, d, EvidenceOf(run, variant))) {
        ++counts_->excused;
      } else {
        return Found(form, d);
      }
    }
  }

  // The node that the reference complains of is none of the optimised graph's: nobody needs what it
  // gives, or only what does not depend on what is wrong with it, or it is another one by now.
  bool TakenOut(const std::string& form, const Difference& d) const {
    if (d.kind != "error" || !absl::StartsWith(d.detail, kWorks) ||
        absl::StartsWith(form, "unoptimised"))
      return false;
    const std::vector<absl::string_view> parts =
        absl::StrSplit(d.detail, absl::MaxSplits("\n  at ", 1));
    if (parts.size() < 2) return false;
    const absl::string_view node = parts[1].substr(0, parts[1].find(')') + 1);
    const absl::StatusOr<std::unique_ptr<Graph>> graph = Optimized(*case_.graph);
    return graph.ok() && !absl::StrContains(Print(**graph), node);
  }

  Evidence EvidenceOf(size_t run, const Case* variant) {
    return {[this, run, &ran = variant == nullptr ? case_ : *variant](const PassOptions& passes) {
              SessionOptions options = Options(1);
              options.passes = passes;
              const Results result = RunAll(*ran.graph, ran, options)[run];
              CompareOptions compare;
              for (const Runs& disturbed : DisturbedRuns())
                compare.disturbed.push_back(&disturbed[run]);
              return !CompareResults(reference_[run], result, compare);
            },
            [this, run](const Graph& graph) {
              return RunAll(graph, case_, Strict(Options(1, false)))[run];
            }};
  }

  void Session(const std::string& form, const Graph& graph, const SessionOptions& options) {
    if (!Wanted(form)) return;
    Enter(form);
    Judge(form, RunAll(graph, case_, options));
  }

  void Variant(const std::string& form, const absl::StatusOr<Case>& c,
               const SessionOptions& options) {
    if (!Wanted(form) || absl::IsUnimplemented(c.status())) return;
    Enter(form);
    if (!c.ok()) return Found(form, {"error", std::string(c.status().message())});
    Judge(form, RunAll(*c->graph, *c, options), {}, &*c);
  }

  // All else is as in the reference, bit by bit, so rounding explains nothing.
  void Spelled() {
    if (!Wanted("spelled out")) return;
    Enter("spelled out");
    const absl::StatusOr<Case> spelled = SpelledOut(case_);
    if (absl::IsUnimplemented(spelled.status())) return;
    const Runs runs = spelled.ok() ? RunAll(*spelled->graph, *spelled, Strict(Options(1, false)))
                                   : Failed(case_, spelled.status());
    for (size_t run = 0; run < reference_.size(); ++run) {
      if (Difference d = CompareResults(reference_[run], runs[run])) return Found("spelled out", d);
    }
  }

  // f64 runs through other kernels, and is nearer to the truth.
  void AgainstWidened() {
    if (!Wanted("in f64") || case_.regime != Regime::kTame) return;  // other ranges, other numbers
    if (Draws(*case_.graph)) return;                                 // f64 draws others
    Enter("in f64");
    absl::StatusOr<Case> wide = Widened(case_);
    if (!wide.ok()) return;
    Runs runs = RunAll(*wide->graph, *wide, Strict(Options(1, false)));
    for (size_t run = 0; run < runs.size(); ++run) {
      if (!runs[run].ok() || !reference_[run].ok()) return;
      const size_t outputs = reference_[run]->size();
      for (size_t i = outputs; i < runs[run]->size(); ++i) {
        if (LeavesF32((*runs[run])[i])) return;
      }
      runs[run]->resize(outputs);
    }
    ++counts_->widened;
    // Activations end in 0 where what is left is nothing beside any other f32.
    Judge("in f64", runs, {.finite_only = true, .factor = 4, .floor = 1e-16});
  }

  void AllThreadCounts() {
    if (!Wanted("deterministic")) return;
    Enter("deterministic");
    const Runs one = RunAll(*case_.graph, case_, Deterministic(Options(1)));
    Judge("deterministic", one);
    for (int threads : {2, 3, 5}) {
      const Runs more = RunAll(*case_.graph, case_, Deterministic(Options(threads)));
      for (size_t run = 0; run < one.size(); ++run) {
        if (one[run].ok() != more[run].ok())
          return Found("deterministic",
                       {"error", absl::StrCat(threads, " threads: ",
                                              one[run].ok() ? more[run].status().message()
                                                            : one[run].status().message())});
        for (size_t i = 0; one[run].ok() && i < one[run]->size(); ++i) {
          if (!((*one[run])[i] == (*more[run])[i]))
            return Found("deterministic",
                         {"bits", absl::StrCat("output ", i, " with ", threads, " threads is ",
                                               (*more[run])[i].ToString(), ", with one ",
                                               (*one[run])[i].ToString())});
        }
      }
    }
  }

  // Optimised ahead of time, then read and optimised once more.
  void Reopened() {
    static const char* const kForms[] = {"optimised twice", "reopened from a file",
                                         "reopened from text", "reopened from a folder",
                                         "optimised and exported"};
    if (!Wanted(kForms[0]) && !Wanted(kForms[1]) && !Wanted(kForms[2]) && !Wanted(kForms[3]) &&
        !Wanted(kForms[4]))
      return;
    Enter("optimised ahead of time");
    absl::StatusOr<std::unique_ptr<Graph>> graph = Optimized(*case_.graph);
    if (!graph.ok()) {
      // Then no form runs, or the reference fails too.
      if (reference_[0].ok())
        Found("optimised ahead of time", {"error", std::string(graph.status().message())});
      return;
    }
    Unchanged(**graph);
    Session("optimised twice", **graph, Options(1));
    File("reopened from a file", **graph, "model.sluice");
    File("reopened from text", **graph, "model.sluice.txt");
    File("reopened from a folder", **graph, "model");
    if (Wanted("optimised and exported")) RoundTrip("optimised and exported", **graph);
  }

  // A second time there is nothing left to do.
  void Unchanged(const Graph& graph) {
    if (!Wanted("optimised twice")) return;
    Enter("optimised twice");
    absl::StatusOr<std::unique_ptr<Graph>> again = Optimized(graph);
    std::string difference;
    if (again.ok() && !Equal(graph, **again, &difference))
      Found("optimised twice", {"changed", difference});
  }

  void File(const std::string& form, const Graph& graph, const std::string& name) {
    if (!Wanted(form)) return;
    Enter(form);
    const std::string path = absl::StrCat(options_.folder, "/", getpid(), "-", name);
    WriteOptions write;
    PackedSet packed;
    if (name == "model.sluice") {
      auto session = Session::Create(graph, Options(1, false));
      if (session.ok() && (*session)->PlanText(case_.feeds[0]).ok()) {
        packed = (*session)->Packed();
        write.packed = &packed;
      }
    }
    Judge(form, [&]() -> Runs {
      if (absl::Status s = WriteModel(graph, path, write); !s.ok()) return Failed(case_, s);
      auto saved = std::make_shared<PackedSet>();
      ReadOptions read{.packed = saved.get()};
      absl::StatusOr<std::unique_ptr<Graph>> again = ReadModel(path, read);
      if (!again.ok()) return Failed(case_, again.status());
      std::string difference;
      const std::unique_ptr<Graph> typed =
          graph.Clone();  // passes leave types that could be nearer
      if (absl::Status s = InferTypes(typed.get()); !s.ok()) return Failed(case_, s);
      if (!Equal(*typed, **again, &difference))
        return Failed(case_, absl::InternalError(absl::StrCat(
                                 "what was read is not what was written: ", difference)));
      SessionOptions options = Options(2);
      if (!saved->key.empty()) options.packed = saved;
      return RunAll(**again, case_, options);
    }());
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
    std::filesystem::remove_all(absl::StrCat(path, ".safetensors"), ignored);
  }

  void Exported() {
    if (Wanted("exported")) RoundTrip("exported", *case_.graph);
  }

  void RoundTrip(const std::string& form, const Graph& graph) {
    if (&GeneralProgram(graph) != &graph) return;  // its defaults are constants in ONNX
    if (Uses(graph, "RandomKey")) return;          // ONNX has none
    Enter(form);
    if (!reference_[0].ok()) return;
    absl::StatusOr<std::string> bytes = ExportOnnxBytes(graph);
    if (Uses(graph, "Assign")) {
      if (bytes.ok()) Found(form, {"onnx", "ONNX has no state, but an Assign was exported"});
      return;
    }
    if (!bytes.ok()) return Found(form, {"error", std::string(bytes.status().message())});
    onnx::ModelProto model;
    if (!model.ParseFromString(*bytes)) return Found(form, {"onnx", "it does not parse"});
    const std::vector<std::string> broken = BrokenOnnxRules(model, &graph);
    if (!broken.empty()) return Found(form, {"onnx", broken[0]});
    absl::StatusOr<std::unique_ptr<Graph>> again = ImportOnnxBytes(*bytes);
    Judge(form, again.ok() ? RunAll(**again, case_, Options(1)) : Failed(case_, again.status()));
  }

  const Case& case_;
  const CheckOptions& options_;
  CheckCounts* counts_;
  Runs reference_;
  std::vector<Runs> disturbed_;
  std::vector<Problem> problems_;
};

}  // namespace

std::vector<Problem> CheckForms(const Case& c, const CheckOptions& options, CheckCounts* counts) {
  return Checker(c, options, counts).Run();
}

}  // namespace sluice::random
