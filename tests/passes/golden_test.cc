// Runs every case of the .sluice files beside it: see case_file.h.
#include <gtest/gtest.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"
#include "passes/lift_random.h"
#include "passes/lift_state.h"
#include "passes/pass.h"
#include "runtime/evaluate.h"
#include "runtime/session.h"
#include "tests/passes/case_file.h"
#include "tests/passes/same_graph.h"
#include "tests/testing/reopened.h"

namespace sluice {
namespace {

class PassGolden : public testing::TestWithParam<PassCase> {
 protected:
  absl::StatusOr<std::unique_ptr<Graph>> ParseCase(const std::string& text, const char* what) {
    const PassCase& c = GetParam();
    ParseOptions options;
    options.file = absl::StrCat(c.file, ".sluice ", c.name, " ", what);
    return Parse(text, StandardOps(), options);
  }

  // One context for all runs: budgets are of a whole compilation.
  void SetUp() override {
    const PassCase& c = GetParam();
    context_.evaluate = CpuEvaluator(&pool_);
    const std::vector<std::string> refuses = c.List("refuses");
    context_.target.takes = [refuses](const Node& node) -> absl::Status {
      for (const std::string& op : refuses) {
        if (node.Is(op)) return absl::UnimplementedError(absl::StrCat("no kernel takes ", op));
      }
      return absl::OkStatus();
    };
    context_.target.layouts = CpuTarget().layouts;
    int64_t bytes = 0;
    if (absl::SimpleAtoi(c.Option("result_bytes"), &bytes)) context_.fold_result_bytes = bytes;
    if (absl::SimpleAtoi(c.Option("total_bytes"), &bytes)) context_.fold_total_bytes = bytes;
  }

  // Runs the case's passes once; true if any changed the graph.
  absl::StatusOr<bool> RunPasses(Graph& graph, std::vector<Finding>* findings) {
    const PassCase& c = GetParam();
    context_.findings = findings;
    LiftedState state;  // what every pass behind lift_state counts on
    context_.state = &state;
    context_.random_key = nullptr;
    const std::vector<std::string> names = c.List("passes", c.file);
    if (std::find(names.begin(), names.end(), "lift_state") == names.end()) {
      absl::StatusOr<LiftedState> lifted = LiftState(&graph);
      if (!lifted.ok()) return lifted.status();
      state = *std::move(lifted);
    }
    bool changed = false;
    for (const std::string& name : names) {
      const Pass* pass = FindPass(name);
      if (pass == nullptr) return absl::NotFoundError(absl::StrCat("no pass is called ", name));
      absl::StatusOr<bool> result = pass->Run(graph, context_);
      if (!result.ok()) return result;
      if (absl::Status s = Verify(graph); !s.ok()) return s;
      changed |= *result;
    }
    LowerRandom(context_.random_key, &graph);
    LowerState(state, &graph);
    if (absl::Status s = Verify(graph); !s.ok()) return s;
    return changed;
  }

  // What the symbols of the inputs stand for.
  Bindings BindSymbols(const Graph& graph) {
    Bindings bindings;
    for (const std::string& item : GetParam().List("dims")) {
      const std::pair<std::string, std::string> pair = absl::StrSplit(item, " = ");
      int64_t n = 0;
      if (absl::SimpleAtoi(pair.second, &n)) bindings[pair.first] = n;
    }
    int64_t next = 2;
    for (const Value* input : graph.inputs()) {
      if (!input->type().is_tensor() || !input->type().has_shape()) continue;
      std::vector<std::string> symbols;
      for (const Dim& d : input->type().shape()) d.CollectSymbols(&symbols);
      for (const std::string& s : symbols) {
        if (bindings.try_emplace(s, next).second) ++next;
      }
    }
    return bindings;
  }

  absl::StatusOr<std::vector<Tensor>> Results(const Graph& graph) {
    const Bindings bindings = BindSymbols(graph);
    Feeds feeds;
    for (const Value* input : graph.inputs()) {
      Dims dims;
      for (const Dim& d : input->type().shape()) dims.push_back(d.Evaluate(bindings).value_or(1));
      const DType dtype = input->type().dtype();
      RandomSpec spec{.seed = 17 + feeds.size(), .scale = IsFloat(dtype) ? 2.0 : 4.0};
      absl::StatusOr<Tensor> tensor = Tensor::Random(dtype, dims, spec);
      if (!tensor.ok()) return tensor.status();
      feeds.push_back({input->name(), *tensor});
    }
    SessionOptions options;
    options.threads = 1;
    options.seed = 1;
    options.passes.enabled = false;
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(graph, options);
    if (!session.ok()) return session.status();
    return (*session)->Run(feeds);
  }

  void ExpectSameNumbers(const Graph& before, const Graph& after) {
    if (GetParam().options.contains("numbers")) return;  // "no, ..."
    auto expected = Results(before), actual = Results(after);
    ASSERT_TRUE(expected.ok()) << expected.status();
    ASSERT_TRUE(actual.ok()) << actual.status();
    ASSERT_EQ(expected->size(), actual->size());
    for (size_t i = 0; i < expected->size(); ++i) {
      const bool half = ByteSize((*expected)[i].dtype()) == 2;
      EXPECT_LE(Difference((*actual)[i], (*expected)[i]), half ? 2e-2 : 1e-5)
          << "output " << i << ": " << (*actual)[i].ToString() << ", expected "
          << (*expected)[i].ToString();
    }
  }

  ThreadPool pool_{1};
  PassContext context_;
};

TEST_P(PassGolden, Holds) {
  const PassCase& c = GetParam();
  auto graph = ParseCase(c.before, "before");
  ASSERT_TRUE(graph.ok()) << graph.status();
  ASSERT_TRUE(Verify(**graph).ok()) << Verify(**graph);
  const std::unique_ptr<Graph> original = (*graph)->Clone();

  std::vector<Finding> findings;
  absl::StatusOr<bool> changed = RunPasses(**graph, &findings);
  ASSERT_TRUE(changed.ok()) << changed.status();
  std::string told;
  for (const Finding& f : findings) {
    absl::StrAppend(&told, f.applied ? "applied " : "refused ", f.node, ": ", f.reason, "\n");
  }
  EXPECT_EQ(*changed, !c.after.empty()) << Print(**graph) << told;

  auto after = ParseCase(c.after.empty() ? c.before : c.after, "after");
  ASSERT_TRUE(after.ok()) << after.status();
  std::string difference;
  EXPECT_TRUE(SameGraph(**graph, **after, &difference)) << difference << "\nthe passes made\n"
                                                        << Print(**graph) << told;
  if (const std::string reason = c.Option("reason"); !reason.empty()) {
    const bool given = std::any_of(findings.begin(), findings.end(), [&](const Finding& f) {
      return !f.applied && f.reason.find(reason) != std::string::npos;
    });
    EXPECT_TRUE(given) << "nothing was refused because '" << reason << "', but\n" << told;
  }

  absl::StatusOr<bool> again = RunPasses(**graph, nullptr);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(!*again || c.file == "lift_state" || c.file == "lift_random") << "a second run made\n"
                                                                            << Print(**graph);
  EXPECT_TRUE(SameGraph(**graph, **after, &difference)) << difference << "\na second run made\n"
                                                        << Print(**graph);

  // The types are still those that inference finds.
  ASSERT_TRUE(InferTypes(graph->get()).ok()) << InferTypes(graph->get());
  ExpectSameNumbers(*original, **graph);
}

// The whole pipeline stopped anywhere: each application must be right by itself.
TEST_P(PassGolden, HoldsAtEveryFuel) {
  auto graph = ParseCase(GetParam().before, "before");
  ASSERT_TRUE(graph.ok()) << graph.status();
  for (int64_t fuel : {0, 1, 2, 3, 5, 8, 1000}) {
    SCOPED_TRACE(absl::StrCat("fuel ", fuel));
    std::unique_ptr<Graph> improved = (*graph)->Clone();
    PassOptions options;
    options.fuel = fuel;
    auto report = Optimize(improved.get(), options, CpuEvaluator(&pool_), CpuTarget());
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_TRUE(Verify(*improved).ok()) << Verify(*improved);
    ExpectSameNumbers(**graph, *improved);
    if (HasFailure()) FAIL() << Print(*improved);
  }
}

// What was optimised is a program like any other.
TEST_P(PassGolden, ReopensAsItWas) {
  auto graph = ParseCase(GetParam().before, "before");
  ASSERT_TRUE(graph.ok()) << graph.status();
  absl::StatusOr<std::unique_ptr<Graph>> reopened = OptimiseAndReopen(**graph);
  ASSERT_TRUE(reopened.ok()) << reopened.status();
  ExpectSameNumbers(**graph, **reopened);
}

INSTANTIATE_TEST_SUITE_P(Cases, PassGolden, testing::ValuesIn(ReadCases("tests/passes")),
                         [](const testing::TestParamInfo<PassCase>& info) {
                           return absl::StrCat(info.param.file, "_", info.param.name);
                         });

}  // namespace
}  // namespace sluice
