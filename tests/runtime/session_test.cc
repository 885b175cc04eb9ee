#include "runtime/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <thread>

#include "absl/strings/str_cat.h"
#include "sluice.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::unique_ptr<Graph> MakeGraph(absl::string_view text) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? *std::move(graph) : nullptr;
}

std::unique_ptr<Session> MakeSession(absl::string_view text,
                                     SessionOptions options = {.threads = 2}) {
  std::unique_ptr<Graph> graph = MakeGraph(text);
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(*graph, std::move(options));
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? *std::move(session) : nullptr;
}

std::vector<float> Floats(const Tensor& t) {
  return {t.data<float>(), t.data<float>() + t.elements()};
}

constexpr absl::string_view kAffine = R"(
graph affine (%x: f32[batch,3]) {
  %w = Constant {value = f32[3,2] [1, 2, 3, 4, 5, 6]}
  %b = Constant {value = f32[2] [10, 20]}
  %m = MatMul(%x, %w)
  %y = Add(%m, %b)
  %z = Relu(%y)
  return %z, %m as "product"
}
)";

TEST(Session, RunsForFetchesByName) {
  auto session = MakeSession(kAffine);
  const Tensor x = MakeTensor<float>({1, 3}, {1, 0, -1});
  auto all = session->Run({{"x", x}});
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 2u);
  EXPECT_THAT(Floats((*all)[0]), testing::ElementsAre(6, 16));
  EXPECT_THAT(Floats((*all)[1]), testing::ElementsAre(-4, -4));
  auto one = session->Run({{"x", x}}, {"product"});
  ASSERT_TRUE(one.ok()) << one.status();
  ASSERT_EQ(one->size(), 1u);
  EXPECT_THAT(Floats((*one)[0]), testing::ElementsAre(-4, -4));
}

TEST(Session, WritesPreallocatedOutputsInPlace) {
  auto session = MakeSession(kAffine);
  Tensor out = MakeTensor<float>({1, 2}, {0, 0});
  RunOptions options;
  options.outputs = {out};
  auto result = session->Run({{"x", MakeTensor<float>({1, 3}, {1, 0, -1})}}, {"z"}, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((*result)[0].raw(), out.raw());
  EXPECT_THAT(Floats(out), testing::ElementsAre(6, 16));
  options.outputs = {MakeTensor<float>({2, 2}, {0, 0, 0, 0})};
  EXPECT_THAT(
      std::string(session->Run({{"x", MakeTensor<float>({1, 3}, {1, 0, -1})}}, {"z"}, options)
                      .status()
                      .message()),
      HasSubstr("f32[1,2]"));
}

TEST(Session, ErrorsOfFeedsSayWhatWasExpected) {
  auto session = MakeSession(kAffine);
  auto message = [&](const Feeds& feeds, absl::Span<const std::string> fetches = {}) {
    auto r = session->Run(feeds, fetches);
    EXPECT_FALSE(r.ok());
    return std::string(r.status().message());
  };
  EXPECT_THAT(message({}), HasSubstr("input 'x' of type f32[batch,3] is not fed"));
  EXPECT_THAT(message({{"y", Tensor()}}), HasSubstr("its inputs are: 'x'"));
  EXPECT_THAT(message({{"x", MakeTensor<float>({1, 4}, {1, 2, 3, 4})}}),
              HasSubstr("dimension 1 is 4, expected 3"));
  EXPECT_THAT(message({{"x", MakeTensor<double>({1, 3}, {1, 2, 3})}}), HasSubstr("expected f32"));
  const std::string unknown = "nope";
  EXPECT_THAT(message({{"x", MakeTensor<float>({1, 3}, {1, 2, 3})}}, absl::MakeSpan(&unknown, 1)),
              HasSubstr("its outputs are: 'z', 'product'"));
}

TEST(Session, OneSymbolIsOneNumber) {
  auto session =
      MakeSession("graph g (%a: f32[n], %b: f32[n]) {\n  %c = Add(%a, %b)\n  return %c\n}\n");
  auto r = session->Run(
      {{"a", MakeTensor<float>({2}, {1, 2})}, {"b", MakeTensor<float>({3}, {1, 2, 3})}});
  EXPECT_THAT(std::string(r.status().message()), HasSubstr("'n' is 2"));
}

TEST(Session, DataErrorsCarryNodeShapesOriginAndHint) {
  auto session =
      MakeSession("graph g (%x: f32[3,2], %i: i64[n]) {\n  %y = Gather(%x, %i)\n  return %y\n}\n");
  auto r = session->Run({{"x", MakeTensor<float>({3, 2}, {1, 2, 3, 4, 5, 6})},
                         {"i", MakeTensor<int64_t>({2}, {0, 7})}});
  ASSERT_FALSE(r.ok());
  const std::string text(r.status().message());
  EXPECT_THAT(text, HasSubstr("7"));
  EXPECT_THAT(text, HasSubstr("%y = Gather(%x, %i)"));
  EXPECT_THAT(text, HasSubstr("inputs were f32[3,2], i64[2]"));
  EXPECT_THAT(text, HasSubstr("hint: "));
  // The same for programs.
  const std::optional<ErrorDetails> details = DetailsOf(r.status());
  ASSERT_TRUE(details.has_value());
  EXPECT_EQ(details->node, "y");
  EXPECT_EQ(details->op, "Gather");
  EXPECT_THAT(details->hint, HasSubstr("check the values that are fed"));
  EXPECT_FALSE(DetailsOf(session->Run({}).status()).has_value());
}

TEST(Session, DetailsOutliveWhatIsSaidAroundThem) {
  auto text =
      Parse("graph g (%x: f32[2,3]) {\n  %y = MatMul(%x, %x)\n  return %y\n}\n", StandardOps());
  ASSERT_TRUE(DetailsOf(text.status()).has_value()) << text.status();
  EXPECT_EQ(DetailsOf(text.status())->op, "MatMul");
}

TEST(Session, DetailsAreThoseOfTheBodysNode) {
  auto session = MakeSession(R"(graph g (%c: bool[], %x: f32[3], %i: i64[n]) {
  %y = If(%c) {else_branch = graph () {
    return %x
  }, then_branch = graph () {
    %inner = Gather(%x, %i)
    return %inner
  }}
  return %y
})");
  auto r = session->Run({{"c", Tensor::Scalar<bool>(true)},
                         {"x", MakeTensor<float>({3}, {1, 2, 3})},
                         {"i", MakeTensor<int64_t>({1}, {9})}});
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(DetailsOf(r.status())->node, "inner");
}

TEST(Session, DataDependentShapesFlowOn) {
  auto session = MakeSession(R"(
graph g (%x: f32[n]) {
  %i = NonZero(%x)
  %t = Transpose(%i)
  %v = GatherND(%x, %t)
  %s = ReduceSum(%v)
  return %v, %s
}
)");
  for (const std::vector<float>& values :
       {std::vector<float>{0, 2, 0, 3}, {1, 0, 0, 0}, {0, 0, 0, 0}}) {
    auto r = session->Run({{"x", MakeTensor<float>({4}, values)}});
    ASSERT_TRUE(r.ok()) << r.status();
    std::vector<float> kept;
    float sum = 0;
    for (float v : values) {
      if (v != 0) kept.push_back(v);
      sum += v;
    }
    EXPECT_EQ(Floats((*r)[0]), kept);
    EXPECT_EQ(Floats((*r)[1])[0], sum);
  }
}

TEST(Session, LoopAndIfRunTheirBodies) {
  auto session = MakeSession(R"(
graph g (%n: i64[], %x: f32[2]) {
  %go = Constant {value = bool[] [true]}
  %r, %all = Loop(%n, %go, %x) {body = graph body (%i: i64[], %c: bool[], %s: f32[2]) {
    %t = Add(%s, %x)
    %limit = Constant {value = f32[] [100]}
    %sum = ReduceSum(%t) {keepdims = 0}
    %more = Less(%sum, %limit)
    return %more, %t, %sum
  }}
  return %r, %all
}
)");
  ASSERT_NE(session, nullptr);
  auto r = session->Run({{"n", Tensor::Scalar<int64_t>(3)}, {"x", MakeTensor<float>({2}, {1, 2})}});
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_THAT(Floats((*r)[0]), testing::ElementsAre(4, 8));
  EXPECT_THAT(Floats((*r)[1]), testing::ElementsAre(6, 9, 12));
}

TEST(Session, VariablesKeepTheirStateBetweenRuns) {
  Graph graph(StandardOps());
  GraphBuilder g(&graph);
  Value* count = g.Variable("count", MakeTensor<float>({1}, {0}));
  Value* step = g.Input("step", Type::Tensor(DType::kF32, absl::Span<const int64_t>({1})));
  g.Output(g.Op("Assign", {count, ops::Add(g, count, step)}), "updated");
  ASSERT_TRUE(g.status().ok()) << g.status();
  auto session = Session::Create(graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  for (int i = 1; i <= 3; ++i) {
    auto r = (*session)->Run({{"step", MakeTensor<float>({1}, {2})}});
    ASSERT_TRUE(r.ok()) << r.status();
    EXPECT_EQ(Floats((*r)[0])[0], 2 * i);
  }
  EXPECT_EQ(Floats(*(*session)->ReadVariable("count"))[0], 6);
  ASSERT_TRUE((*session)->AssignVariable("count", MakeTensor<float>({1}, {-1})).ok());
  EXPECT_EQ(Floats(*(*session)->ReadVariable("count"))[0], -1);
}

TEST(Session, BodiesReadAndAssignVariables) {
  auto session = MakeSession(R"(
graph g (%n: i64[], %x: f32[1]) {
  %v = Variable {name = "v", value = f32[1] [1.0]}
  %count = Variable {name = "count", value = i64[] [0]}
  %one = Constant {value = i64[] [1]}
  %more = Constant {value = bool[] [true]}
  %start, %seen = Loop(%n, %more, %v) {body = graph (%i: i64[], %c: bool[], %before: f32[1]) {
    %t = Add(%v, %x)
    %w = Assign(%v, %t)
    %next = Add(%count, %one)
    %counted = Assign(%count, %next)
    %sum = Add(%before, %w)
    return %c, %before, %sum
  }}
  %rest = Add(%v, %start)
  return %start, %seen, %rest
})");
  ASSERT_NE(session, nullptr);
  const Feeds feeds = {{"n", Tensor::Scalar<int64_t>(3)}, {"x", MakeTensor<float>({1}, {2})}};
  for (float first : {1.0f, 7.0f}) {  // the state goes on from run to run
    auto r = session->Run(feeds);
    ASSERT_TRUE(r.ok()) << r.status();
    EXPECT_THAT(Floats((*r)[0]), testing::ElementsAre(first)) << "as it was when the loop began";
    EXPECT_THAT(Floats((*r)[1]), testing::ElementsAre(2 * first + 2, 2 * first + 4, 2 * first + 6));
    EXPECT_THAT(Floats((*r)[2]), testing::ElementsAre(2 * first + 6));
  }
  EXPECT_EQ(*session->ReadVariable("count")->data<int64_t>(), 6) << "no result depends on it";
}

TEST(Session, OneBranchAssignsAndNestedBodiesReachTheVariable) {
  auto session = MakeSession(R"(
graph g (%b: bool[], %x: f32[1]) {
  %v = Variable {name = "v", value = f32[1] [1.0]}
  %y = If(%b) {then_branch = graph () {
    %inner = If(%b) {then_branch = graph () { %p = Assign(%v, %x) %q = Neg(%p) return %q },
                     else_branch = graph () { return %v }}
    return %inner
  }, else_branch = graph () { %z = Identity(%v) return %z }}
  return %y
})");
  ASSERT_NE(session, nullptr);
  auto run = [&](bool b, float x) {
    auto r = session->Run({{"b", Tensor::Scalar<bool>(b)}, {"x", MakeTensor<float>({1}, {x})}});
    EXPECT_TRUE(r.ok()) << r.status();
    return r.ok() ? *(*r)[0].data<float>() : 0;
  };
  EXPECT_EQ(run(false, 5), 1);
  EXPECT_EQ(run(true, 5), -5);
  EXPECT_EQ(run(false, 9), 5);
}

TEST(Session, WhatAssignReturnsIsTheValueNotTheVariable) {
  auto session = MakeSession(R"(
graph g (%x: f32[1], %y: f32[1]) {
  %v = Variable {name = "v", value = f32[1] [1.0]}
  %u = Variable {name = "u", value = f32[1] [2.0]}
  %a = Assign(%v, %x)
  %sum = Add(%x, %y)
  %b = Assign(%v, %sum) after (%a)
  %c = Assign(%v, %u) after (%b)
  %d = Assign(%u, %a) after (%c)
  %late = Add(%a, %b) after (%d)
  return %a, %b, %c, %d, %late
})");
  ASSERT_NE(session, nullptr);
  auto r = session->Run({{"x", MakeTensor<float>({1}, {10})}, {"y", MakeTensor<float>({1}, {20})}});
  ASSERT_TRUE(r.ok()) << r.status();
  const float expected[] = {10, 30, 2, 10, 40};
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(*(*r)[i].data<float>(), expected[i]) << i;
  EXPECT_EQ(*session->ReadVariable("v")->data<float>(), 2);
  EXPECT_EQ(*session->ReadVariable("u")->data<float>(), 10);
}

TEST(Session, CancellationAndDeadlineStopAnEndlessLoop) {
  auto session = MakeSession(R"(
graph g (%x: f32[1]) {
  %go = Constant {value = bool[] [true]}
  %r = Loop(_, %go, %x) {body = graph body (%i: i64[], %c: bool[], %s: f32[1]) {
    %t = Add(%s, %x)
    %same = Identity(%c)
    return %same, %t
  }}
  return %r
}
)");
  RunOptions options;
  options.deadline = absl::Now() + absl::Milliseconds(50);
  EXPECT_EQ(session->Run({{"x", MakeTensor<float>({1}, {1})}}, {"r"}, options).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  CancelToken token;
  RunOptions cancelled;
  cancelled.cancel = &token;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    token.Cancel();
  });
  EXPECT_EQ(session->Run({{"x", MakeTensor<float>({1}, {1})}}, {"r"}, cancelled).status().code(),
            absl::StatusCode::kCancelled);
  canceller.join();
}

TEST(Session, ManyThreadsRunOneSession) {
  auto session = MakeSession(kAffine);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const int64_t batch = 1 + (t + i) % 3;
        std::vector<float> x(static_cast<size_t>(batch) * 3, static_cast<float>(t));
        auto r = session->Run({{"x", MakeTensor<float>({batch, 3}, x)}}, {"z"});
        if (!r.ok() || (*r)[0].data<float>()[0] != 9.f * t + 10) ++wrong;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST(Session, PlansForVaryingShapesAreBounded) {
  auto session = MakeSession(kAffine, {.threads = 1, .max_plans = 4});
  for (int64_t batch = 1; batch <= 40; ++batch) {
    std::vector<float> x(static_cast<size_t>(batch) * 3, 1.f);
    ASSERT_TRUE(session->Run({{"x", MakeTensor<float>({batch, 3}, x)}}).ok());
    EXPECT_LE(session->Memory().plans, 4);
  }
}

// Megabytes of this process in memory now.
double ResidentMegabytes() {
  double pages = 0;
  if (std::FILE* f = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(f, "%*s %lf", &pages) != 1) pages = 0;
    std::fclose(f);
  }
  return pages * 4096 / 1048576;
}

TEST(Session, AThousandSequenceLengthsLeaveMemoryFlat) {
  auto session = MakeSession(R"(
graph attend (%tokens: f32[batch,seq,32]) {
  %w = Constant {value = f32[32,32] {random = 1, scale = 0.1}}
  %q = MatMul(%tokens, %w)
  %kt = Transpose(%tokens) {perm = [0, 2, 1]}
  %scores = MatMul(%q, %kt)
  %p = Softmax(%scores)
  %mixed = MatMul(%p, %tokens)
  %y = Relu(%mixed)
  return %y
}
)",
                             {.threads = 1});
  double settled = 0;
  std::printf("runs with different lengths, MB resident:");
  for (int64_t i = 0; i < 1000; ++i) {
    const int64_t length = 1 + (i * 37) % 1000;  // each of 1..1000 once, in no order
    auto r = session->Run({{"tokens", *Tensor::Random(DType::kF32, {1, length, 32}, {.seed = 5})}});
    ASSERT_TRUE(r.ok()) << r.status();
    ASSERT_EQ((*r)[0].dims()[1], length);
    if (i == 199) settled = ResidentMegabytes();
    if (i % 100 == 99) std::printf(" %s: %.0f", absl::StrCat(i + 1).c_str(), ResidentMegabytes());
  }
  std::printf("\n");
  EXPECT_LE(session->Memory().plans, 16);
#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
  // Sanitizers keep freed memory aside.
  if (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)) {
    EXPECT_LT(ResidentMegabytes(), settled + 48);
  }
}

TEST(Session, CallableReusesItsMemoryAndFollowsShapes) {
  auto session = MakeSession(kAffine);
  auto call = session->MakeCallable({.feeds = {"x"}, .fetches = {"z"}});
  ASSERT_TRUE(call.ok()) << call.status();
  const void* memory = nullptr;
  for (int i = 0; i < 3; ++i) {
    Tensor out;
    ASSERT_TRUE(
        (*call)->Run({MakeTensor<float>({1, 3}, {1, 0, -1})}, absl::MakeSpan(&out, 1)).ok());
    EXPECT_THAT(Floats(out), testing::ElementsAre(6, 16));
    if (i > 0) EXPECT_EQ(out.raw(), memory);
    memory = out.raw();
  }
  Tensor out;
  ASSERT_TRUE(
      (*call)->Run({MakeTensor<float>({2, 3}, {1, 0, -1, 0, 0, 0})}, absl::MakeSpan(&out, 1)).ok());
  EXPECT_THAT(Floats(out), testing::ElementsAre(6, 16, 10, 20));
}

TEST(Session, ACallableNeverWritesMemoryGivenToAnEarlierCall) {
  auto session = MakeSession(kAffine);
  auto call = session->MakeCallable({.feeds = {"x"}, .fetches = {"z"}});
  ASSERT_TRUE(call.ok()) << call.status();
  Tensor given = MakeTensor<float>({1, 2}, {0, 0});
  ASSERT_TRUE(
      (*call)->Run({MakeTensor<float>({1, 3}, {1, 0, -1})}, absl::MakeSpan(&given, 1)).ok());
  Tensor fresh;
  ASSERT_TRUE((*call)->Run({MakeTensor<float>({1, 3}, {0, 0, 0})}, absl::MakeSpan(&fresh, 1)).ok());
  EXPECT_THAT(Floats(given), testing::ElementsAre(6, 16));
  EXPECT_THAT(Floats(fresh), testing::ElementsAre(10, 20));
}

TEST(Session, MemoryLimitNamesTheFullestPlace) {
  auto session = MakeSession(
      "graph g (%x: f32[n]) {\n  %a = Exp(%x)\n  %b = Add(%a, %x)\n  %c = Mul(%b, %a)\n  %d = "
      "Exp(%c)\n  return %d\n}\n",
      {.threads = 1, .memory_limit = 1000});
  std::vector<float> x(10000, 1.f);
  auto r = session->Run({{"x", MakeTensor<float>({10000}, x)}});
  EXPECT_EQ(r.status().code(), absl::StatusCode::kResourceExhausted) << r.status();
}

TEST(Session, ResultsOutliveTheSession) {
  std::vector<Tensor> results;
  {
    auto session = MakeSession(kAffine);
    results = *session->Run({{"x", MakeTensor<float>({1, 3}, {1, 0, -1})}});
    ASSERT_TRUE(session->Close().ok());
    EXPECT_EQ(session->Run({{"x", MakeTensor<float>({1, 3}, {1, 0, -1})}}).status().code(),
              absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_THAT(Floats(results[0]), testing::ElementsAre(6, 16));
}

TEST(Session, OutputsThatAreInputsConstantsOrTheSameTwice) {
  auto session = MakeSession(R"(
graph g (%x: f32[2]) {
  %c = Constant {value = f32[1] [5]}
  %y = Relu(%x)
  return %x, %c, %y as "once", %y as "twice"
}
)");
  auto r = session->Run({{"x", MakeTensor<float>({2}, {-1, 1})}});
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_THAT(Floats((*r)[0]), testing::ElementsAre(-1, 1));
  EXPECT_THAT(Floats((*r)[1]), testing::ElementsAre(5));
  EXPECT_THAT(Floats((*r)[2]), testing::ElementsAre(0, 1));
  EXPECT_THAT(Floats((*r)[3]), testing::ElementsAre(0, 1));
}

TEST(Session, AViewOfAFetchedValueIsFetchedToo) {
  SessionOptions options{.threads = 1};
  options.passes.enabled = false;
  auto session = MakeSession(R"(
graph g (%x: f32[2]) {
  %y = Relu(%x)
  %z = Identity(%y)
  return %y, %z
}
)",
                             std::move(options));
  auto r = session->Run({{"x", MakeTensor<float>({2}, {-1, 1})}});
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_THAT(Floats((*r)[0]), testing::ElementsAre(0, 1));
  EXPECT_THAT(Floats((*r)[1]), testing::ElementsAre(0, 1));
}

TEST(Session, ProfileNamesSourceNodes) {
  auto session = MakeSession(kAffine);
  Profile profile;
  RunOptions options;
  options.profile = &profile;
  ASSERT_TRUE(session->Run({{"x", MakeTensor<float>({1, 3}, {1, 0, -1})}}, {"z"}, options).ok());
  ASSERT_FALSE(profile.events.empty());
  EXPECT_THAT(profile.ToChromeTrace(), HasSubstr("traceEvents"));
}

TEST(Plan, TextShowsPlacesAndReuse) {
  SessionOptions options{.threads = 1};
  options.passes.enabled = false;
  auto session = MakeSession(R"(
graph g (%x: f32[4,4]) {
  %shape = Constant {value = i64[1] [16]}
  %a = Exp(%x)
  %b = Exp(%a)
  %s = Reshape(%b, %shape)
  return %s
}
)",
                             std::move(options));
  auto text = session->PlanText({{"x", *Tensor::Random(DType::kF32, {4, 4}, {.seed = 1})}});
  ASSERT_TRUE(text.ok()) << text.status();
  // Exp works in place, Reshape is a view: one buffer, which is the result's own.
  EXPECT_THAT(*text, HasSubstr("arena 0 bytes"));
  EXPECT_THAT(*text, HasSubstr("%b output 0: f32[4,4] = Exp(%a output 0)"));
}

constexpr char kProduct[] = R"(graph g (%x: f32[n,64]) {
  %w = Constant {value = f32[64,64] {random = 1}}
  %y = MatMul(%x, %w)
  return %y
})";

TEST(Session, PreparesByTypesAlone) {
  auto graph = Parse(kProduct, StandardOps());
  ASSERT_TRUE(graph.ok()) << graph.status();
  auto session = Session::Create(**graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  const auto prepare = [&](const char* name, const char* type) {
    return (*session)->Prepare({{name, *Type::Parse(type)}});
  };
  // So large that nobody could fill it.
  ASSERT_TRUE(prepare("x", "f32[1000000000,64]").ok());
  ASSERT_TRUE(prepare("x", "f32[3,64]").ok());
  EXPECT_EQ((*session)->Memory().plans, 2);
  ASSERT_TRUE((*session)->Run({{"x", *Tensor::Random(DType::kF32, {3, 64}, {.seed = 1})}}).ok());
  EXPECT_EQ((*session)->Memory().plans, 2);
  EXPECT_THAT(prepare("x", "f32[n,64]").message(), HasSubstr("its extents must be numbers"));
  EXPECT_THAT(prepare("x", "f32[3,65]").message(), HasSubstr("dimension 1 is 65, expected 64"));
  EXPECT_THAT(prepare("z", "f32[3,64]").message(), HasSubstr("no input 'z'"));
}

TEST(Session, ThreadsThatWantOnePlanMakeItOnce) {
  auto graph = Parse(kProduct, StandardOps());
  ASSERT_TRUE(graph.ok()) << graph.status();
  auto session = Session::Create(**graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  const Tensor x = *Tensor::Random(DType::kF32, {16, 64}, {.seed = 1});
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] { EXPECT_TRUE((*session)->Run({{"x", x}}).ok()); });
  for (std::thread& t : threads) t.join();
  EXPECT_THAT((*session)->Explain(), HasSubstr("1 made, 0 shared"));
}

TEST(Session, LogTellsEachNewShapeOnce) {
  std::vector<std::string> lines;
  auto session = MakeSession(
      kAffine, {.threads = 1, .log = [&](absl::string_view line) { lines.emplace_back(line); }});
  const auto shapes = [&] {
    return std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
      return line.rfind("specialised for (f32[", 0) == 0;
    });
  };
  EXPECT_EQ(shapes(), 0);
  for (int64_t batch : {1, 2, 1, 2, 2}) {
    std::vector<float> x(static_cast<size_t>(batch) * 3, 1.f);
    ASSERT_TRUE(session->Run({{"x", MakeTensor<float>({batch, 3}, x)}}).ok());
  }
  EXPECT_EQ(shapes(), 2);
  EXPECT_THAT(lines.back(),
              testing::MatchesRegex("specialised for \\(f32\\[2,3\\]\\): .* ms, arena .* bytes"));
}

// A burst of runs leaves no more frames behind than the runs since have wanted at once.
TEST(Session, FramesBeyondTheRecentMostAreGivenBack) {
  auto session = MakeSession(kProduct, {.threads = 1});
  const Tensor x = *Tensor::Random(DType::kF32, {64, 64}, {.seed = 1});
  const auto burst = [&](int threads) {
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&] {
        for (int i = 0; i < 20; ++i) EXPECT_TRUE(session->Run({{"x", x}}).ok());
      });
    }
    for (std::thread& t : all) t.join();
  };
  for (int tries = 0; tries < 50 && session->Memory().frames < 2; ++tries) burst(8);
  EXPECT_GE(session->Memory().frames, 2);
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(session->Run({{"x", x}}).ok());
  EXPECT_EQ(session->Memory().frames, 1);
}

// The plans of a program share what bodies pack, as what it packs itself.
TEST(Session, BodiesPackTheirWeightsOnceForAllPlans) {
  auto session = MakeSession(R"(graph g (%x: f32[n,64]) {
  %three = Constant {value = i64[] [3]}
  %y = Loop(%three, _, %x) {body = graph (%i: i64[], %more: bool[], %s: f32[n,64]) {
    %w = Constant {value = f32[64,64] {random = 1, scale = 0.1}}
    %z = MatMul(%s, %w)
    return %more, %z
  }}
  return %y
})");
  const auto run = [&](int64_t n) {
    ASSERT_TRUE(session->Run({{"x", *Tensor::Random(DType::kF32, {n, 64}, {.seed = 1})}}).ok());
  };
  run(32);
  const int64_t packed = session->Memory().packed_bytes;
  EXPECT_GT(packed, 0);
  run(48);
  EXPECT_EQ(session->Memory().packed_bytes, packed);
  EXPECT_THAT(session->Explain(), HasSubstr("1 made, 1 shared"));
}

TEST(Version, IsTheHeadersAndTheLibrarys) { EXPECT_STREQ(Version(), SLUICE_VERSION); }

}  // namespace
}  // namespace sluice
