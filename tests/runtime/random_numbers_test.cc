// Random numbers are values: of a seed, a run, a node's name and place, and an element's index.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "graph/default_inputs.h"
#include "graph/text.h"
#include "ops/loop_space.h"
#include "ops/op.h"
#include "passes/add_gradients.h"
#include "runtime/session.h"
#include "tests/testing/reopened.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::unique_ptr<Graph> Read(const std::string& text) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? *std::move(graph) : nullptr;
}

std::unique_ptr<Session> Make(const Graph& graph, SessionOptions options = {.seed = 5}) {
  if (options.threads == 0) options.threads = 1;
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(graph, options);
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? *std::move(session) : nullptr;
}

std::vector<Tensor> Results(Session& session, const Feeds& feeds, RunOptions options = {}) {
  absl::StatusOr<std::vector<Tensor>> results = session.Run(feeds, {}, options);
  EXPECT_TRUE(results.ok()) << results.status();
  return results.ok() ? *std::move(results) : std::vector<Tensor>();
}

std::vector<Tensor> RunOnce(const Graph& graph, const Feeds& feeds,
                            const SessionOptions& options = {.seed = 5}) {
  std::unique_ptr<Session> session = Make(graph, options);
  return session == nullptr ? std::vector<Tensor>() : Results(*session, feeds);
}

std::vector<float> Values(const Tensor& t) {
  return {t.data<float>(), t.data<float>() + t.elements()};
}

// Everything that draws, in the main graph, in a branch, in loops within loops, in a function
// called twice; 60,000 elements, so that threads share them.
constexpr char kEverything[] = R"(graph g (%x: f32[n,3,20,20], %p: f32[n,8], %on: bool[]) {
  %u = RandomUniformLike(%x) {low = -1.0}
  %h = RandomNormalLike(%x) {dtype = f16, mean = 2.0}
  %d = RandomNormal() {dtype = f64, scale = 3.0, shape = [5,7]}
  %r = RandomUniform() {seed = 9.0, shape = [5,7]}
  %b = Bernoulli(%p) {dtype = bool}
  %m = Multinomial(%p) {dtype = i64, sample_size = 6}
  %ratio = Constant {value = f32[] [0.25]}
  %true = Constant {value = bool[] [true]}
  %s = Relu(%x)
  %drop, %mask = Dropout(%s, %ratio, %true)
  %t = Tanh(%drop)
  %maybe = Dropout(%t, %ratio, %on)
  %branch = If(%on) {then_branch = graph () {
    %a = RandomUniformLike(%p)
    return %a
  }, else_branch = graph () {
    %a = RandomNormalLike(%p)
    return %a
  }}
  %three = Constant {value = i64[] [3]}
  %rows, %inners = Loop(%three, _) {body = graph (%i: i64[], %c: bool[]) {
    %one = RandomUniform() {shape = [4]}
    %two = Constant {value = i64[] [2]}
    %inner = Loop(%two, _) {body = graph (%j: i64[], %e: bool[]) {
      %f = RandomNormal() {shape = [4]}
      return %e, %f
    }}
    return %c, %one, %inner
  }}
  %zero = Constant {value = f32[8] [0, 0, 0, 0, 0, 0, 0, 0]}
  %last, %walk = Scan(%zero, %p) {body = graph (%at: f32[8], %row: f32[8]) {
    %step = RandomNormalLike(%row) {seed = 3.0}
    %now = Add(%at, %step)
    return %now, %now
  }, num_scan_inputs = 1}
  %call = Call(%p) {function = "noise"}
  %recall = Call(%p) {function = "noise"}
  return %u, %h, %d, %r, %b, %m, %drop, %mask, %maybe, %branch, %rows, %walk, %call, %recall
}
function noise (%a: f32[n,8]) {
  %z = RandomNormalLike(%a)
  %y = Add(%a, %z)
  return %y
}
)";

Feeds FeedsFor(int64_t rows, bool on = true) {
  return {{"x", *Tensor::Random(DType::kF32, {rows, 3, 20, 20}, {.seed = 1})},
          {"p", *Tensor::Random(DType::kF32, {rows, 8}, {.seed = 2, .scale = 0.5, .offset = 0.5})},
          {"on", MakeBools({}, {on})}};
}

void ExpectSame(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i] == b[i]) << "output " << i;
}

TEST(RandomNumbers, NeitherThreadsNorPassesNorWritingMoveABit) {
  const std::unique_ptr<Graph> graph = Read(kEverything);
  ASSERT_NE(graph, nullptr);
  for (const bool on : {true, false}) {
    const Feeds feeds = FeedsFor(50, on);
    SessionOptions plain{.threads = 1, .seed = 5};
    plain.passes.enabled = false;
    const std::vector<Tensor> expected = RunOnce(*graph, feeds, plain);
    ASSERT_EQ(expected.size(), 14u);
    for (int threads : {1, 2, 3})
      ExpectSame(RunOnce(*graph, feeds, {.threads = threads, .seed = 5}), expected);
    ExpectSame(RunOnce(*graph, feeds, {.threads = 2, .deterministic = true, .seed = 5}), expected);
    absl::StatusOr<std::unique_ptr<Graph>> reopened = OptimiseAndReopen(*graph);
    ASSERT_TRUE(reopened.ok()) << reopened.status();
    ExpectSame(RunOnce(**reopened, feeds), expected);
    ExpectSame(RunOnce(*graph->Clone(), feeds), expected);
  }
}

bool HoldsNumbers(const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    for (const auto& [name, body] : node->bodies()) {
      for (const auto& inner : body->nodes()) {
        if (node->Is("FusedLoop") && RoleInLoop(*inner) == LoopRole::kGenerate) return true;
      }
    }
  }
  return false;
}

// Runs the graph as it is, and with passes, which must make its numbers in a FusedLoop.
void ExpectSameWhenFused(const std::string& type, int64_t rows, const std::string& body) {
  SCOPED_TRACE(absl::StrCat(type, ": ", body));
  const std::unique_ptr<Graph> graph =
      Read(absl::StrCat("graph g (%x: ", type, ") {\n %u = RandomUniformLike(%x)\n ", body, "\n}"));
  ASSERT_NE(graph, nullptr);
  Dims extents = {rows};
  for (int i = 1; i < graph->inputs()[0]->type().rank(); ++i)
    extents.push_back(graph->inputs()[0]->type().dim(i).number());
  const Feeds feeds = {{"x", *Tensor::Random(DType::kF32, extents, {.seed = 1})}};
  SessionOptions plain{.threads = 1, .seed = 5};
  plain.passes.enabled = false;
  const std::vector<Tensor> expected = RunOnce(*graph, feeds, plain);
  for (int threads : {1, 3})
    ExpectSame(RunOnce(*graph, feeds, {.threads = threads, .seed = 5}), expected);
  absl::StatusOr<std::unique_ptr<Graph>> optimised = OptimiseAndReopen(*graph);
  ASSERT_TRUE(optimised.ok()) << optimised.status();
  EXPECT_TRUE(HoldsNumbers(**optimised)) << Print(**optimised);
}

// In loops that walk the elements in another order, stretch them, reduce them, or go over long
// rows.
TEST(RandomNumbers, FusedLoopsMakeTheSameOnes) {
  for (const char* body : {
           "%y = Add(%u, %x)\n return %y",
           "%a = Add(%u, %x)\n %y = Transpose(%a) {perm = [0, 2, 1, 3]}\n return %y",
           "%a = Transpose(%u) {perm = [0, 2, 1, 3]}\n %y = Exp(%a)\n return %y",
           "%k = Constant {value = i64[2] [2, 3]}\n %a = Add(%u, %x)\n %m = ReduceMax(%a, %k)\n"
           " %y = Sub(%a, %m)\n return %y, %m",
           "%k = Constant {value = i64[1] [1]}\n %a = Add(%u, %x)\n %m = ReduceMax(%a, %k)\n"
           " %y = Sub(%a, %m)\n return %y",
           "%n = RandomNormalLike(%u)\n %a = Sub(%n, %u)\n %b = Mul(%a, %x)\n return %b, %n",
       }) {
    for (const char* type : {"f32[5,7,12,31]", "f32[b,7,12,31]"})
      ExpectSameWhenFused(type, 5, body);
  }
  // Stretched, and in an order that is nobody's: only of few elements.
  for (const char* body : {
           "%n = RandomNormal() {shape = [1, 7, 1, 31]}\n %a = Sub(%n, %u)\n %y = Abs(%a)\n"
           " return %y",
           "%n = RandomNormal() {dtype = f64, shape = [7, 3, 1]}\n %c = Cast(%n) {to = f32}\n"
           " %a = Sub(%c, %u)\n return %a",
           "%n = RandomNormal() {shape = [1, 1]}\n %a = Sub(%n, %u)\n return %a",
           "%a = Transpose(%u) {perm = [3, 2, 0, 1]}\n %y = Exp(%a)\n return %y",
           "%k = Constant {value = i64[1] [3]}\n %m = ReduceMax(%x, %k)\n"
           " %n = RandomNormalLike(%m)\n %a = Sub(%m, %n)\n %y = Sub(%u, %a)\n return %y",
       })
    ExpectSameWhenFused("f32[2,7,3,31]", 2, body);
}

// Convolutions whose activations lie channels last, depth first where they are large.
TEST(RandomNumbers, NeitherLayoutsNorSlicesMoveABit) {
  const std::unique_ptr<Graph> graph = Read(R"(graph g (%x: f32[b,3,64,64]) {
    %w = Constant {value = f32[32,3,3,3] {random = 1}}
    %v = Constant {value = f32[32,32,3,3] {random = 2, scale = 0.1}}
    %ratio = Constant {value = f32[] [0.5]}
    %true = Constant {value = bool[] [true]}
    %c = Conv(%x, %w) {pads = [1, 1, 1, 1]}
    %r = Relu(%c)
    %d, %mask = Dropout(%r, %ratio, %true)
    %e = Conv(%d, %v) {pads = [1, 1, 1, 1]}
    %s = Relu(%e)
    %z = Conv(%s, %v) {pads = [1, 1, 1, 1]}
    return %z, %mask
  })");
  const Feeds feeds = {{"x", *Tensor::Random(DType::kF32, {16, 3, 64, 64}, {.seed = 1})}};
  SessionOptions plain{.threads = 1, .seed = 5};
  plain.passes.enabled = false;
  const Tensor expected = RunOnce(*graph, feeds, plain)[1];
  for (int threads : {1, 2})
    EXPECT_TRUE(RunOnce(*graph, feeds, {.threads = threads, .seed = 5})[1] == expected);
}

// What has the same index has the same number.
TEST(RandomNumbers, MoreRowsBeginWithTheSameOnes) {
  const std::unique_ptr<Graph> graph = Read(R"(graph g (%x: f32[n,6]) {
    %u = RandomUniformLike(%x)
    %z = RandomNormalLike(%x)
    %c = Concat(%u, %z) {axis = 1}
    return %c
  })");
  const std::vector<float> few =
      Values(RunOnce(*graph, {{"x", *Tensor::Random(DType::kF32, {3, 6}, {.seed = 1})}})[0]);
  std::vector<float> many =
      Values(RunOnce(*graph, {{"x", *Tensor::Random(DType::kF32, {70, 6}, {.seed = 1})}})[0]);
  many.resize(few.size());
  EXPECT_EQ(few, many);
}

TEST(RandomNumbers, EachNodeTripBranchAndCallHasItsOwn) {
  const std::unique_ptr<Graph> graph = Read(kEverything);
  const std::vector<Tensor> y = RunOnce(*graph, FeedsFor(4));
  ASSERT_EQ(y.size(), 14u);
  EXPECT_FALSE(y[12] == y[13]) << "two calls of one function";
  std::set<std::vector<float>> rows;
  const std::vector<float> trips = Values(y[10]);
  for (size_t i = 0; i < 3; ++i)
    rows.insert({trips.begin() + static_cast<int64_t>(4 * i),
                 trips.begin() + static_cast<int64_t>(4 * i) + 4});
  EXPECT_EQ(rows.size(), 3u) << y[10].ToString();
  std::set<float> walks;
  for (float v : Values(y[11])) walks.insert(v);
  EXPECT_EQ(walks.size(), 32u);
}

TEST(RandomNumbers, NodesAlikeAreNotOne) {
  const std::unique_ptr<Graph> graph = Read(R"(graph g () {
    %a = RandomUniform() {shape = [8]}
    %b = RandomUniform() {shape = [8]}
    return %a, %b
  })");
  const std::vector<Tensor> y = RunOnce(*graph, {});
  EXPECT_FALSE(y[0] == y[1]);
}

constexpr char kOne[] = R"(graph g (%x: f32[4]) {
  %a = RandomUniformLike(%x)
  %y = Add(%x, %a)
  return %y
})";
const Feeds kFour = {{"x", MakeTensor<float>({4}, {0, 0, 0, 0})}};

TEST(RandomNumbers, RunsAreCounted) {
  const std::unique_ptr<Graph> graph = Read(kOne);
  std::unique_ptr<Session> session = Make(*graph);
  const Tensor first = Results(*session, kFour)[0], second = Results(*session, kFour)[0];
  EXPECT_FALSE(first == second);
  EXPECT_TRUE(Results(*session, kFour, {.run = 0})[0] == first);
  EXPECT_TRUE(Results(*session, kFour, {.run = 1})[0] == second);
  std::unique_ptr<Session> again = Make(*graph);
  EXPECT_TRUE(Results(*again, kFour)[0] == first);
  EXPECT_TRUE(Results(*again, kFour)[0] == second);

  std::unique_ptr<Session> third = Make(*graph);
  auto callable = third->MakeCallable({.feeds = {"x"}, .fetches = {"y"}});
  ASSERT_TRUE(callable.ok()) << callable.status();
  std::vector<Tensor> y(1);
  ASSERT_TRUE((*callable)->Run({kFour[0].second}, absl::MakeSpan(y)).ok());
  EXPECT_TRUE(y[0] == first);
  ASSERT_TRUE((*callable)->Run({kFour[0].second}, absl::MakeSpan(y)).ok());
  EXPECT_TRUE(y[0] == second);
}

TEST(RandomNumbers, SeedsAreGivenOrDrawn) {
  const std::unique_ptr<Graph> graph = Read(kOne);
  EXPECT_EQ(Make(*graph)->seed(), 5u);
  std::unique_ptr<Session> drawn = Make(*graph, {.threads = 1}),
                           other = Make(*graph, {.threads = 1});
  EXPECT_NE(drawn->seed(), other->seed());
  const Tensor y = Results(*drawn, kFour)[0];
  EXPECT_FALSE(Results(*other, kFour)[0] == y);
  EXPECT_TRUE(RunOnce(*graph, kFour, {.seed = drawn->seed()})[0] == y);
}

TEST(RandomNumbers, AnOpsOwnSeedCountsInstead) {
  const std::unique_ptr<Graph> graph = Read(R"(graph g (%x: f32[4]) {
    %a = RandomUniformLike(%x) {seed = 7.0}
    %b = RandomUniformLike(%x)
    return %a, %b
  })");
  const std::vector<Tensor> five = RunOnce(*graph, kFour, {.seed = 5});
  const std::vector<Tensor> seven = RunOnce(*graph, kFour, {.seed = 7});
  EXPECT_TRUE(five[0] == seven[0]);
  EXPECT_FALSE(five[1] == seven[1]);
  const std::unique_ptr<Graph> without = Read(R"(graph g (%x: f32[4]) {
    %a = RandomUniformLike(%x)
    return %a
  })");
  EXPECT_TRUE(RunOnce(*without, kFour, {.seed = 7})[0] == five[0]) << "a whole number is that seed";
  std::unique_ptr<Session> session = Make(*graph);
  EXPECT_FALSE(Results(*session, kFour)[0] == Results(*session, kFour)[0]) << "runs have their own";
}

// The key may be read, and numbers be made of it.
TEST(RandomNumbers, TheKeyIsAValue) {
  const std::unique_ptr<Graph> graph = Read(R"(graph g () {
    %key = RandomKey()
    %shape = Constant {value = i64[1] [4]}
    %a = PhiloxUniform(%key, %shape) {stream = 1}
    %b = PhiloxUniform(%key, %shape) {stream = 1}
    return %key, %a, %b
  })");
  std::unique_ptr<Session> session = Make(*graph);
  (void)Results(*session, {});
  const std::vector<Tensor> y = Results(*session, {});
  EXPECT_EQ(y[0].data<uint64_t>()[0], 5u);
  EXPECT_EQ(y[0].data<uint64_t>()[1], 1u);
  EXPECT_TRUE(y[1] == y[2]);
}

TEST(RandomNumbers, DefaultsThatAreFedChangeNothing) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = InputOr(b, "x", *Type::Parse("f32[4]"), kFour[0].second);
  b.Output(b.Op("Add", {x, b.Op("RandomUniformLike", {x})}), "y");
  ASSERT_TRUE(b.status().ok()) << b.status();
  std::unique_ptr<Session> session = Make(graph);
  EXPECT_EQ(session->all_inputs().size(), 1u);
  const Tensor first = Results(*session, {}, {.run = 0})[0];
  EXPECT_TRUE(Results(*session, kFour, {.run = 0})[0] == first);
  EXPECT_FALSE(Results(*session, kFour)[0] == Results(*session, {})[0]) << "one counter for both";
}

// ---- With state.

std::unique_ptr<Graph> Trainer() {
  auto graph = std::make_unique<Graph>(StandardOps());
  GraphBuilder b(graph.get());
  Value* x = b.Input("x", *Type::Parse("f32[n,6]"));
  Value* w = b.Variable("w", *Tensor::Random(DType::kF32, {6, 5}, {.seed = 1}));
  Value* v = b.Variable("v", *Tensor::Random(DType::kF32, {5, 1}, {.seed = 2}));
  Value* hidden = b.Op("Relu", {b.Op("MatMul", {x, w})});
  hidden = b.Op("Dropout", {hidden, b.Scalar<float>(0.5f), b.Constant(MakeBools({}, {1}))});
  Value* loss =
      b.Op("ReduceMean", {b.Op("Tanh", {b.Op("MatMul", {hidden, v})}), nullptr}, {{"keepdims", 0}});
  absl::StatusOr<std::vector<Value*>> grads = AddGradients(graph.get(), {loss}, {w, v});
  EXPECT_TRUE(grads.ok()) << grads.status();
  if (!grads.ok()) return nullptr;
  std::vector<std::string> does;
  for (size_t i = 0; i < 2; ++i) {
    Value* variable = i == 0 ? w : v;
    Value* step = b.Op("Mul", {(*grads)[i], b.Scalar<float>(0.1f)});
    does.push_back(b.Op("Assign", {variable, b.Op("Sub", {variable, step})})->producer()->name());
  }
  b.Output(loss, "loss");
  b.Output(b.Op("MatMul", {hidden, v}), "sampled");
  graph->signatures()["train"] = {{"x"}, {"loss"}, does};
  graph->signatures()["sample"] = {{"x"}, {"sampled"}, {}};
  EXPECT_TRUE(b.status().ok()) << b.status();
  return graph;
}

float Train(Session& session, const Feeds& feeds, RunOptions options = {}) {
  auto loss = session.Run("train", feeds, {}, options);
  EXPECT_TRUE(loss.ok()) << loss.status();
  return loss.ok() ? (*loss)[0].data<float>()[0] : NAN;
}

uint64_t StepsOf(const Session& session) {
  absl::StatusOr<Tensor> run = session.ReadVariable(kRunVariable);
  EXPECT_TRUE(run.ok()) << run.status();
  return run.ok() ? run->data<uint64_t>()[0] : 0;
}

const Feeds kRows = {{"x", *Tensor::Random(DType::kF32, {8, 6}, {.seed = 3})}};

TEST(RandomNumbers, ARestoredStateReplaysItsSteps) {
  const std::unique_ptr<Graph> graph = Trainer();
  ASSERT_NE(graph, nullptr);
  std::unique_ptr<Session> session = Make(*graph);
  ASSERT_NE(session, nullptr);
  for (int i = 0; i < 3; ++i) Train(*session, kRows);
  EXPECT_EQ(StepsOf(*session), 3u);
  const StateSnapshot snapshot = session->state()->Snapshot();
  std::vector<float> losses, again, resumed;
  for (int i = 0; i < 4; ++i) losses.push_back(Train(*session, kRows));
  EXPECT_EQ(std::set<float>(losses.begin(), losses.end()).size(), 4u);
  const Tensor w = *session->ReadVariable("w");
  ASSERT_TRUE(session->state()->Restore(snapshot).ok());
  EXPECT_EQ(StepsOf(*session), 3u);
  for (int i = 0; i < 4; ++i) again.push_back(Train(*session, kRows));
  EXPECT_EQ(again, losses);
  EXPECT_TRUE(*session->ReadVariable("w") == w);

  std::unique_ptr<Session> other = Make(*graph, {.threads = 2, .seed = 5});
  ASSERT_TRUE(other->state()->Restore(snapshot).ok());
  for (int i = 0; i < 4; ++i) resumed.push_back(Train(*other, kRows));
  EXPECT_EQ(resumed, losses);
  EXPECT_TRUE(*other->ReadVariable("w") == w);
}

TEST(RandomNumbers, AStepThatFailsDoesNotCount) {
  std::unique_ptr<Session> session = Make(*Trainer());
  Train(*session, kRows);
  CancelToken cancel;
  cancel.Cancel();
  EXPECT_FALSE(session->Run("train", kRows, {}, {.cancel = &cancel}).ok());
  EXPECT_FALSE(session->Run("train", {}, {}).ok());
  EXPECT_EQ(StepsOf(*session), 1u);
}

// Reading runs count for themselves; a number that is given is where the count goes on.
TEST(RandomNumbers, ThoseThatReadDoNotMoveThoseThatWrite) {
  const std::unique_ptr<Graph> graph = Trainer();
  std::unique_ptr<Session> session = Make(*graph), other = Make(*graph);
  ASSERT_TRUE(session->Run("sample", kRows).ok());
  ASSERT_TRUE(session->Run("sample", kRows).ok());
  EXPECT_EQ(StepsOf(*session), 0u);
  EXPECT_EQ(Train(*session, kRows), Train(*other, kRows));
  const StateSnapshot snapshot = session->state()->Snapshot();
  const float at_9 = Train(*session, kRows, {.run = 9});
  EXPECT_EQ(StepsOf(*session), 10u);
  ASSERT_TRUE(session->state()->Restore(snapshot).ok());
  EXPECT_EQ(Train(*session, kRows, {.run = 9}), at_9);
}

TEST(RandomNumbers, NoVariableIsCalledLikeTheCounter) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  b.Output(b.Variable(kRunVariable, Tensor::Scalar<uint64_t>(1)));
  EXPECT_THAT(b.status().message(), HasSubstr("for sessions' own variables"));
}

}  // namespace
}  // namespace sluice
