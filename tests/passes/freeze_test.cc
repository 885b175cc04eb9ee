#include "passes/freeze.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/text.h"
#include "ops/op.h"
#include "tests/passes/same_graph.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kProgram[] = R"(graph g (%x: f32[2], %t: f32[2]) {
  %w = Variable {name = "w", value = f32[2] [1, 2]}
  %n = Variable {name = "n", value = i64[] [0]}
  %y = Mul(%x, %w)
  %d = Sub(%y, %t)
  %nw = Sub(%w, %d)
  %a = Assign(%w, %nw)
  %one = Constant {value = i64[] [1]}
  %nn = Add(%n, %one)
  %c = Assign(%n, %nn)
  return %y, %d, %nn
}
signature count () -> (nn) does (c)
signature predict (x) -> (y)
signature train (x, t) -> (d) does (a, c)
)";

std::unique_ptr<Graph> MustParse(const char* text) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? *std::move(graph) : nullptr;
}

void ExpectGraph(const Graph& graph, const char* text) {
  std::string difference;
  EXPECT_TRUE(Equal(graph, *MustParse(text), &difference)) << difference << "\n" << Print(graph);
}

TEST(Freeze, TakesTheValuesGivenAndDropsWhatWritesThem) {
  StateSnapshot snapshot;
  snapshot.variables.push_back({"w", Tensor::Vector<float>(std::vector<float>{5, 6})});
  auto frozen =
      Freeze(*MustParse(kProgram), snapshot, [](absl::string_view n) { return n == "w"; });
  ASSERT_TRUE(frozen.ok()) << frozen.status();
  EXPECT_THAT(frozen->variables, ElementsAre("w"));
  EXPECT_THAT(frozen->dropped_signatures, ElementsAre("train"));
  ExpectGraph(*frozen->graph, R"(graph g (%x: f32[2], %t: f32[2]) {
  %n = Variable {name = "n", value = i64[] [0]}
  %w = Constant {value = f32[2] [5, 6]}
  %y = Mul(%x, %w)
  %d = Sub(%y, %t)
  %nw = Sub(%w, %d)
  %one = Constant {value = i64[] [1]}
  %nn = Add(%n, %one)
  %c = Assign(%n, %nn)
  return %y, %d, %nn
}
signature count () -> (nn) does (c)
signature predict (x) -> (y)
)");
}

TEST(Freeze, EverythingAtItsInitialValue) {
  auto frozen = Freeze(*MustParse(kProgram), {}, [](absl::string_view) { return true; });
  ASSERT_TRUE(frozen.ok()) << frozen.status();
  EXPECT_THAT(frozen->dropped_signatures, ElementsAre("count", "train"));
  for (const auto& node : frozen->graph->nodes()) {
    EXPECT_FALSE(node->Is("Variable")) << NodeToString(*node);
    EXPECT_FALSE(node->Is("Assign")) << NodeToString(*node);
  }
}

TEST(Freeze, RefusesWhatWouldComputeSomethingElse) {
  std::unique_ptr<Graph> graph = MustParse(kProgram);
  const auto all = [](absl::string_view) { return true; };
  StateSnapshot wrong;
  wrong.variables.push_back({"w", Tensor::Scalar<float>(1)});
  EXPECT_THAT(Freeze(*graph, wrong, all).status().message(), HasSubstr("the snapshot holds f32[]"));
  graph->signatures().erase("predict");
  EXPECT_THAT(Freeze(*graph, {}, all).status().message(), HasSubstr("none would be left"));
  graph->signatures().clear();
  EXPECT_THAT(Freeze(*graph, {}, all).status().message(),
              HasSubstr("the program assigns variable 'w' (at 'a')"));
}

}  // namespace
}  // namespace sluice
