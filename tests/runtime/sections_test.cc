#include "runtime/sections.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "graph/builder.h"
#include "ops/op.h"
#include "runtime/session.h"

namespace sluice {
namespace {

using Lanes = std::vector<std::vector<int>>;

SectionStep StepOf(std::vector<int> needs, double us) {
  return {.needs = std::move(needs), .alone_ns = us * 1e3, .together_ns = us * 1e3, .bytes = 1024};
}

TEST(FindSections, BranchesBetweenForkAndJoin) {
  // 0 -> {1 2}, {3}, {4 5} -> 6
  const SectionStep steps[] = {StepOf({}, 5),  StepOf({0}, 5), StepOf({1}, 5),      StepOf({0}, 9),
                               StepOf({0}, 5), StepOf({4}, 5), StepOf({2, 3, 5}, 5)};
  const std::vector<Section> found = FindSections(steps, 3, 500);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].first, 1);
  EXPECT_EQ(found[0].last, 6);
  EXPECT_EQ(found[0].lanes, (Lanes{{1, 2}, {4, 5}, {3}}));
  // Two threads: the longest first, each to the lane that is free first.
  EXPECT_EQ(FindSections(steps, 2, 500)[0].lanes, (Lanes{{1, 2, 3}, {4, 5}}));
  EXPECT_TRUE(FindSections(steps, 1, 500).empty());
}

TEST(FindSections, OnlyWhereItPays) {
  const SectionStep small[] = {StepOf({}, 0.3), StepOf({0}, 0.3), StepOf({0}, 0.3)};
  EXPECT_TRUE(FindSections(small, 2, 500).empty());
  // Large steps that all threads share take no less in lanes.
  SectionStep large[] = {StepOf({}, 100), StepOf({}, 100), StepOf({0, 1}, 1)};
  EXPECT_EQ(FindSections(large, 2, 500).size(), 1u);
  for (SectionStep& s : large) s.together_ns = s.alone_ns / 2;
  EXPECT_TRUE(FindSections(large, 2, 500).empty());
  // Results that would be held at once.
  for (SectionStep& s : large) s.together_ns = s.alone_ns, s.bytes = 64 << 20;
  EXPECT_TRUE(FindSections(large, 2, 500).empty());
}

TEST(FindSections, NothingRunsBesideAStepThatMayNot) {
  SectionStep steps[] = {StepOf({}, 10), StepOf({}, 10), StepOf({}, 10), StepOf({}, 10)};
  steps[1].may_overlap = false;
  const std::vector<Section> found = FindSections(steps, 4, 500);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].lanes, (Lanes{{2}, {3}}));
}

// Towers of small layers over one input, then their sum.
std::unique_ptr<Graph> Towers(int towers, int depth) {
  auto graph = std::make_unique<Graph>(StandardOps(), "towers");
  GraphBuilder b(graph.get());
  Value* x = b.Input("x", *Type::Parse("f32[4,64]"));
  Value* sum = nullptr;
  for (int t = 0; t < towers; ++t) {
    Value* y = x;
    for (int d = 0; d < depth; ++d) {
      const auto seed = static_cast<uint64_t>(t) * 100 + static_cast<uint64_t>(d) + 1;
      Value* w = b.Constant(*Tensor::Random(DType::kF32, {64, 64}, {.seed = seed, .scale = 0.2}));
      y = b.Op(d % 2 == 0 ? "Tanh" : "Softmax", {b.Op("MatMul", {y, w})});
    }
    sum = sum == nullptr ? y : b.Op("Add", {sum, y});
  }
  b.Output(sum, "y");
  EXPECT_TRUE(b.status().ok()) << b.status();
  return graph;
}

TEST(Sections, TowersRunSideBySide) {
  const std::unique_ptr<Graph> graph = Towers(4, 6);
  const Tensor x = *Tensor::Random(DType::kF32, {4, 64}, {.seed = 99});
  std::vector<Tensor> expected;
  for (int threads : {1, 2, 4}) {
    auto session = Session::Create(*graph, {.threads = threads});
    ASSERT_TRUE(session.ok()) << session.status();
    const std::string plan = *(*session)->PlanText({{"x", x}});
    EXPECT_EQ(plan.find("side by side") != std::string::npos, threads > 1) << plan;
    EXPECT_EQ((*session)->Explain().find("run side by side in") != std::string::npos, threads > 1);
    auto results = (*session)->Run({{"x", x}});
    ASSERT_TRUE(results.ok()) << results.status();
    if (threads == 1) expected = *results;
    for (int64_t i = 0; i < expected[0].elements(); ++i) {
      ASSERT_NEAR((*results)[0].data<float>()[i], expected[0].data<float>()[i], 1e-6) << i;
    }
    // A profile says which lane ran a step; a deadline and a token stop the lanes.
    Profile profile;
    RunOptions options;
    options.profile = &profile;
    ASSERT_TRUE((*session)->Run({{"x", x}}, {}, options).ok());
    int64_t lanes = 0;
    for (const ProfileEvent& e : profile.events) lanes = std::max(lanes, e.thread + 1);
    EXPECT_EQ(lanes, std::min(threads, 4));
    CancelToken token;
    token.Cancel();
    RunOptions cancelled;
    cancelled.cancel = &token;
    EXPECT_EQ((*session)->Run({{"x", x}}, {}, cancelled).status().code(),
              absl::StatusCode::kCancelled);
  }
}

// Random programs: memory that one lane uses again must not be another's.
TEST(Sections, RandomProgramsGiveTheSameBitsOnAnyNumberOfThreads) {
  int with_sections = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    auto pick = [&](size_t n) { return static_cast<size_t>(random() % n); };
    Graph graph(StandardOps(), "random");
    GraphBuilder b(&graph);
    std::vector<Value*> values = {b.Input("a", *Type::Parse("f32[48,64]")),
                                  b.Input("b", *Type::Parse("f32[48,64]"))};
    const char* unary[] = {"Tanh", "Sigmoid", "Sin", "Erf", "Neg"};
    const char* binary[] = {"Add", "Mul", "Max", "Sub"};
    for (int i = 0; i < 60; ++i) {
      // Mostly long branches: of recent values.
      const size_t recent = values.size() < 6 ? 0 : values.size() - 6;
      Value* x = values[recent + pick(values.size() - recent)];
      if (i % 7 == 3) {
        x = b.Op("Reshape", {b.Op("Reshape", {x, b.Ints({64, 48})}), b.Ints({48, 64})});
      }
      values.push_back(i % 4 == 1 ? b.Op(binary[pick(4)], {x, values[pick(values.size())]})
                                  : b.Op(unary[pick(5)], {x}));
      if (i % 20 == 19) b.Output(values.back(), "y" + std::to_string(i));
    }
    ASSERT_TRUE(b.status().ok()) << b.status();
    const Feeds feeds = {{"a", *Tensor::Random(DType::kF32, {48, 64}, {.seed = seed})},
                         {"b", *Tensor::Random(DType::kF32, {48, 64}, {.seed = seed + 100})}};
    std::vector<Tensor> expected;
    for (int threads : {1, 2, 4}) {
      SessionOptions options{.threads = threads};
      options.passes.without = {"fuse_loops"};  // many small steps
      auto session = Session::Create(graph, options);
      ASSERT_TRUE(session.ok()) << session.status();
      with_sections += (*session)->PlanText(feeds)->find("side by side") != std::string::npos;
      for (int run = 0; run < 3; ++run) {
        auto results = (*session)->Run(feeds);
        ASSERT_TRUE(results.ok()) << results.status();
        if (expected.empty()) expected = *results;
        EXPECT_EQ(*results, expected) << "seed " << seed << ", " << threads << " threads";
      }
    }
  }
  EXPECT_GT(with_sections, 10);
}

}  // namespace
}  // namespace sluice
