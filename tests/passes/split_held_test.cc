#include "passes/split_held.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"

namespace sluice {
namespace {

std::unique_ptr<Graph> MustParse(const char* text) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  if (!graph.ok()) return nullptr;
  EXPECT_TRUE(InferTypes(graph->get()).ok());
  return *std::move(graph);
}

HeldProgram Split(Graph* graph, PassContext context = {}) {
  HeldProgram held;
  context.held = &held;
  const absl::StatusOr<bool> changed = SplitHeld().Run(*graph, context);
  EXPECT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(*changed, held.graph != nullptr);
  EXPECT_TRUE(Verify(*graph).ok()) << Verify(*graph);
  return held;
}

TEST(SplitHeld, TakesWhatDependsOnHeldInputsAlone) {
  auto graph = MustParse(
      R"(graph g (%x: f32[n,4], %w: f32[4,4] held, %unread: f32[2] held, %b: f32[4] held) {
  %t = Transpose(%w) {perm = [1, 0]}
  %two = Constant {value = f32[] [2.0]}
  %s = Mul(%t, %two)
  %m = MatMul(%x, %s)
  %a = Add(%m, %b)
  return %a, %t
})");
  const HeldProgram held = Split(graph.get());
  ASSERT_NE(held.graph, nullptr);
  EXPECT_THAT(held.inputs, testing::ElementsAre(1));
  EXPECT_EQ(
      Print(*graph),
      R"(graph g (%x: f32[n,4], %w: f32[4,4] held, %unread: f32[2] held, %b: f32[4] held, %t: f32[4,4] held, %s: f32[4,4] held) {
  %m = MatMul(%x, %s) : f32[n,4]
  %a = Add(%m, %b) : f32[n,4]
  return %a, %t
}
)");
  EXPECT_EQ(Print(*held.graph), R"(graph g (%w: f32[4,4] held) {
  %t = Transpose(%w) {perm = [1, 0]} : f32[4,4]
  %two = Constant {value = f32[] [2.0]} : f32[]
  %s = Mul(%t, %two) : f32[4,4]
  return %t, %s
}
)");
}

TEST(SplitHeld, ServesBodies) {
  auto graph = MustParse(R"(graph g (%x: f32[4], %c: bool[], %w: f32[4] held) {
  %n = Neg(%w)
  %y = If(%c) {else_branch = graph () {
    %e = Sub(%x, %n)
    return %e
  }, then_branch = graph () {
    return %n
  }}
  return %y
})");
  const HeldProgram held = Split(graph.get());
  ASSERT_NE(held.graph, nullptr);
  EXPECT_EQ(held.graph->num_nodes(), 1u);
  EXPECT_THAT(Print(*graph), testing::Not(testing::HasSubstr("Neg")));
}

TEST(SplitHeld, LeavesWhatIsTooLargeToKeepAndWhatDraws) {
  auto graph = MustParse(R"(graph g (%x: f32[1000,1000], %w: f32[1000] held) {
  %n = Neg(%w)
  %shape = Constant {value = i64[2] [1000, 1000]}
  %e = Expand(%n, %shape)
  %y = Add(%x, %e)
  %true = Constant {value = bool[] [true]}
  %d = Dropout(%w, _, %true)
  return %y, %d
})");
  PassContext small;
  small.fold_result_bytes = 100;
  const HeldProgram held = Split(graph.get(), small);
  ASSERT_NE(held.graph, nullptr);
  EXPECT_EQ(held.graph->num_nodes(), 1u) << Print(*held.graph);
  EXPECT_THAT(Print(*graph), testing::HasSubstr("Expand(%n"));
  EXPECT_THAT(Print(*graph), testing::HasSubstr("Dropout(%w"));
}

TEST(SplitHeld, LeavesProgramsWithoutHeldInputs) {
  auto graph = MustParse("graph g (%x: f32[4]) {\n  %y = Neg(%x)\n  return %y\n}");
  EXPECT_EQ(Split(graph.get()).graph, nullptr);
}

}  // namespace
}  // namespace sluice
