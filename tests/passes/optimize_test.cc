// The pass manager: which passes run, fuel, reports, dumps, the verifier's word, and budgets that
// text cases cannot show.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "graph/builder.h"
#include "graph/text.h"
#include "ops/op.h"
#include "passes/inline_calls.h"
#include "passes/pass.h"
#include "tests/passes/same_graph.h"

namespace sluice {
namespace {

using testing::Contains;
using testing::HasSubstr;

std::unique_ptr<Graph> ParseOrDie(const std::string& text) {
  auto graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? *std::move(graph) : nullptr;
}

// Two no-ops that simplify_shapes takes out, one value computed twice.
constexpr char kProgram[] = R"(graph g (%x: f32[n]) {
  %a = Identity(%x)
  %b = Identity(%a)
  %c = Relu(%b)
  %d = Relu(%b)
  %y = Add(%c, %d)
  return %y
})";

absl::StatusOr<OptimizeReport> RunAll(Graph* graph, const PassOptions& options) {
  TargetInfo everything;
  everything.takes = [](const Node&) { return absl::OkStatus(); };
  return Optimize(graph, options, nullptr, everything);
}

const PassReport& ReportOf(const OptimizeReport& report, const std::string& name) {
  for (const PassReport& r : report.passes) {
    if (r.pass == name) return r;
  }
  static const PassReport none;
  return none;
}

TEST(Optimize, ReportsWhatEachPassDid) {
  auto graph = ParseOrDie(kProgram);
  auto report = RunAll(graph.get(), {});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(ReportOf(*report, "simplify_shapes").applied, 2);
  EXPECT_EQ(ReportOf(*report, "eliminate_common_subexpressions").applied, 1);
  EXPECT_EQ(ReportOf(*report, "prune").nodes_before, 5u);
  EXPECT_EQ(ReportOf(*report, "fuse_loops").applied, 1);
  EXPECT_EQ(graph->num_nodes(), 1u);  // what is left, Relu and Add, is one loop
  for (const Finding& f : report->findings) EXPECT_FALSE(f.reason.empty()) << f.pass;
}

TEST(Optimize, UnknownNamesListTheKnownOnes) {
  for (bool without : {false, true}) {
    auto graph = ParseOrDie(kProgram);
    PassOptions options;
    (without ? options.without : options.only) = {"fold_konstants"};
    absl::Status s = RunAll(graph.get(), options).status();
    EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(s.message()), HasSubstr("fold_konstants"));
    for (const std::string& name : PassNames()) {
      EXPECT_THAT(std::string(s.message()), HasSubstr(name));
    }
  }
}

TEST(Optimize, OnlyAndWithoutChooseByName) {
  auto graph = ParseOrDie(kProgram);
  PassOptions options;
  options.only = {"simplify_shapes"};
  ASSERT_TRUE(RunAll(graph.get(), options).ok());
  EXPECT_EQ(graph->num_nodes(), 3u);

  graph = ParseOrDie(kProgram);
  options.only.clear();
  options.without = {"simplify_shapes", "fuse_loops"};
  auto report = RunAll(graph.get(), options);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(ReportOf(*report, "simplify_shapes").runs, 0);
  EXPECT_EQ(graph->num_nodes(), 4u);  // one Relu less, both Identities still there
}

TEST(Optimize, DisabledDoesOnlyWhatRunningNeeds) {
  auto graph = ParseOrDie(R"(graph g (%x: f32[n]) {
  %a = Identity(%x)
  %y = Call(%a) {function = "f"}
  return %y
}
function f (%a) {
  %b = Abs(%a)
  return %b
})");
  PassOptions options;
  options.enabled = false;
  options.fuel = 0;
  auto report = RunAll(graph.get(), options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(graph->num_nodes(), 2u) << Print(*graph);
  EXPECT_EQ(ReportOf(*report, "simplify_shapes").runs, 0);
}

TEST(Optimize, FuelIsCountedOverAllPasses) {
  size_t nodes = 6;
  for (int64_t fuel = 0; fuel <= 3; ++fuel) {
    auto graph = ParseOrDie(kProgram);
    PassOptions options;
    options.fuel = fuel;
    auto report = RunAll(graph.get(), options);
    ASSERT_TRUE(report.ok()) << report.status();
    int applied = 0;
    for (const PassReport& r : report->passes) applied += r.applied;
    EXPECT_EQ(applied, fuel);
    EXPECT_EQ(graph->num_nodes(), --nodes) << fuel;
    EXPECT_TRUE(Verify(*graph).ok());
  }
}

TEST(Optimize, DumpsAfterPassesThatChangedSomethingOrAfterAll) {
  auto graph = ParseOrDie(kProgram);
  PassOptions options;
  std::vector<std::string> dumped;
  options.after_pass = [&](const char* pass, const Graph& g) {
    EXPECT_TRUE(Verify(g).ok());
    dumped.push_back(pass);
  };
  ASSERT_TRUE(RunAll(graph.get(), options).ok());
  EXPECT_THAT(dumped, Contains("simplify_shapes"));
  EXPECT_THAT(dumped, testing::Not(Contains("fold_batch_norm")));
  dumped.clear();
  options.dump_all = true;
  ASSERT_TRUE(RunAll(graph.get(), options).ok());
  EXPECT_THAT(dumped, Contains("fold_batch_norm"));
}

TEST(Optimize, ErrorsNameThePass) {
  auto graph = ParseOrDie(R"(graph g (%x: f32[n]) {
  %y = Call(%x) {function = "f"}
  return %y
}
function f (%a) {
  %b = Call(%a) {function = "f"}
  return %b
})");
  absl::Status s = RunAll(graph.get(), {}).status();
  EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(s.message()), HasSubstr("pass inline_calls"));
  EXPECT_THAT(std::string(s.message()), HasSubstr("'f' -> 'f'"));
}

TEST(Optimize, ASecondRunFindsNothingToDo) {
  auto graph = ParseOrDie(kProgram);
  ASSERT_TRUE(RunAll(graph.get(), {}).ok());
  const std::string once = Print(*graph);
  ASSERT_TRUE(RunAll(graph.get(), {}).ok());
  EXPECT_EQ(Print(*graph), once);
}

// ---- Hostile programs

TEST(InlineCalls, FunctionsThatCallEachOtherThroughBodiesAreRefused) {
  auto graph = ParseOrDie(R"(graph g (%c: bool[], %x: f32[n]) {
  %y = Call(%c, %x) {function = "f"}
  return %y
}
function f (%c: bool[], %a: f32[n]) {
  %b = If(%c) {else_branch = graph () {
    %e = Call(%c, %a) {function = "h"}
    return %e
  }, then_branch = graph () {
    %t = Abs(%a)
    return %t
  }}
  return %b
}
function h (%c: bool[], %a: f32[n]) {
  %b = Call(%c, %a) {function = "f"}
  return %b
})");
  absl::Status s = RunAll(graph.get(), {}).status();
  EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(s.message()), HasSubstr("'f' -> 'h' -> 'f'"));
}

TEST(InlineCalls, TenFoldNestingIsRefusedBeforeAnythingIsCopied) {
  std::string text =
      "graph g (%x: f32[n]) {\n  %y = Call(%x) {function = \"f0\"}\n  return %y\n}\n";
  for (int level = 0; level < 10; ++level) {
    absl::StrAppend(&text, "function f", level, " (%v0) {\n");
    for (int i = 0; i < 10; ++i) {
      absl::StrAppend(&text, "  %v", i + 1, " = ", level == 9 ? "Abs" : "Call", "(%v", i, ")",
                      level == 9 ? "" : absl::StrCat(" {function = \"f", level + 1, "\"}"), "\n");
    }
    absl::StrAppend(&text, "  return %v10\n}\n");
  }
  auto graph = ParseOrDie(text);
  const absl::Time start = absl::Now();
  absl::Status s = RunAll(graph.get(), {}).status();
  EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted) << s;
  EXPECT_THAT(std::string(s.message()), HasSubstr(absl::StrCat(InlineCalls::kMaxNodes)));
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
}

TEST(InlineCalls, DepthIsBounded) {
  std::string text =
      "graph g (%x: f32[n]) {\n  %y = Call(%x) {function = \"f0\"}\n  return %y\n}\n";
  for (int level = 0; level < 100; ++level) {
    absl::StrAppend(&text, "function f", level, " (%a) {\n  %b = ", level == 99 ? "Abs" : "Call",
                    "(%a)", level == 99 ? "" : absl::StrCat(" {function = \"f", level + 1, "\"}"),
                    "\n  return %b\n}\n");
  }
  absl::Status s = RunAll(ParseOrDie(text).get(), {}).status();
  EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted) << s;
  EXPECT_THAT(std::string(s.message()), HasSubstr("nested deeper"));
}

TEST(InlineCalls, UnknownFunctionIsNamed) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32));
  b.Output(b.Op("Call", {x}, {{"function", "nowhere"}}));
  ASSERT_TRUE(b.status().ok()) << b.status();
  absl::Status s = RunAll(&graph, {}).status();
  EXPECT_EQ(s.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(s.message()), HasSubstr("nowhere"));
}

TEST(Optimize, AHundredThousandNodesTakeLinearTime) {
  auto make = [](int n) {
    auto graph = std::make_unique<Graph>(StandardOps());
    GraphBuilder b(graph.get());
    Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("n")}));
    for (int i = 0; i < n; ++i) x = b.Op(i % 2 == 0 ? "Exp" : "Abs", {x});
    b.Output(x);
    EXPECT_TRUE(b.status().ok()) << b.status();
    return graph;
  };
  auto time = [&](int n) {
    auto graph = make(n);
    const absl::Time start = absl::Now();
    EXPECT_TRUE(RunAll(graph.get(), {}).ok());
    return absl::ToDoubleSeconds(absl::Now() - start);
  };
  const double small = time(10'000), large = time(100'000);
  EXPECT_LT(large, 40 * small + 0.5)
      << small << " s for 10,000 nodes, " << large << " s for 100,000";
}

}  // namespace
}  // namespace sluice
