// Reorder: what it infers, what the verifier lets layouts do, and its gradient.
#include "graph/text.h"
#include "gtest/gtest.h"
#include "ops/op.h"
#include "passes/add_gradients.h"

namespace sluice {
namespace {

absl::Status Check(const std::string& text) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  if (!graph.ok()) return graph.status();
  if (absl::Status s = Verify(**graph); !s.ok()) return s;
  // Layouts survive text and copies.
  const std::unique_ptr<Graph> clone = (*graph)->Clone();
  absl::StatusOr<std::unique_ptr<Graph>> again = Parse(Print(*clone), StandardOps());
  if (!again.ok()) return again.status();
  std::string difference;
  if (!Equal(**graph, **again, &difference)) return absl::InternalError(difference);
  return absl::OkStatus();
}

TEST(Reorder, ChangesTheLayoutAndNoExtent) {
  EXPECT_EQ(Check("graph g (%x: f32[n,8,5,5]) {\n"
                  "  %r = Reorder(%x) {layout = \"channels_last\"} : f32[n,8,5,5]@channels_last\n"
                  "  %a = Relu(%r) : f32[n,8,5,5]@channels_last\n"
                  "  %y = Reorder(%a) {layout = \"plain\"} : f32[n,8,5,5]\n"
                  "  return %y\n}"),
            absl::OkStatus());
}

TEST(Reorder, RefusesWhatHasNoChannels) {
  for (const char* type : {"f32[n,8]", "f32[*]"}) {
    const absl::Status s = Check(absl::StrCat("graph g (%x: ", type,
                                              ") {\n  %r = Reorder(%x) {layout = "
                                              "\"channels_last\"}\n  return %x\n}"));
    EXPECT_FALSE(s.ok()) << type;
  }
  EXPECT_FALSE(Check("graph g (%x: f32[1,2,3]) {\n  %r = Reorder(%x) {layout = \"odd\"}\n"
                     "  return %x\n}")
                   .ok());
}

TEST(Reorder, BordersAreVerified) {
  const absl::Status output = Check(
      "graph g (%x: f32[n,8,5,5]) {\n"
      "  %r = Reorder(%x) {layout = \"channels_last\"}\n  return %r\n}");
  EXPECT_NE(output.message().find("inputs and outputs of a graph are plain"), std::string::npos)
      << output;
  const absl::Status body = Check(
      "graph g (%x: f32[n,8,5,5], %c: bool[]) {\n"
      "  %r = Reorder(%x) {layout = \"channels_last\"}\n"
      "  %y = If(%c) {else_branch = graph () {\n    %a = Abs(%x)\n    return %a\n  }, then_branch "
      "= "
      "graph () {\n    %b = Relu(%r)\n    return %b\n  }}\n  return %y\n}");
  EXPECT_NE(body.message().find("reorder it first"), std::string::npos) << body;
}

TEST(Reorder, TheGradientLiesAsTheInput) {
  auto graph = Parse(
      "graph g (%x: f32[2,3,4]) {\n"
      "  %r = Reorder(%x) {layout = \"channels_last\"}\n"
      "  %y = Reorder(%r) {layout = \"plain\"}\n  return %y\n}",
      StandardOps());
  ASSERT_TRUE(graph.ok()) << graph.status();
  Graph& g = **graph;
  auto gradients = AddGradients(&g, {g.outputs()[0]}, {g.inputs()[0]});
  ASSERT_TRUE(gradients.ok()) << gradients.status();
  EXPECT_EQ((*gradients)[0]->type().layout(), Layout::kPlain);
}

}  // namespace
}  // namespace sluice
