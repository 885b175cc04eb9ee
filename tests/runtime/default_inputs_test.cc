// Inputs with a default: constants unless they are fed, in every form and once optimised.
#include "graph/default_inputs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "exchange/model.h"
#include "graph/builder.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"
#include "passes/pass.h"
#include "runtime/evaluate.h"
#include "runtime/session.h"

namespace sluice {
namespace {

Tensor Numbers(const Dims& dims, uint64_t seed) {
  const Tensor seeded = *Tensor::Random(DType::kF32, dims, {.seed = seed});
  return Tensor::FromSpan<float>(dims, seeded.values<float>());
}

const Tensor kX = Numbers({2, 16}, 1), kW = Numbers({16, 8}, 2), kB = Numbers({8}, 3),
             kV = Numbers({16, 8}, 4), kC = Numbers({8}, 5);

// w x + b with the defaults kW and kB; `rows` may change how many results there are.
std::unique_ptr<Graph> Linear() {
  auto graph = std::make_unique<Graph>(StandardOps(), "linear");
  GraphBuilder b(graph.get());
  Value* bias = InputOr(b, "b", *Type::Parse("f32[8]"), kB);
  Value* x = b.Input("x", *Type::Parse("f32[n,16]"));
  Value* w = InputOr(b, "w", *Type::Parse("f32[16,8]"), kW);
  Value* rows = InputOr(b, "rows", *Type::Parse("i64[1]"), Tensor::Vector<int64_t>({-1}));
  Value* y = b.Op("Add", {b.Op("MatMul", {x, w}), bias});
  b.Output(b.Op("Reshape", {y, rows}), "y");
  b.Output(b.Op("Mul", {w, w}), "squares");
  EXPECT_TRUE(b.status().ok()) << b.status();
  return graph;
}

std::vector<float> Expected(const Tensor& w, const Tensor& b) {
  std::vector<float> y;
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t j = 0; j < 8; ++j) {
      double sum = b.data<float>()[j];
      for (int64_t k = 0; k < 16; ++k)
        sum += double{kX.data<float>()[n * 16 + k]} * w.data<float>()[k * 8 + j];
      y.push_back(static_cast<float>(sum));
    }
  }
  return y;
}

void ExpectNear(const Tensor& a, const std::vector<float>& b) {
  ASSERT_EQ(a.elements(), static_cast<int64_t>(b.size()));
  for (size_t i = 0; i < b.size(); ++i) EXPECT_NEAR(a.data<float>()[i], b[i], 1e-5) << i;
}

void ExpectFeedsCount(Session& session) {
  const struct {
    Feeds feeds;
    const Tensor &w, &b;
  } cases[] = {{{{"x", kX}}, kW, kB},
               {{{"w", kV}, {"x", kX}}, kV, kB},
               {{{"x", kX}, {"b", kC}}, kW, kC},
               {{{"b", kC}, {"x", kX}, {"w", kV}}, kV, kC},
               {{{"x", kX}}, kW, kB}};
  for (const auto& c : cases) {
    auto results = session.Run(c.feeds);
    ASSERT_TRUE(results.ok()) << results.status();
    ExpectNear((*results)[0], Expected(c.w, c.b));
    EXPECT_EQ((*results)[1].At<float>(3), c.w.At<float>(3) * c.w.At<float>(3));
  }
}

TEST(DefaultInputs, AreConstantsUnlessTheyAreFed) {
  const auto graph = Linear();
  for (bool passes : {true, false}) {
    SessionOptions options{.threads = 1};
    options.passes.enabled = passes;
    auto session = Session::Create(*graph, options);
    ASSERT_TRUE(session.ok()) << session.status();
    ASSERT_EQ((*session)->inputs().size(), 1u);
    std::string names;
    for (const Session::Port& port : (*session)->all_inputs())
      names += port.name + (port.has_default ? "? " : " ");
    EXPECT_EQ(names, "b? x w? rows? ");
    ExpectFeedsCount(**session);
    // Contents that types depend on.
    auto rows = (*session)->Run({{"x", kX}, {"rows", Tensor::Vector<int64_t>({16})}}, {"y"});
    ASSERT_TRUE(rows.ok()) << rows.status();
    ExpectNear((*rows)[0], Expected(kW, kB));
  }
}

TEST(DefaultInputs, CallablesFeedThemToo) {
  auto session = Session::Create(*Linear(), {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  auto callable = (*session)->MakeCallable({.feeds = {"w", "x"}, .fetches = {"y"}});
  ASSERT_TRUE(callable.ok()) << callable.status();
  for (const Tensor& w : {kV, kW}) {
    Tensor y;
    ASSERT_TRUE((*callable)->Run({w, kX}, absl::MakeSpan(&y, 1)).ok());
    ExpectNear(y, Expected(w, kB));
  }
  EXPECT_FALSE((*session)->MakeCallable({.feeds = {"w"}, .fetches = {"y"}}).ok());
}

TEST(DefaultInputs, WhatDoesNotFitIsSaid) {
  auto session = Session::Create(*Linear(), {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  auto result = (*session)->Run({{"x", kX}, {"w", kX}});
  EXPECT_NE(result.status().message().find("input 'w' takes f32[16,8]"), std::string::npos)
      << result.status();
  result = (*session)->Run({{"x", kX}, {"w", kW}, {"w", kW}});
  EXPECT_NE(result.status().message().find("fed twice"), std::string::npos) << result.status();
  result = (*session)->Run({{"x", kX}, {"v", kW}});
  EXPECT_NE(result.status().message().find("its inputs are: 'b', 'x', 'w', 'rows'"),
            std::string::npos)
      << result.status();
  ASSERT_TRUE((*session)->Close().ok());
  EXPECT_FALSE((*session)->Run({{"x", kX}, {"w", kW}}).ok());
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  EXPECT_EQ(InputOr(b, "w", *Type::Parse("f32[7]"), kW), nullptr);
  EXPECT_FALSE(b.status().ok());
}

TEST(DefaultInputs, StayInEveryFormAndOnceOptimised) {
  const std::string folder = testing::TempDir() + "/defaults" + std::to_string(getpid());
  std::filesystem::create_directory(folder);
  const auto graph = Linear();
  auto optimised = graph->Clone();
  ASSERT_TRUE(InferTypes(optimised.get()).ok());
  ThreadPool pool(1);
  ASSERT_TRUE(Optimize(optimised.get(), {}, CpuEvaluator(&pool), CpuTarget()).ok());
  auto twice = optimised->Clone();
  ASSERT_TRUE(Optimize(twice.get(), {}, CpuEvaluator(&pool), CpuTarget()).ok());
  for (const Graph* g : {graph.get(), optimised.get(), twice.get()}) {
    for (const char* name : {"m", "m.sluice", "m.sluice.txt", "m.onnx"}) {
      if (g != graph.get() && std::string(name) == "m.onnx") continue;  // has no place for both
      SCOPED_TRACE(name);
      const std::string path = folder + "/" + name;
      ASSERT_TRUE(WriteModel(*g, path).ok()) << WriteModel(*g, path);
      auto back = ReadModel(path);
      ASSERT_TRUE(back.ok()) << back.status();
      std::string order, difference;
      for (const GraphInput& input : AllInputs(**back)) order += input.value->name() + " ";
      EXPECT_EQ(order, "b x w rows ");
      if (std::string(name) != "m.onnx") EXPECT_TRUE(Equal(*g, **back, &difference)) << difference;
      auto session = Session::Create(**back, {.threads = 1});
      ASSERT_TRUE(session.ok()) << session.status();
      ExpectFeedsCount(**session);
    }
  }
  std::filesystem::remove_all(folder);
}

// What is optimised with the defaults has them inside, as any constants.
TEST(DefaultInputs, AreOptimisedAsConstants) {
  auto session = Session::Create(*Linear(), {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  const std::string plan = *(*session)->PlanText({{"x", kX}});
  EXPECT_EQ(plan.find("= Mul("), std::string::npos) << plan;
  EXPECT_NE((*session)->PlanText({{"x", kX}, {"w", kW}})->find("w input"), std::string::npos);
}

// Extents that the graph leaves open may be others than the default's.
TEST(DefaultInputs, MayHaveOtherExtents) {
  Graph graph(StandardOps(), "open");
  GraphBuilder b(&graph);
  Value* x = b.Input("x", *Type::Parse("f32[2,16]"));
  Value* w = InputOr(b, "w", *Type::Parse("f32[16,m]"), kW);
  b.Output(b.Op("MatMul", {x, w}), "y");
  ASSERT_TRUE(b.status().ok()) << b.status();
  auto session = Session::Create(graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  for (int64_t m : {1, 8, 9}) {
    auto y = (*session)->Run({{"x", kX}, {"w", Numbers({16, m}, 7)}});
    ASSERT_TRUE(y.ok()) << y.status();
    EXPECT_EQ((*y)[0].dims()[1], m);
  }
}

// As a builder names what nobody named: the same name may be the next one that is free.
TEST(DefaultInputs, AnyName) {
  auto graph = std::make_unique<Graph>(StandardOps(), "g");
  GraphBuilder b(graph.get());
  std::vector<Value*> defaults;
  for (const char* name : {"v0", "v1", "v2"})
    defaults.push_back(InputOr(b, name, *Type::Parse("f32[8]"), kB));
  Value* x = b.Input("x", *Type::Parse("f32[8]"));
  for (Value* v : defaults) x = b.Op("Add", {x, v});
  b.Output(x, "y");
  ASSERT_TRUE(b.status().ok()) << b.status();
  auto session = Session::Create(*graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  for (const char* name : {"v0", "v1", "v2"}) {
    auto result = (*session)->Run({{"x", kB}, {name, kC}});
    ASSERT_TRUE(result.ok()) << result.status();
    std::vector<float> expected;
    for (int i = 0; i < 8; ++i) expected.push_back(3 * kB.data<float>()[i] + kC.data<float>()[i]);
    ExpectNear((*result)[0], expected);
  }
}

}  // namespace
}  // namespace sluice
