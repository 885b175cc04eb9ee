// Values inside of a graph, fed and fetched by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/evaluate.h"
#include "sluice.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using testing::HasSubstr;

constexpr char kChain[] = R"(graph chain (%x: f32[n]) {
  %a = Neg(%x)
  %b = Exp(%a)
  %c = Add(%b, %x)
  %y = Mul(%c, %b)
  return %y
}
)";

std::unique_ptr<Session> MakeSession(const char* text, bool inner_values = true) {
  auto graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  SessionOptions options;
  options.threads = 1;
  options.inner_values = inner_values;
  auto session = Session::Create(**graph, std::move(options));  // the graph goes: it is kept
  EXPECT_TRUE(session.ok()) << session.status();
  return *std::move(session);
}

TEST(InnerValues, FetchedBesideOutputs) {
  auto session = MakeSession(kChain);
  auto r = session->Run({{"x", MakeTensor<float>({2}, {0, 1})}}, {"c", "y", "a"});
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_FLOAT_EQ((*r)[0].data<float>()[1], std::exp(-1.f) + 1);
  EXPECT_FLOAT_EQ((*r)[1].data<float>()[1], (std::exp(-1.f) + 1) * std::exp(-1.f));
  EXPECT_FLOAT_EQ((*r)[2].data<float>()[1], -1);
}

TEST(InnerValues, FedInThePlaceOfWhatComputesThem) {
  auto session = MakeSession(kChain);
  // Nothing needs %x any more but %c.
  auto r = session->Run({{"b", MakeTensor<float>({1}, {5})}, {"x", MakeTensor<float>({1}, {2})}});
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_FLOAT_EQ((*r)[0].data<float>()[0], 35);
  // A value that is fed and fetched is itself; a result may be fed like any other value.
  r = session->Run({{"y", MakeTensor<float>({1}, {7})}, {"x", MakeTensor<float>({1}, {0})}},
                   {"y", "b"});
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_FLOAT_EQ((*r)[0].data<float>()[0], 7);
  EXPECT_FLOAT_EQ((*r)[1].data<float>()[0], 1);
}

TEST(InnerValues, ProgramsAreKept) {
  auto session = MakeSession(kChain);
  const Feeds feeds = {{"x", MakeTensor<float>({1}, {1})}};
  auto callable = session->MakeCallable({.feeds = {"x"}, .fetches = {"b"}});
  ASSERT_TRUE(callable.ok()) << callable.status();
  std::vector<Tensor> in = {feeds[0].second}, out(1);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE((*callable)->Run(in, absl::MakeSpan(out)).ok());
    EXPECT_FLOAT_EQ(out[0].data<float>()[0], std::exp(-1.f));
    ASSERT_TRUE(session->Run(feeds, {"b"}).ok());
  }
}

TEST(InnerValues, OfSignaturesOverOneState) {
  auto session = MakeSession(R"(graph g (%x: f32[3]) {
  %w = Variable {name = "w", value = f32[3] [1, 2, 3]}
  %p = Mul(%w, %x)
  %y = ReduceSum(%p) {keepdims = 0}
  %half = Constant {value = f32[] [0.5]}
  %h = Mul(%w, %half)
  %nw = Assign(%w, %h)
  return %y
}
signature predict (x) -> (y)
signature train () -> () does (nw)
)");
  const Feeds x = {{"x", MakeTensor<float>({3}, {1, 1, 1})}};
  auto r = session->Run("predict", x, std::vector<std::string>{"p", "y"});
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_FLOAT_EQ((*r)[0].data<float>()[2], 3);
  // The training program with a look inside trains as it does without.
  r = session->Run("train", {}, std::vector<std::string>{"h"});
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_FLOAT_EQ((*r)[0].data<float>()[2], 1.5);
  r = session->Run("predict", x, std::vector<std::string>{"p"});
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_FLOAT_EQ((*r)[0].data<float>()[2], 1.5);
  EXPECT_THAT(session->Run("predict", {{"x", x[0].second}, {"w", x[0].second}}).status().message(),
              HasSubstr("is a variable"));
}

TEST(InnerValues, ANameThatMeansTwoThingsIsRefused) {
  auto session = MakeSession(R"(graph g (%x: f32[1]) {
  %a = Neg(%x)
  %y = Exp(%x)
  return %a as "first", %y as "a"
}
signature p (x) -> (first)
signature q (x) -> (a)
)");
  const Feeds x = {{"x", MakeTensor<float>({1}, {0})}};
  EXPECT_THAT(session->Run("p", x, std::vector<std::string>{"a"}).status().message(),
              HasSubstr("an output of another signature"));
  auto r = session->Run("p", x, std::vector<std::string>{"y", "first"});
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_FLOAT_EQ((*r)[0].data<float>()[0], 1);
}

TEST(InnerValues, ACallableEndsWithItsSession) {
  auto graph = Parse(kChain, StandardOps());
  ASSERT_TRUE(graph.ok());
  SessionOptions options;
  options.inner_values = true;
  options.max_plans = 1;  // of programs, too: the callable's is dropped
  auto session = Session::Create(**graph, std::move(options));
  ASSERT_TRUE(session.ok()) << session.status();
  auto callable = (*session)->MakeCallable({.feeds = {"x"}, .fetches = {"b"}});
  ASSERT_TRUE(callable.ok()) << callable.status();
  const Tensor x = MakeTensor<float>({1}, {1});
  ASSERT_TRUE((*session)->Run({{"x", x}}, {"c"}).ok());
  std::vector<Tensor> in = {x}, out(1);
  EXPECT_TRUE((*callable)->Run(in, absl::MakeSpan(out)).ok());
  ASSERT_TRUE((*session)->Close().ok());
  EXPECT_EQ((*callable)->Run(in, absl::MakeSpan(out)).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(InnerValues, OfAnOptimisedGraph) {
  auto graph = Parse(kChain, StandardOps());
  ASSERT_TRUE(graph.ok());
  ThreadPool pool(1);
  auto report = Optimize(graph->get(), {}, CpuEvaluator(&pool), CpuTarget());
  ASSERT_TRUE(report.ok()) << report.status();
  SessionOptions options;
  options.inner_values = true;
  auto session = Session::Create(**graph, std::move(options));
  ASSERT_TRUE(session.ok()) << session.status();
  // What fusion has swallowed has no name any more.
  const auto r = (*session)->Run({{"x", MakeTensor<float>({1}, {1})}}, {"nothing"});
  EXPECT_THAT(r.status().message(), HasSubstr("no value 'nothing'"));
}

// An optimised graph has values that lie channels last; those that are fetched are plain.
TEST(InnerValues, OfAnOptimisedGraphWithLayouts) {
  constexpr char kConvolutions[] = R"(graph g (%x: f32[1,16,12,12]) {
  %w = Constant {value = f32[16,16,3,3] {random = 1, scale = 0.1}}
  %a = Conv(%x, %w) {pads = [1, 1, 1, 1]}
  %p = MaxPool(%a) {kernel_shape = [2, 2], strides = [2, 2]}
  %y = Conv(%p, %w) {pads = [1, 1, 1, 1]}
  return %y
}
)";
  auto plain = Parse(kConvolutions, StandardOps()), graph = Parse(kConvolutions, StandardOps());
  ASSERT_TRUE(plain.ok() && graph.ok());
  ThreadPool pool(1);
  ASSERT_TRUE(Optimize(graph->get(), {}, CpuEvaluator(&pool), CpuTarget()).ok());
  ASSERT_NE(Print(**graph).find("channels_last"), std::string::npos) << Print(**graph);
  (*plain)->AddOutput((*plain)->FindValue("p"));
  auto reference = Session::Create(**plain, {.threads = 1});
  SessionOptions options;
  options.inner_values = true;
  auto session = Session::Create(**graph, std::move(options));
  ASSERT_TRUE(session.ok() && reference.ok()) << session.status() << reference.status();
  const Feeds x = {{"x", *Tensor::Random(DType::kF32, {1, 16, 12, 12}, {.seed = 1})}};
  const auto inner = (*session)->Run(x, {"p"}), outer = (*reference)->Run(x, {"p"});
  ASSERT_TRUE(inner.ok()) << inner.status();
  ASSERT_TRUE(outer.ok()) << outer.status();
  ASSERT_EQ((*inner)[0].dims(), (*outer)[0].dims());
  for (int64_t i = 0; i < (*inner)[0].elements(); ++i)
    ASSERT_NEAR((*inner)[0].data<float>()[i], (*outer)[0].data<float>()[i], 1e-4) << i;
}

TEST(InnerValues, AreNotThereUnlessAskedFor) {
  auto session = MakeSession(kChain, false);
  const auto r = session->Run({{"x", MakeTensor<float>({1}, {1})}}, {"b"});
  EXPECT_EQ(r.status().code(), absl::StatusCode::kNotFound);
}

TEST(InnerValues, CloseEndsTheirProgramsToo) {
  auto session = MakeSession(kChain);
  const Feeds feeds = {{"x", MakeTensor<float>({1}, {1})}};
  ASSERT_TRUE(session->Run(feeds, {"b"}).ok());
  ASSERT_TRUE(session->Close().ok());
  EXPECT_EQ(session->Run(feeds, {"b"}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(session->Run(feeds, {"c"}).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace sluice
