// Constants that would fold into huge ones (ATTACKS.md, classes 6 and 7): they stay unfolded, the
// report says why, and all that was folded stays within the budgets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "graph/text.h"
#include "ops/op.h"
#include "passes/pass.h"
#include "runtime/evaluate.h"

namespace sluice {
namespace {

constexpr int64_t kHuge = 1'000'000'000'000;

// What Optimize() reports, and the bytes of all constants that are left.
struct Folded {
  bool constant = false, refused = false;
  int64_t bytes = 0;
};

Folded Fold(const std::string& nodes, const std::string& result, const PassOptions& options = {}) {
  auto graph =
      Parse(absl::StrCat("graph g () {\n", nodes, "  return ", result, "\n}"), StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  if (!graph.ok()) return {};
  ThreadPool pool(1);
  TargetInfo everything;
  everything.takes = [](const Node&) { return absl::OkStatus(); };
  auto report = Optimize(graph->get(), options, CpuEvaluator(&pool), everything);
  EXPECT_TRUE(report.ok()) << report.status();
  Folded folded;
  folded.constant = (*graph)->outputs()[0]->producer()->Is("Constant");
  if (report.ok()) {
    for (const Finding& f : report->findings)
      folded.refused |= !f.applied && f.pass == "fold_constants" && !f.reason.empty();
  }
  for (const auto& node : (*graph)->nodes()) {
    if (node->Is("Constant"))
      folded.bytes += static_cast<int64_t>(node->GetTensor("value")->bytes());
  }
  return folded;
}

TEST(FoldConstants, BombsStayUnfolded) {
  const char* const bombs[] = {
      "ConstantOfShape(%n)",
      "Expand(%one, %n)",
      "Range(%zero, %scalar, %step)",
      "Tile(%x, %n)",
      "OneHot(%first, %n, %x2)",
      "Pad(%x, %pads)",
      "Pad(%x, %pads) {mode = \"edge\"}",
      "Pad(%x, %pads) {mode = \"wrap\"}",
      "Pad(%x, %pads) {mode = \"reflect\"}",
      "Resize(%x, _, _, %n)",
      "Resize(%x, _, _, %n) {mode = \"linear\"}",
      "Resize(%x, _, %scale)",
      "CenterCropPad(%x, %n)",
  };
  for (const char* bomb : bombs) {
    for (int64_t n : {int64_t{8}, kHuge}) {
      const std::string text = absl::StrCat(
          "  %n = Constant {value = i64[1] [", n, "]}\n  %scalar = Constant {value = i64[] [", n,
          "]}\n  %pads = Constant {value = i64[2] [0, ", n, "]}\n",
          "  %scale = Constant {value = f32[1] [", n, ".]}\n",
          R"(  %x = Constant {value = f32[4] [1, 2, 3, 4]}
  %x2 = Constant {value = f32[2] [1, 2]}
  %one = Constant {value = f32[1] [1]}
  %first = Constant {value = i64[1] [0]}
  %zero = Constant {value = i64[] [0]}
  %step = Constant {value = i64[] [1]}
  %y = )",
          bomb, "\n");
      const Folded folded = Fold(text, "%y");
      EXPECT_EQ(folded.constant, n == 8) << bomb;
      EXPECT_TRUE(folded.refused || n == 8) << bomb;
    }
  }
}

TEST(FoldConstants, LargeProductsOfGeneratedConstantsStayUnfolded) {
  const char* const x = "  %x = Constant {value = f32[100000] {random = 1}}\n";
  const char* const bombs[] = {
      "  %y = Einsum(%x, %x) {equation = \"i,j->ij\"}\n",
      "  %a = Constant {value = i64[1] [1]}\n  %c = Unsqueeze(%x, %a)\n  %y = Mul(%c, %x)\n",
  };
  for (const char* bomb : bombs) {
    const Folded folded = Fold(absl::StrCat(x, bomb), "%y");
    EXPECT_FALSE(folded.constant) << bomb;
    EXPECT_TRUE(folded.refused) << bomb;
  }
}

TEST(FoldConstants, DoublingChainsStopAtTheTotalBudget) {
  for (const char* step : {"Concat(%v$, %v$) {axis = 0}", "Tile(%v$, %two)",
                           "Add(%v$, %v$)"}) {  // the last one keeps its size: many of them
    std::string text =
        "  %two = Constant {value = i64[1] [2]}\n  %v0 = Constant {value = f32[4] [1, 2, 3, 4]}\n";
    for (int i = 0; i < 60; ++i) {
      absl::StrAppend(&text, "  %v", i + 1, " = ",
                      absl::StrReplaceAll(step, {{"$", absl::StrCat(i)}}), "\n");
    }
    PassOptions options;
    options.fold_total_bytes = 1 << 20;
    options.fold_result_bytes = 1 << 18;
    const Folded folded = Fold(text, "%v60", options);
    EXPECT_EQ(folded.constant, step[0] == 'A') << step;
    EXPECT_LE(folded.bytes, options.fold_total_bytes + 1000) << step;
  }
  // Each below the budget of one result, all together above that of all.
  std::string text = "  %n = Constant {value = i64[1] [1000]}\n";
  std::string results;
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&text, "  %v", i, " = ConstantOfShape(%n) {value = f32[1] [", i, "]}\n");
    absl::StrAppend(&results, i ? ", " : "", "%v", i);
  }
  PassOptions options;
  options.fold_total_bytes = 40'000;
  const Folded folded = Fold(text, results, options);
  EXPECT_TRUE(folded.refused);
  EXPECT_LE(folded.bytes, 41'000);
}

}  // namespace
}  // namespace sluice
