// Wrong calls of Session and Callable, and their ends: each is a status.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "sluice.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using testing::HasSubstr;

constexpr absl::string_view kNeg = "graph g (%x: f32[n]) {\n  %y = Neg(%x)\n  return %y\n}\n";
constexpr absl::string_view kState = R"(
graph g (%x: f32[n]) {
  %v = Variable {name = "v", value = f32[2] [1, 1]}
  %s = ReduceSum(%v)
  %y = Add(%x, %s)
  return %y
}
)";

std::unique_ptr<Graph> MakeGraph(absl::string_view text) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? *std::move(graph) : nullptr;
}
std::unique_ptr<Session> MakeSession(absl::string_view text) {
  absl::StatusOr<std::unique_ptr<Session>> session =
      Session::Create(*MakeGraph(text), {.threads = 1});
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? *std::move(session) : nullptr;
}
std::string Said(const absl::Status& status) { return std::string(status.message()); }

TEST(SessionMisuse, OptionsOutOfRangeAreErrors) {
  const std::unique_ptr<Graph> graph = MakeGraph(kNeg);
  EXPECT_THAT(Said(Session::Create(*graph, {.threads = 1, .memory_limit = -1}).status()),
              HasSubstr("memory_limit"));
  EXPECT_TRUE(Session::Create(*graph, {.threads = 1, .max_plans = 0}).ok());
}

TEST(SessionMisuse, AGraphWithoutOutputsOrHalfBuiltMakesNone) {
  Graph graph(StandardOps(), "mine");
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{2}));
  EXPECT_THAT(Said(Session::Create(graph, {.threads = 1}).status()), HasSubstr("no outputs"));
  b.Output(ops::Relu(b, x), "good");
  EXPECT_TRUE(Session::Create(graph, {.threads = 1}).ok());
  b.Output(ops::MatMul(b, x, nullptr), "bad");
  const absl::Status s = Session::Create(graph, {.threads = 1}).status();
  EXPECT_EQ(s, b.status());
  EXPECT_EQ(WriteModel(graph, testing::TempDir() + "/half.onnx"), b.status());
}

TEST(SessionMisuse, AFunctionThatIsNull) {
  const std::unique_ptr<Graph> graph = MakeGraph(kNeg);
  graph->functions()["f"];
  EXPECT_FALSE(Session::Create(*graph, {.threads = 1}).ok());
  for (const char* name : {"/null.onnx", "/null.sluice", "/null.sluice.txt", "/null"})
    EXPECT_THAT(Said(WriteModel(*graph, testing::TempDir() + name)), HasSubstr("'f' is null"));
}

TEST(SessionMisuse, OutputsAreToldApartByName) {
  const std::unique_ptr<Graph> graph = MakeGraph(
      "graph g (%x: f32[n]) {\n  %y = Neg(%x)\n  %z = Abs(%x)\n  return %y as \"r\", %z as "
      "\"r\"\n}");
  EXPECT_THAT(Said(Session::Create(*graph, {.threads = 1}).status()),
              HasSubstr("two outputs named 'r'"));
}

TEST(SessionMisuse, FeedsAndFetchesOfACallable) {
  auto session = MakeSession(kNeg);
  const auto error = [&](CallableOptions options) {
    return Said(session->MakeCallable(options).status());
  };
  EXPECT_THAT(error({{"x", "x"}, {"y"}}), HasSubstr("twice"));
  EXPECT_THAT(error({{}, {"y"}}), HasSubstr("not among the feeds"));
  EXPECT_THAT(error({{"x"}, {"z"}}), HasSubstr("no output 'z'"));
  auto call = session->MakeCallable({{"x"}, {"y", "y"}});
  ASSERT_TRUE(call.ok()) << call.status();
  const Tensor x = MakeTensor<float>({2}, {1, 2});
  Tensor outputs[2];
  EXPECT_THAT(Said((*call)->Run({x, x}, outputs)), HasSubstr("takes 1 inputs"));
  EXPECT_THAT(Said((*call)->Run({x}, absl::MakeSpan(outputs, 1))), HasSubstr("and 2 outputs"));
  EXPECT_THAT(Said((*call)->Run({Tensor()}, outputs)), HasSubstr("no tensor"));
  ASSERT_TRUE((*call)->Run({x}, outputs).ok());
  EXPECT_EQ(outputs[1].data<float>()[1], -2);
}

TEST(SessionMisuse, ACallableOutlivesItsSession) {
  for (const absl::string_view text : {kNeg, kState}) {
    auto session = MakeSession(text);
    auto call = *session->MakeCallable({{"x"}, {"y"}});
    Tensor out;
    ASSERT_TRUE(call->Run({MakeTensor<float>({2}, {1, 2})}, absl::MakeSpan(&out, 1)).ok());
    session.reset();
    const absl::Status s = call->Run({MakeTensor<float>({2}, {1, 2})}, absl::MakeSpan(&out, 1));
    EXPECT_EQ(s.code(), absl::StatusCode::kFailedPrecondition) << s;
  }
}

TEST(SessionMisuse, WhatIsAskedOfAClosedSession) {
  auto session = MakeSession(kState);
  ASSERT_TRUE(session->Close().ok());
  ASSERT_TRUE(session->Close().ok());
  EXPECT_EQ(session->ReadVariable("v").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(session->AssignVariable("v", Tensor()).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(session->MakeCallable({}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(session->PlanText({}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(session->Memory().plans, 0);
  EXPECT_TRUE(session->Packed().entries.empty());
  EXPECT_FALSE(session->Explain().empty());
}

TEST(SessionMisuse, ClosingWaitsForCallablesThatRun) {
  for (int round = 0; round < 6; ++round) {
    auto session = MakeSession(round % 2 == 0 ? kNeg : kState);
    std::vector<std::unique_ptr<Callable>> calls;
    for (int i = 0; i < 3; ++i) calls.push_back(*session->MakeCallable({{"x"}, {"y"}}));
    std::vector<std::thread> threads;
    std::atomic<int> started{0};
    for (auto& call : calls) {
      threads.emplace_back([&] {
        Tensor out;
        const Tensor x = *Tensor::Random(DType::kF32, {1000}, {.seed = 1});
        for (absl::Status s; s.ok(); ++started) s = call->Run({x}, absl::MakeSpan(&out, 1));
      });
    }
    while (started < 10) std::this_thread::yield();
    EXPECT_TRUE(session->Close().ok());
    for (std::thread& t : threads) t.join();
  }
}

TEST(SessionMisuse, TwoThreadsInOneCallableAreTold) {
  auto session = MakeSession(kNeg);
  auto call = *session->MakeCallable({{"x"}, {"y"}});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const Tensor x = *Tensor::Random(DType::kF32, {1000 + i}, {.seed = 1});
      for (int k = 0; k < 60; ++k) {
        Tensor out = *Tensor::Allocate(DType::kF32, {1000 + i});
        const absl::Status s = call->Run({x}, absl::MakeSpan(&out, 1));
        if (s.ok()) {
          ASSERT_EQ(out.data<float>()[7], -x.data<float>()[7]);
        } else {
          ASSERT_EQ(s.code(), absl::StatusCode::kFailedPrecondition) << s;
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
}

TEST(SessionMisuse, AssigningWhileCallablesRunIsSeenWholeOrNot) {
  auto session = MakeSession(kState);
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      auto call = *session->MakeCallable({{"x"}, {"y"}});
      const Tensor x = MakeTensor<float>({1}, {0});
      Tensor out;
      while (!done) {
        ASSERT_TRUE(call->Run({x}, absl::MakeSpan(&out, 1)).ok());
        const float sum = out.data<float>()[0];
        ASSERT_EQ(sum, 2 * std::floor(sum / 2)) << "half of an assignment";
      }
    });
  }
  for (int k = 0; k < 300; ++k) {
    const float n = static_cast<float>(k % 100);
    ASSERT_TRUE(session->AssignVariable("v", MakeTensor<float>({2}, {n, n})).ok());
  }
  done = true;
  for (std::thread& t : threads) t.join();
}

TEST(SessionMisuse, PackedWeightsOfAllPlansCountOnce) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", *Type::Parse("f32[n,256]"));
  Value* w = b.Constant(*Tensor::Random(DType::kF32, {256, 256}, {.seed = 1}));
  b.Output(ops::MatMul(b, x, w), "y");
  auto session = *Session::Create(graph, {.threads = 1});
  int64_t first = 0;
  for (int64_t n : {64, 65, 66, 67, 68, 69}) {
    ASSERT_TRUE(session->Run({{"x", *Tensor::Random(DType::kF32, {n, 256}, {.seed = 2})}}).ok());
    if (first == 0) first = session->Memory().packed_bytes;
  }
  EXPECT_EQ(session->Memory().plans, 6);
  EXPECT_GE(first, 256 * 256 * 4);
  // Shapes may want two forms of the same weights, not six.
  EXPECT_LE(session->Memory().packed_bytes, 2 * first);
}

}  // namespace
}  // namespace sluice
