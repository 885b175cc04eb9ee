// FusedLoop: what its body says, whatever the body; what is refused; layouts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "kernels/cpu/cpu_kernels.h"
#include "ops/op.h"
#include "runtime/evaluate.h"
#include "runtime/session.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::unique_ptr<Graph> ParseOrDie(const std::string& text) {
  auto graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status() << "\n" << text;
  return graph.ok() ? *std::move(graph) : nullptr;
}

absl::Status InferText(const std::string& text) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  return graph.ok() ? InferTypes(graph->get()) : graph.status();
}

TEST(FusedLoop, InfersThroughItsBody) {
  auto graph = ParseOrDie(R"(graph g (%x: f32[n,8]) {
  %y, %z = FusedLoop(%x) {body = graph (%u: f32[n,8]) {
    %axes = Constant {value = i64[1] [1]}
    %a = Exp(%u)
    %b = ReduceSum(%a, %axes) {keepdims = 0}
    return %a, %b
  }}
  return %y, %z
})");
  ASSERT_NE(graph, nullptr);
  ASSERT_TRUE(InferTypes(graph.get()).ok());
  EXPECT_EQ(graph->outputs()[0]->type().ToString(), "f32[n,8]");
  EXPECT_EQ(graph->outputs()[1]->type().ToString(), "f32[n]");
}

TEST(FusedLoop, ItsBodyHoldsLoopsOnly) {
  const absl::Status s = InferText(R"(graph g (%x: f32[8,8]) {
  %y = FusedLoop(%x) {body = graph (%u: f32[8,8]) {
    %a = MatMul(%u, %u)
    return %a
  }}
  return %y
})");
  EXPECT_THAT(std::string(s.message()), HasSubstr("neither element-wise nor a reduction"));
}

TEST(FusedLoop, ItsBodyReadsItsInputsOnly) {
  const absl::Status s = InferText(R"(graph g (%x: f32[8,8]) {
  %y = FusedLoop(%x) {body = graph (%u: f32[8,8]) {
    %a = Add(%u, %x)
    return %a
  }}
  return %y
})");
  EXPECT_THAT(std::string(s.message()), HasSubstr("pass it as input"));
}

TEST(FusedLoop, AsManyOutputsAsItsBodyReturns) {
  const absl::Status s = InferText(R"(graph g (%x: f32[8,8]) {
  %y, %z = FusedLoop(%x) {body = graph (%u: f32[8,8]) {
    %a = Exp(%u)
    return %a
  }}
  return %y
})");
  EXPECT_THAT(std::string(s.message()), HasSubstr("its body returns 1 values"));
}

absl::StatusOr<std::vector<Tensor>> RunGraph(const Graph& graph, bool fuse, int threads = 1) {
  SessionOptions options;
  options.threads = threads;
  if (fuse) {
    options.passes.only = {"fuse_loops"};
  } else {
    options.passes.enabled = false;
  }
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(graph, options);
  if (!session.ok()) return session.status();
  Feeds feeds;
  for (const Session::Port& port : (*session)->inputs()) {
    const RandomSpec spec{.seed = 3 + feeds.size(), .scale = 2.0};
    feeds.push_back({port.name, *Tensor::Random(port.type.dtype(), *port.type.StaticDims(), spec)});
  }
  return (*session)->Run(feeds);
}

void ExpectClose(const std::vector<Tensor>& actual, const std::vector<Tensor>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].TypeString(), expected[i].TypeString());
    const Tensor& a = actual[i];
    const Tensor& e = expected[i];
    double largest = 1;
    for (int64_t k = 0; k < a.elements(); ++k) {
      largest = std::max<double>(largest, std::abs(e.data<float>()[k]));
    }
    for (int64_t k = 0; k < a.elements(); ++k) {
      ASSERT_NEAR(a.data<float>()[k], e.data<float>()[k], 2e-6 * largest)
          << "output " << i << " element " << k;
    }
  }
}

// Bodies that the loader accepts and no kernel takes run as what they say.
TEST(FusedLoop, WhatTheKernelRefusesIsExpanded) {
  for (const char* body : {"return %u",  // nothing at all
                           "%a = Constant {value = f32[2] [1.0, 2.0]}\n return %a",
                           "%s = Constant {value = i64[1] [-1]}\n %a = Reshape(%u, %s)\n return %a",
                           "%o = Constant {value = i64[1] [0]}\n %l = Constant {value = i64[1] "
                           "[1]}\n %a = ReduceSum(%u, %o)\n %b = ReduceSum(%a, %l)\n return %b"}) {
    const std::string text = absl::StrCat(
        "graph g (%x: f32[4,6]) {\n%y = FusedLoop(%x) {body = graph (%u: f32[4,6]) {\n", body,
        "\n}}\nreturn %y\n}");
    SCOPED_TRACE(text);
    auto graph = ParseOrDie(text);
    ASSERT_NE(graph, nullptr);
    auto result = RunGraph(*graph, false);
    EXPECT_TRUE(result.ok()) << result.status();
  }
}

// A random graph over [a,b,c,d] and what broadcasts to it.
std::string RandomLoops(std::mt19937_64& random, const Dims& dims) {
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<uint64_t>(n)); };
  const auto shape = [](const Dims& d) { return absl::StrCat("f32[", absl::StrJoin(d, ","), "]"); };
  std::string text = "graph g (";
  std::vector<std::string> full, any;
  for (int i = 0; i < 4; ++i) {
    Dims d = dims;
    for (size_t k = 0; i > 1 && k < d.size(); ++k) {
      if (pick(2) == 0) d[k] = 1;
    }
    if (i == 3) d.erase(d.begin(), d.begin() + pick(static_cast<int>(d.size())));
    absl::StrAppend(&text, i > 0 ? ", " : "", "%in", i, ": ", shape(d));
    (i < 2 ? full : any).push_back(absl::StrCat("%in", i));
  }
  text += ") {\n";
  std::vector<int> axes;
  for (size_t k = 0; k < dims.size(); ++k) {
    if (pick(2) == 0) axes.push_back(static_cast<int>(k));
  }
  if (axes.empty()) axes.push_back(pick(static_cast<int>(dims.size())));
  absl::StrAppend(&text, "%axes = Constant {value = i64[", axes.size(), "] [",
                  absl::StrJoin(axes, ", "), "]}\n%half = Constant {value = f32[] [0.5]}\n");
  any.push_back("%half");
  static const char* const kUnary[] = {"Tanh", "Abs", "Neg", "Sigmoid", "Relu", "Sin"};
  static const char* const kBinary[] = {"Add", "Sub", "Mul", "Max"};
  static const char* const kReduce[] = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2"};
  const int steps = 3 + pick(9);
  for (int i = 0; i < steps; ++i) {
    const std::string name = absl::StrCat("%v", i);
    const std::string& x =
        full[full.size() - 1 - pick(static_cast<int>(std::min<size_t>(full.size(), 3)))];
    switch (pick(5)) {
      case 0:
      case 1:
        absl::StrAppend(&text, name, " = ", kUnary[pick(6)], "(", x, ")\n");
        full.push_back(name);
        break;
      case 2:
        absl::StrAppend(&text, name, " = ", kReduce[pick(4)], "(", x, ", %axes)\n");
        any.push_back(name);
        break;
      case 3:
        absl::StrAppend(&text, name, " = ", kBinary[pick(4)], "(", x, ", ",
                        any[pick(static_cast<int>(any.size()))], ")\n");
        full.push_back(name);
        break;
      default:
        absl::StrAppend(&text, name, " = ", kBinary[pick(4)], "(",
                        full[pick(static_cast<int>(full.size()))], ", ", x, ")\n");
        full.push_back(name);
    }
  }
  absl::StrAppend(&text, "return ", full.back(), ", ", any.back() == "%half" ? full[1] : any.back(),
                  "\n}");
  return text;
}

bool Fuses(const Graph& graph) {
  std::unique_ptr<Graph> copy = graph.Clone();
  PassOptions options;
  options.only = {"fuse_loops"};
  EXPECT_TRUE(InferTypes(copy.get()).ok());
  EXPECT_TRUE(Optimize(copy.get(), options, nullptr, CpuTarget()).ok());
  for (const auto& node : copy->nodes()) {
    if (node->Is("FusedLoop")) return true;
  }
  return false;
}

TEST(FusedLoop, RandomLoopsGiveWhatTheirNodesGive) {
  std::mt19937_64 random(7);
  const std::vector<Dims> shapes = {{2, 3, 4, 5},  {1, 7, 1, 9}, {3, 1, 100, 40}, {5, 70},
                                    {2, 600, 300}, {17},         {2, 20, 3000},   {6, 1}};
  int fused_rounds = 0;
  for (int round = 0; round < 64; ++round) {
    const std::string text = RandomLoops(random, shapes[round % shapes.size()]);
    SCOPED_TRACE(text);
    auto graph = ParseOrDie(text);
    ASSERT_NE(graph, nullptr);
    auto plain = RunGraph(*graph, false);
    ASSERT_TRUE(plain.ok()) << plain.status();
    fused_rounds += Fuses(*graph);
    for (int threads : {1, 2}) {
      auto fused = RunGraph(*graph, true, threads);
      ASSERT_TRUE(fused.ok()) << fused.status();
      ExpectClose(*fused, *plain);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(fused_rounds, 48);
}

}  // namespace
}  // namespace sluice
