// Variables in versions, signatures over one State.
#include "runtime/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "graph/text.h"
#include "ops/op.h"
#include "runtime/session.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// w' = w - rate * x, twice over, so that half a version would show.
constexpr char kProgram[] = R"(graph g (%x: f32[n,2], %rate: f32[]) {
  %w = Variable {name = "w", value = f32[2] [1, 1]}
  %u = Variable {name = "u", value = f32[2] [1, 1]}
  %steps = Variable {name = "steps", value = i64[] [0]}
  %axis = Constant {value = i64[1] [0]}
  %s = ReduceSum(%x, %axis) {keepdims = 0}
  %d = Mul(%s, %rate)
  %nw = Sub(%w, %d)
  %nu = Sub(%u, %d)
  %one = Constant {value = i64[] [1]}
  %ns = Add(%steps, %one)
  %a = Assign(%w, %nw)
  %b = Assign(%u, %nu)
  %c = Assign(%steps, %ns)
  %y = Mul(%x, %w)
  %z = Mul(%x, %u)
  %loss = ReduceSum(%y, _) {keepdims = 0}
  return %loss, %y, %z
}
signature predict (x) -> (y, z)
signature train (x, rate) -> (loss) does (a, b, c)
signature count () -> () does (c)
)";

std::unique_ptr<Session> Make(const char* text, SessionOptions options = {}) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  if (!graph.ok()) return nullptr;
  options.threads = 1;
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, options);
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? *std::move(session) : nullptr;
}

float First(const Tensor& t) { return t.data<float>()[0]; }
float Read(const Session& session, const char* name) { return First(*session.ReadVariable(name)); }

const Tensor kOnes = MakeTensor<float>({1, 2}, {1, 1});
const Tensor kHalf = Tensor::Scalar<float>(0.5f);

TEST(Signatures, EachFeedsAndDoesItsOwn) {
  auto session = Make(kProgram);
  ASSERT_NE(session, nullptr);
  EXPECT_THAT(session->signatures(), ElementsAre("count", "predict", "train"));
  EXPECT_EQ(session->inputs("predict").size(), 1u);
  EXPECT_EQ(session->outputs("train").size(), 1u);
  EXPECT_TRUE(session->inputs().empty());

  auto y = session->Run("predict", {{"x", kOnes}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ(First((*y)[0]), 1);
  for (int i = 0; i < 3; ++i) {
    auto loss = session->Run("train", {{"x", kOnes}, {"rate", kHalf}});
    ASSERT_TRUE(loss.ok()) << loss.status();
    EXPECT_EQ(First((*loss)[0]), 2 * (1 - 0.5f * static_cast<float>(i)));
  }
  ASSERT_TRUE(session->Run("count", {}).ok());
  EXPECT_EQ(Read(*session, "w"), -0.5f);
  EXPECT_EQ(*session->ReadVariable("steps")->data<int64_t>(), 4);
  y = session->Run("predict", {{"x", kOnes}}, {"z"});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ(First((*y)[0]), -0.5f);

  EXPECT_THAT(session->Run({{"x", kOnes}}).status().message(), HasSubstr("several signatures"));
  EXPECT_THAT(session->Run("nope", {}).status().message(),
              HasSubstr("there are: 'count', 'predict', 'train'"));
  EXPECT_THAT(session->Run("predict", {{"x", kOnes}, {"rate", kHalf}}).status().message(),
              HasSubstr("no input 'rate'"));
}

TEST(Signatures, MustListTheInputsThatTheyNeed) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(kProgram, StandardOps());
  ASSERT_TRUE(graph.ok());
  (*graph)->signatures()["train"].inputs = {"x"};
  EXPECT_THAT(Session::Create(**graph).status().message(),
              HasSubstr("signature 'train' needs input 'rate', which it does not list"));
}

TEST(State, EffectsHappenWhateverIsFetched) {
  auto session = Make(R"(graph g (%x: f32[1]) {
  %v = Variable {name = "v", value = f32[1] [0]}
  %n = Add(%v, %x)
  %a = Assign(%v, %n)
  %y = Neg(%x)
  return %y
})");
  ASSERT_NE(session, nullptr);
  const Tensor one = MakeTensor<float>({1}, {1});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(session->Run({{"x", one}}, {"y"}).ok());
  EXPECT_EQ(Read(*session, "v"), 3);
  auto callable = session->MakeCallable({.feeds = {"x"}, .fetches = {}});
  ASSERT_TRUE(callable.ok()) << callable.status();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE((*callable)->Run({one}, {}).ok());
  EXPECT_EQ(Read(*session, "v"), 6);
}

TEST(State, AFailedRunLeavesItAsItWas) {
  auto session = Make(R"(graph g (%x: f32[2], %i: i64[1]) {
  %v = Variable {name = "v", value = f32[2] [1, 2]}
  %n = Add(%v, %x)
  %a = Assign(%v, %n)
  %y = Gather(%n, %i)
  return %y
})");
  ASSERT_NE(session, nullptr);
  const Tensor x = MakeTensor<float>({2}, {1, 1});
  const uint64_t before = session->state()->version();
  EXPECT_FALSE(session->Run({{"x", x}, {"i", MakeTensor<int64_t>({1}, {7})}}).ok());
  CancelToken cancelled;
  cancelled.Cancel();
  const Feeds good = {{"x", x}, {"i", MakeTensor<int64_t>({1}, {1})}};
  RunOptions stopped;
  stopped.cancel = &cancelled;
  EXPECT_FALSE(session->Run(good, {}, stopped).ok());
  EXPECT_EQ(session->state()->version(), before);
  EXPECT_EQ(Read(*session, "v"), 1);
  uint64_t read = 0, wrote = 0;
  RunOptions told;
  told.read_version = &read;
  told.wrote_version = &wrote;
  ASSERT_TRUE(session->Run(good, {}, told).ok());
  EXPECT_EQ(read, before);
  EXPECT_EQ(wrote, before + 1);
  EXPECT_EQ(Read(*session, "v"), 2);
}

TEST(State, SnapshotsStayAndAreRestored) {
  auto session = Make(kProgram);
  ASSERT_NE(session, nullptr);
  const StateSnapshot start = session->state()->Snapshot();
  const Feeds feeds = {{"x", kOnes}, {"rate", kHalf}};
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(session->Run("train", feeds).ok());
  EXPECT_EQ(First(start.variables[0].second), 1) << "of its version for ever";
  EXPECT_EQ(Read(*session, "w"), -1);
  auto restored = session->state()->Restore(start);
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_GT(*restored, start.version);
  EXPECT_EQ(Read(*session, "w"), 1);
  EXPECT_EQ(*session->ReadVariable("steps")->data<int64_t>(), 0);

  StateSnapshot wrong = start;
  wrong.variables[1].second = Tensor::Scalar<float>(1);
  EXPECT_THAT(session->state()->Restore(wrong).status().message(), HasSubstr("cannot take"));
  wrong.variables[1].first = "other";
  EXPECT_THAT(session->state()->Restore(wrong).status().message(),
              HasSubstr("no variable is named 'other'"));
  EXPECT_EQ(Read(*session, "w"), 1) << "all or nothing";
}

TEST(State, IsSharedByName) {
  auto trains = Make(kProgram);
  ASSERT_NE(trains, nullptr);
  auto reads = Make(R"(graph g (%x: f32[2]) {
  %w = Variable {name = "w", value = f32[2] [9, 9]}
  %more = Variable {name = "more", value = f32[2] [3, 3]}
  %y = Add(%w, %more)
  return %y
})",
                    {.state = trains->state()});
  ASSERT_NE(reads, nullptr);
  const Feeds none = {{"x", MakeTensor<float>({2}, {0, 0})}};
  EXPECT_EQ(First((*reads->Run(none))[0]), 4);
  ASSERT_TRUE(trains->Run("train", {{"x", kOnes}, {"rate", kHalf}}).ok());
  EXPECT_EQ(First((*reads->Run(none))[0]), 3.5f);
  EXPECT_EQ(trains->state()->variables().size(), 4u);

  absl::StatusOr<std::unique_ptr<Graph>> other = Parse(R"(graph g (%x: f32[3]) {
  %w = Variable {name = "w", value = f32[3] [9, 9, 9]}
  %y = Add(%w, %x)
  return %y
})",
                                                       StandardOps());
  ASSERT_TRUE(other.ok());
  EXPECT_THAT(Session::Create(**other, {.state = trains->state()}).status().message(),
              HasSubstr("is f32[3] in this program, but the state holds f32[2]"));
}

TEST(State, WhatWasFedStaysTheCallers) {
  auto session = Make(R"(graph g (%x: f32[2]) {
  %v = Variable {name = "v", value = f32[2] [1, 2]}
  %a = Assign(%v, %x)
  return %a, %v
})");
  ASSERT_NE(session, nullptr);
  Tensor x = MakeTensor<float>({2}, {5, 6});
  auto results = session->Run({{"x", x}});
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(First((*results)[1]), 1) << "as it was at the entry";
  x.mutable_data<float>()[0] = 99;
  EXPECT_EQ(Read(*session, "v"), 5);
}

// One variable's value handed on to another is a value, not its memory.
TEST(State, NoVariableLiesInAnothersMemory) {
  auto session = Make(R"(graph g (%first: bool[]) {
  %v = Variable {name = "v", value = f32[2] [7, 7]}
  %w = Variable {name = "w", value = f32[2] [0, 0]}
  %hundred = Constant {value = f32[] [100]}
  %n = If(%first) {then_branch = graph () { return %v },
                   else_branch = graph () { %m = Add(%w, %hundred) return %m }}
  %a = Assign(%w, %n)
  return %a, %v
})");
  ASSERT_NE(session, nullptr);
  for (int i = 0; i < 6; ++i) {
    auto results = session->Run({{"first", Tensor::Scalar<bool>(i == 0)}});
    ASSERT_TRUE(results.ok()) << results.status();
    EXPECT_EQ(First((*results)[0]), 7 + 100.0f * static_cast<float>(i));
    EXPECT_EQ(First((*results)[1]), 7);
    (*results)[1].mutable_data<float>()[0] = 55;  // results are the caller's
    EXPECT_EQ(Read(*session, "v"), 7);
  }
  auto swaps = Make(R"(graph g (%x: f32[1]) {
  %v = Variable {name = "v", value = f32[2] [1, 1]}
  %w = Variable {name = "w", value = f32[2] [2, 2]}
  %a = Assign(%w, %v)
  %b = Assign(%v, %w)
  return %x
})");
  ASSERT_NE(swaps, nullptr);
  const Feeds x = {{"x", MakeTensor<float>({1}, {0})}};
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(swaps->Run(x).ok());
    EXPECT_EQ(Read(*swaps, "v"), i % 2 == 1 ? 2 : 1);
    EXPECT_EQ(Read(*swaps, "w"), i % 2 == 1 ? 1 : 2);
  }
}

// Nor in a row of it, which a loop hands on.
TEST(State, NoVariableIsARowOfAnother) {
  auto session = Make(R"(graph g (%x: f32[2]) {
  %m = Variable {name = "m", value = f32[3,2] [1, 2, 3, 4, 5, 6]}
  %w = Variable {name = "w", value = f32[2] [0, 0]}
  %last = Scan(%x, %m) {num_scan_inputs = 1, body = graph (%s: f32[2], %row: f32[2]) {
    %r = Identity(%row)
    return %r
  }}
  %a = Assign(%w, %last)
  return %last
})");
  ASSERT_NE(session, nullptr);
  auto last = session->Run({{"x", MakeTensor<float>({2}, {0, 0})}});
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ((*last)[0], MakeTensor<float>({2}, {5, 6}));
  (*last)[0].mutable_data<float>()[0] = 99;
  ASSERT_TRUE(session->AssignVariable("w", MakeTensor<float>({2}, {8, 8})).ok());
  ASSERT_TRUE(session->AssignVariable("w", MakeTensor<float>({2}, {9, 9})).ok());
  EXPECT_EQ(*session->ReadVariable("m"), MakeTensor<float>({3, 2}, {1, 2, 3, 4, 5, 6}));
}

TEST(State, AValueOfAnotherTypeIsRefused) {
  auto session = Make(R"(graph g (%x: f32[n], %k: i64[1]) {
  %v = Variable {name = "v", value = f32[2] [1, 1]}
  %u = Variable {name = "u", value = f32[2] [1, 1]}
  %axis = Constant {value = i64[1] [0]}
  %s = Slice(%x, %axis, %k, %axis)
  %a = Assign(%v, %x)
  %b = Assign(%u, %s)
  return %x
})");
  ASSERT_NE(session, nullptr);
  const auto run = [&](int64_t n, int64_t k) {
    return session
        ->Run({{"x", *Tensor::Random(DType::kF32, {n}, {.seed = 1})},
               {"k", MakeTensor<int64_t>({1}, {k})}})
        .status();
  };
  EXPECT_TRUE(run(2, 2).ok()) << run(2, 2);
  const Tensor before = *session->ReadVariable("v");
  EXPECT_THAT(run(4, 2).message(), HasSubstr("f32[4]"));
  EXPECT_THAT(run(2, 1).message(), HasSubstr("'u'"));
  EXPECT_EQ(*session->ReadVariable("v"), before);
  EXPECT_TRUE(run(2, 2).ok());
}

// What an Assign gives is a value: whoever reads it reads no variable.
TEST(State, WhatIsAssignedIsReadOnce) {
  auto session = Make(R"(graph g (%x: f32[1], %n: i64[]) {
  %u = Variable {name = "u", value = f32[1] [1]}
  %w = Variable {name = "w", value = f32[1] [0]}
  %a = Assign(%w, %u)
  %y = Loop(%n, _, %x) {body = graph (%i: i64[], %c: bool[], %s: f32[1]) {
    %t = Assign(%u, %s)
    return %c, %s
  }}
  %z = Add(%a, %y)
  return %z
})");
  ASSERT_NE(session, nullptr);
  auto z = session->Run({{"x", MakeTensor<float>({1}, {10})}, {"n", Tensor::Scalar<int64_t>(1)}});
  ASSERT_TRUE(z.ok()) << z.status();
  EXPECT_EQ(First((*z)[0]), 11);
  EXPECT_EQ(Read(*session, "w"), 1);
  EXPECT_EQ(Read(*session, "u"), 10);
}

// A signature neither sees nor does what others do.
TEST(Signatures, AreAloneInTheWorld) {
  auto session = Make(R"(graph g (%x: f32[1], %b: bool[], %rate: f32[1]) {
  %v = Variable {name = "v", value = f32[1] [1]}
  %a = Assign(%v, %x)
  %y = If(%b) {then_branch = graph () { %q = Neg(%v) return %q },
               else_branch = graph () { %e = Exp(%v) return %e }} after (%a)
  %p = If(%b) {then_branch = graph () { %r = Add(%v, %rate) %d = Assign(%v, %r) return %d },
               else_branch = graph () { return %x }}  after (%a)
  %z = Neg(%p)
  return %y, %z
}
signature look (b) -> (y)
signature other (x, b, rate) -> (z) does (p)
signature see (x, b) -> (y) does (a)
)");
  ASSERT_NE(session, nullptr);
  const Tensor ten = MakeTensor<float>({1}, {10}), yes = Tensor::Scalar<bool>(true);
  EXPECT_EQ(First((*session->Run("look", {{"b", yes}}))[0]), -1);
  EXPECT_EQ(First((*session->Run("other", {{"x", ten}, {"b", yes}, {"rate", ten}}))[0]), -11);
  EXPECT_EQ(Read(*session, "v"), 11);
  EXPECT_EQ(First((*session->Run("see", {{"x", ten}, {"b", yes}}))[0]), -10);
  EXPECT_EQ(Read(*session, "v"), 10);
}

// Steps of one size take memory once for the values and once for the next ones.
TEST(State, MemoryIsUsedAgain) {
  auto session = Make(kProgram);
  ASSERT_NE(session, nullptr);
  const Feeds feeds = {{"x", kOnes}, {"rate", kHalf}};
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(session->Run("train", feeds).ok());
  const void* first = session->state()->Current()->values[0].raw();
  ASSERT_TRUE(session->Run("train", feeds).ok());
  EXPECT_NE(session->state()->Current()->values[0].raw(), first);
  ASSERT_TRUE(session->Run("train", feeds).ok());
  EXPECT_EQ(session->state()->Current()->values[0].raw(), first);
  EXPECT_EQ(session->Memory().state_bytes, 24);
  EXPECT_EQ(session->Memory().spare_bytes, 24);
}

// Adam: what one program alone touches is written in its place, and the plan says so.
constexpr char kAdam[] = R"(graph g (%x: f32[n,4], %t: f32[n,3]) {
  %w = Variable {name = "w", value = f32[4,3] {random = 1}}
  %m = Variable {name = "m", value = f32[4,3] [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]}
  %v = Variable {name = "v", value = f32[4,3] [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]}
  %y = MatMul(%x, %w)
  %e = Sub(%y, %t)
  %xt = Transpose(%x) {perm = [1, 0]}
  %g = MatMul(%xt, %e)
  %b1 = Constant {value = f32[] [0.9]}
  %c1 = Constant {value = f32[] [0.1]}
  %b2 = Constant {value = f32[] [0.99]}
  %c2 = Constant {value = f32[] [0.01]}
  %rate = Constant {value = f32[] [0.05]}
  %tiny = Constant {value = f32[] [1e-8]}
  %m1 = Mul(%m, %b1)
  %m2 = Mul(%g, %c1)
  %nm = Add(%m1, %m2)
  %gg = Mul(%g, %g)
  %v1 = Mul(%v, %b2)
  %v2 = Mul(%gg, %c2)
  %nv = Add(%v1, %v2)
  %s = Sqrt(%nv)
  %d = Add(%s, %tiny)
  %q = Div(%nm, %d)
  %u = Mul(%q, %rate)
  %nw = Sub(%w, %u)
  %aw = Assign(%w, %nw)
  %am = Assign(%m, %nm)
  %av = Assign(%v, %nv)
  %ee = Mul(%e, %e)
  %loss = ReduceSum(%ee, _) {keepdims = 0}
  return %loss
}
)";

Feeds AdamFeeds() {
  return {{"x", *Tensor::Random(DType::kF32, {6, 4}, {.seed = 5})},
          {"t", *Tensor::Random(DType::kF32, {6, 3}, {.seed = 6})}};
}

TEST(State, WhatOneProgramTouchesIsWrittenInItsPlace) {
  auto session = Make(kAdam);
  ASSERT_NE(session, nullptr);
  const Feeds feeds = AdamFeeds();
  const std::string plan = *session->PlanText(feeds);
  for (int i : {2, 3, 4})
    EXPECT_THAT(plan, HasSubstr(absl::StrCat("in place of input ", i))) << plan;
  ASSERT_TRUE(session->Run(feeds).ok());  // out of what the graph holds
  const auto places = [&] {
    std::vector<const void*> places;
    for (const Tensor& t : session->state()->Current()->values) places.push_back(t.raw());
    return places;
  };
  const std::vector<const void*> first = places();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(session->Run(feeds).ok());
  EXPECT_EQ(places(), first);
  EXPECT_EQ(session->Memory().spare_bytes, 0);

  // A snapshot keeps its version: the next step goes elsewhere, those behind it stay there.
  const StateSnapshot snapshot = session->state()->Snapshot();
  const float before = First(snapshot.variables[0].second);
  ASSERT_TRUE(session->Run(feeds).ok());
  EXPECT_NE(places(), first);
  EXPECT_EQ(First(snapshot.variables[0].second), before);
  EXPECT_NE(Read(*session, "w"), before);
  const std::vector<const void*> second = places();
  ASSERT_TRUE(session->Run(feeds).ok());
  EXPECT_EQ(places(), second);

  // Another program reads the weights: theirs are exchanged, the optimiser's stay in place.
  auto reader = Make(R"(graph g (%x: f32[n,4]) {
  %w = Variable {name = "w", value = f32[4,3] {random = 1}}
  %y = MatMul(%x, %w)
  return %y
})",
                     {.state = session->state()});
  ASSERT_NE(reader, nullptr);
  ASSERT_TRUE(session->Run(feeds).ok());
  EXPECT_NE(places()[0], second[0]);
  EXPECT_EQ(places()[1], second[1]);
  EXPECT_EQ(places()[2], second[2]);
  reader.reset();
  const std::vector<const void*> third = places();
  ASSERT_TRUE(session->Run(feeds).ok());
  EXPECT_EQ(places(), third);
}

// In place or beside, the numbers are the same, and those of a straight computation.
TEST(State, StepsInPlaceGiveTheSameNumbers) {
  auto in_place = Make(kAdam), beside = Make(kAdam);
  const Feeds feeds = AdamFeeds();
  const float* x = feeds[0].second.data<float>();
  const float* t = feeds[1].second.data<float>();
  const Tensor start = *in_place->ReadVariable("w");
  std::vector<double> w(start.data<float>(), start.data<float>() + 12), m(12, 0), v(12, 0);
  for (int step = 0; step < 50; ++step) {
    const StateSnapshot held = beside->state()->Snapshot();
    ASSERT_TRUE(in_place->Run(feeds).ok());
    ASSERT_TRUE(beside->Run(feeds).ok());
    std::vector<double> g(12, 0);
    for (int r = 0; r < 6; ++r) {
      for (int c = 0; c < 3; ++c) {
        double e = -t[r * 3 + c];
        for (int k = 0; k < 4; ++k) e += x[r * 4 + k] * w[k * 3 + c];
        for (int k = 0; k < 4; ++k) g[k * 3 + c] += x[r * 4 + k] * e;
      }
    }
    for (int i = 0; i < 12; ++i) {
      m[i] = 0.9 * m[i] + 0.1 * g[i];
      v[i] = 0.99 * v[i] + 0.01 * g[i] * g[i];
      w[i] -= 0.05 * m[i] / (std::sqrt(v[i]) + 1e-8);
    }
  }
  const Tensor got = *in_place->ReadVariable("w");
  EXPECT_EQ(got, *beside->ReadVariable("w"));
  for (int i = 0; i < 12; ++i) EXPECT_NEAR(got.data<float>()[i], w[i], 2e-5) << i;
}

// Wherever a step is stopped, nothing of it is there.
TEST(State, AStepThatIsStoppedLeavesEveryByte) {
  auto session = Make(kAdam);
  ASSERT_NE(session, nullptr);
  const Feeds feeds = AdamFeeds();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(session->Run(feeds).ok());
  int stopped = 0;
  for (int microseconds = 0; microseconds < 200; ++microseconds) {
    std::vector<Tensor> before;
    for (const char* name : {"w", "m", "v"}) before.push_back(*session->ReadVariable(name));
    const uint64_t version = session->state()->version();
    RunOptions options;
    options.deadline = absl::Now() + absl::Microseconds(microseconds % 40);
    const bool ran = session->Run(feeds, {}, options).ok();
    EXPECT_EQ(session->state()->version(), version + (ran ? 1 : 0));
    stopped += ran ? 0 : 1;
    size_t same = 0;
    for (size_t i = 0; i < 3; ++i)
      same += before[i] == *session->ReadVariable(std::vector<const char*>{"w", "m", "v"}[i]);
    EXPECT_EQ(same, ran ? 0u : 3u);
  }
  EXPECT_GT(stopped, 0);
}

// Readers, a trainer and one who swaps at once: each answer is wholly of the version that its run
// reports.
TEST(State, EveryRunSeesOneVersion) {
  auto session = Make(kProgram);
  ASSERT_NE(session, nullptr);
  std::mutex mutex;
  std::map<uint64_t, float> value_of;  // by version
  value_of[session->state()->version()] = 1;
  const auto note = [&](uint64_t version, float value) {
    std::lock_guard<std::mutex> lock(mutex);
    value_of[version] = value;
  };
  struct Seen {
    uint64_t version;
    float value;
  };
  constexpr int kReaders = 8, kSwaps = 10000;
  std::atomic<bool> stop{false};
  std::vector<std::vector<Seen>> seen(kReaders);
  std::atomic<int> torn{0}, failed{0};
  std::vector<std::thread> threads;
  for (int r = 0; r < kReaders; ++r) {
    threads.emplace_back([&, r] {
      while (!stop.load()) {
        RunOptions options;
        uint64_t version = 0;
        options.read_version = &version;
        auto y = session->Run("predict", {{"x", kOnes}}, {}, options);
        if (!y.ok()) {
          ++failed;
          return;
        }
        const float* w = (*y)[0].data<float>();
        const float* u = (*y)[1].data<float>();
        if (w[0] != w[1] || w[0] != u[0] || w[0] != u[1]) ++torn;
        if (seen[r].size() < 20000) seen[r].push_back({version, w[0]});
      }
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < kSwaps; ++i) {
      const float k = static_cast<float>(i % 512);
      const Tensor t = MakeTensor<float>({2}, {k, k});
      auto version = session->state()->Write({{"w", t}, {"u", t}});
      if (!version.ok()) ++failed;
      if (version.ok()) note(*version, k);
    }
    stop = true;
  });
  threads.emplace_back([&] {
    while (!stop.load()) {
      RunOptions options;
      uint64_t read = 0, wrote = 0;
      options.read_version = &read;
      options.wrote_version = &wrote;
      auto loss = session->Run("train", {{"x", kOnes}, {"rate", kHalf}}, {}, options);
      if (!loss.ok()) {
        ++failed;
        return;
      }
      note(wrote, First((*loss)[0]) / 2 - 0.5f);
    }
  });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(torn.load(), 0);
  EXPECT_EQ(failed.load(), 0);
  int64_t compared = 0;
  for (const std::vector<Seen>& all : seen) {
    for (const Seen& s : all) {
      auto it = value_of.find(s.version);
      ASSERT_NE(it, value_of.end()) << s.version;
      EXPECT_EQ(it->second, s.value) << "version " << s.version;
      ++compared;
    }
  }
  EXPECT_GT(compared, 0);
}

TEST(Training, IsWhatTheSignatureSays) {
  constexpr char kText[] = R"(graph g (%x: f32[n]) {
  %v = Variable {name = "v", value = f32[] [1]}
  %t = Training() : bool[]
  %y = If(%t) {else_branch = graph () {
    %n = Neg(%x)
    return %n
  }, then_branch = graph () {
    %p = Mul(%x, %v)
    return %p
  }}
  %a = Assign(%v, %v)
  return %y
}

signature predict (x) -> (y)
signature train (x) -> (y) does (a) training
)";
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(kText, StandardOps());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(Print(**graph), HasSubstr("signature train (x) -> (y) does (a) training\n"));
  auto session = Make(kText);
  ASSERT_NE(session, nullptr);
  const Feeds feeds = {{"x", MakeTensor<float>({1}, {3})}};
  for (const auto& [signature, expected] :
       {std::pair("predict", -3.0f), std::pair("train", 3.0f)}) {
    auto result = session->Run(signature, feeds);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(First((*result)[0]), expected);
    auto plan = session->PlanText(feeds, signature);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_THAT(*plan, testing::Not(HasSubstr("If"))) << signature;
  }
  // Without signatures nothing trains.
  (*graph)->signatures().clear();
  SessionOptions options;
  auto whole = Session::Create(**graph, options);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(First((*(*whole)->Run(feeds))[0]), -3);
}

}  // namespace
}  // namespace sluice
