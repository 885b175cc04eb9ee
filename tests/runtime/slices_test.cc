#include "runtime/slices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "graph/builder.h"
#include "graph/infer.h"
#include "kernels/cpu/cost/cost.h"
#include "ops/op.h"
#include "runtime/evaluate.h"
#include "runtime/session.h"
#include "sluice.h"

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::Not;

// Activations in units that a batch of 8 has too many of for the cache, and a row has not.
SliceNode Step(double units, double weights = 0) {
  const double unit = static_cast<double>(cpu::Costs().l3_bytes) / 8;
  return {SliceNode::Kind::kRowWise, units * unit, weights * unit};
}
const SliceNode kConstantNode = {SliceNode::Kind::kNoStep};
const SliceNode kEnd = {SliceNode::Kind::kOther};

TEST(FindSlices, LargeActivationsUntilANodeThatMayNot) {
  const SliceNode nodes[] = {kConstantNode, Step(4), Step(6), kConstantNode,
                             Step(4),       kEnd,    Step(8)};
  const Slicing found = FindSlices(nodes, 8, 1);
  ASSERT_EQ(found.stretches.size(), 2u);
  EXPECT_EQ(found.stretches[0].first, 1);
  EXPECT_EQ(found.stretches[0].last, 5);
  EXPECT_EQ(found.stretches[1].first, 6);
  EXPECT_EQ(found.stretches[1].last, 7);
  EXPECT_EQ(8 % found.rows, 0);
  EXPECT_GT(found.saved_ns, 0);
}

TEST(FindSlices, NotWhereNothingIsSaved) {
  const SliceNode small[] = {Step(0.001), Step(0.001)};
  EXPECT_TRUE(FindSlices(small, 8, 1).stretches.empty());
  const SliceNode heavy[] = {Step(4, 40), Step(4, 40)};  // each slice would read the weights
  EXPECT_TRUE(FindSlices(heavy, 8, 1).stretches.empty());
  const SliceNode large[] = {Step(4)};
  EXPECT_TRUE(FindSlices(large, 7, 1, 7).stretches.empty());  // one slice is none
  EXPECT_TRUE(FindSlices(large, 101, 1).stretches.empty());  // a prime: slices of one row, too many
  EXPECT_TRUE(FindSlices(large, 1, 1).stretches.empty());
}

TEST(FindSlices, EndsOfSmallStepsStayOutside) {
  const SliceNode nodes[] = {Step(0.01, 2), Step(6), Step(0.01, 0.1), Step(6), Step(0.01, 2)};
  const Slicing found = FindSlices(nodes, 8, 1);
  ASSERT_EQ(found.stretches.size(), 1u);
  EXPECT_EQ(found.stretches[0].first, 1);
  EXPECT_EQ(found.stretches[0].last, 4);
}

// Rows [row, row + 1) of a batch.
Tensor Row(const Tensor& t, int64_t row) {
  Dims dims(t.dims().begin(), t.dims().end());
  const size_t bytes = t.bytes() / static_cast<size_t>(dims[0]);
  dims[0] = 1;
  return Tensor::Wrap(t.dtype(), dims, static_cast<const char*>(t.raw()) + row * bytes, t.owner());
}

void ExpectNear(const Tensor& a, const Tensor& b, const std::string& what) {
  ASSERT_TRUE(Type::Of(a) == Type::Of(b)) << what << a.TypeString() << b.TypeString();
  float largest = 1;
  for (int64_t i = 0; i < b.elements(); ++i)
    largest = std::max(largest, std::abs(b.data<float>()[i]));
  for (int64_t i = 0; i < a.elements(); ++i)
    ASSERT_NEAR(a.data<float>()[i], b.data<float>()[i], 1e-4f * largest) << what << " " << i;
}

// The results without a session: each node by itself, on the whole batch.
std::vector<Tensor> NodeByNode(const Graph& graph, const Tensor& x) {
  std::unique_ptr<Graph> g = graph.Clone();
  g->inputs()[0]->set_type(Type::Of(x));
  EXPECT_TRUE(InferTypes(g.get()).ok());
  ThreadPool pool(1);
  absl::flat_hash_map<const Value*, Tensor> values = {{g->inputs()[0], x}};
  for (const auto& node : g->nodes()) {
    if (const Tensor* constant = node->output()->constant(); constant != nullptr) {
      values[node->output()] = *constant;
      continue;
    }
    std::vector<Tensor> inputs;
    for (const Value* v : node->inputs()) inputs.push_back(values.at(v));
    absl::StatusOr<std::vector<Tensor>> made = EvaluateNode(*node, inputs, INT64_MAX, &pool);
    EXPECT_TRUE(made.ok()) << made.status();
    if (!made.ok()) return {};
    values[node->output()] = (*made)[0];
  }
  std::vector<Tensor> results;
  for (const Value* v : g->outputs()) results.push_back(values.at(v));
  return results;
}

std::unique_ptr<Graph> Parsed(absl::string_view text) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  return *std::move(graph);
}

// The results of the batch are those of its rows, and the plan is sliced or not.
void Check(const Graph& graph, int64_t batch, const Dims& row, bool sliced,
           SessionOptions options = {.threads = 2}) {
  Dims dims = row;
  dims.insert(dims.begin(), batch);
  const Tensor x = *Tensor::Random(DType::kF32, dims, {.seed = 7});
  auto session = Session::Create(graph, options);
  ASSERT_TRUE(session.ok()) << session.status();
  const std::string plan = *(*session)->PlanText({{"x", x}});
  EXPECT_EQ(plan.find("depth first") != std::string::npos, sliced) << plan;
  EXPECT_EQ((*session)->Explain().find("run depth first, in") != std::string::npos, sliced);
  for (int again = 0; again < 2; ++again) {
    auto all = (*session)->Run({{"x", x}});
    ASSERT_TRUE(all.ok()) << all.status();
    for (int64_t r : {int64_t{0}, batch / 2, batch - 1}) {
      auto one = (*session)->Run({{"x", Row(x, r)}});
      ASSERT_TRUE(one.ok()) << one.status();
      for (size_t i = 0; i < one->size(); ++i)
        ExpectNear(Row((*all)[i], r), (*one)[i], absl::StrCat("output ", i, " row ", r));
    }
  }
}

// Values that leave the stretch in the middle, a residual, a squeeze and excitation, a head.
constexpr absl::string_view kNet = R"(
graph net (%x: f32[batch,8,96,96]) {
  %w1 = Constant {value = f32[16,8,1,1] {random = 1, scale = 0.3}}
  %w2 = Constant {value = f32[16,1,3,3] {random = 2, scale = 0.3}}
  %w3 = Constant {value = f32[16,16,3,3] {random = 3, scale = 0.1}}
  %w4 = Constant {value = f32[16,10] {random = 4, scale = 0.3}}
  %a = Conv(%x, %w1)
  %b = Relu(%a)
  %c = Conv(%b, %w2) {group = 16, pads = [1, 1, 1, 1]}
  %d = Add(%c, %b)
  %e = Conv(%d, %w3) {pads = [1, 1, 1, 1], strides = [2, 2]}
  %f = HardSwish(%e)
  %m = GlobalAveragePool(%f)
  %s = Sigmoid(%m)
  %g = Mul(%f, %s)
  %p = MaxPool(%g) {kernel_shape = [2, 2], strides = [2, 2]}
  %h = GlobalAveragePool(%p)
  %k = Flatten(%h)
  %y = MatMul(%k, %w4)
  return %y, %d, %p
}
)";

TEST(Slices, ResultsAreThoseOfTheRows) {
  const std::unique_ptr<Graph> graph = Parsed(kNet);
  for (int threads : {1, 2, 3}) Check(*graph, 8, {8, 96, 96}, true, {.threads = threads});
  Check(*graph, 7, {8, 96, 96}, true);
  SessionOptions plain{.threads = 2};
  plain.passes.only = {"prune"};
  Check(*graph, 8, {8, 96, 96}, true, plain);
  Check(*graph, 1, {8, 96, 96}, false);
}

TEST(Slices, TheSameBitsOnAnyNumberOfThreadsWhenDeterministic) {
  const std::unique_ptr<Graph> graph = Parsed(kNet);
  const Tensor x = *Tensor::Random(DType::kF32, {8, 8, 96, 96}, {.seed = 7});
  std::vector<Tensor> expected;
  for (int threads : {1, 2, 4}) {
    auto session = Session::Create(*graph, {.threads = threads, .deterministic = true});
    ASSERT_TRUE(session.ok()) << session.status();
    EXPECT_THAT(*(*session)->PlanText({{"x", x}}), HasSubstr("depth first"));
    auto results = (*session)->Run({{"x", x}});
    ASSERT_TRUE(results.ok()) << results.status();
    if (expected.empty()) expected = *results;
    EXPECT_EQ(*results, expected) << threads;
  }
}

TEST(Slices, HoldTheMemoryOfOneSlice) {
  const std::unique_ptr<Graph> graph = Parsed(kNet);
  const auto arena = [&](int64_t batch) {
    auto session = Session::Create(*graph, {.threads = 1});
    const Tensor x = *Tensor::Random(DType::kF32, {batch, 8, 96, 96}, {.seed = 7});
    EXPECT_TRUE((*session)->Run({{"x", x}}, {"y"}).ok());
    return std::pair((*session)->Memory().arena_bytes, (*session)->Explain());
  };
  EXPECT_LT(arena(8).first, 3 * arena(1).first) << arena(8).second;
}

TEST(Slices, CallersMemoryCancellationAndProfiles) {
  const std::unique_ptr<Graph> graph = Parsed(kNet);
  auto session = Session::Create(*graph, {.threads = 2});
  const Tensor x = *Tensor::Random(DType::kF32, {8, 8, 96, 96}, {.seed = 7});
  auto expected = (*session)->Run({{"x", x}});
  auto callable = (*session)->MakeCallable({.feeds = {"x"}, .fetches = {"d", "y"}});
  ASSERT_TRUE(callable.ok());
  for (int i = 0; i < 2; ++i) {
    Tensor given[] = {*Tensor::Allocate(DType::kF32, {8, 16, 96, 96}), Tensor()};
    const void* memory = given[0].raw();
    const Tensor inputs[] = {x};
    ASSERT_TRUE((*callable)->Run(inputs, absl::MakeSpan(given)).ok());
    EXPECT_EQ(given[0].raw(), memory);
    ExpectNear(given[0], (*expected)[1], "d");
    ExpectNear(given[1], (*expected)[0], "y");
  }
  Profile profile;
  RunOptions options;
  options.profile = &profile;
  ASSERT_TRUE((*session)->Run({{"x", x}}, {}, options).ok());
  EXPECT_GT(profile.events.size(), 20u);  // a step is an event for each slice
  CancelToken token;
  token.Cancel();
  RunOptions cancelled;
  cancelled.cancel = &token;
  EXPECT_EQ((*session)->Run({{"x", x}}, {}, cancelled).status().code(),
            absl::StatusCode::kCancelled);
}

TEST(Slices, NothingThatMixesRows) {
  // A norm over the batch ends the stretch; what is behind it may be sliced again. Activations of
  // 8 MB leave the second-level caches of every machine.
  const std::unique_ptr<Graph> mixed = Parsed(R"(
graph mixed (%x: f32[batch,16,128,128]) {
  %w = Constant {value = f32[16,16,3,3] {random = 1, scale = 0.1}}
  %a = Conv(%x, %w) {pads = [1, 1, 1, 1]}
  %z = Constant {value = i64[1] [0]}
  %m = ReduceMean(%a, %z)
  %c = Sub(%a, %m)
  %s = Softmax(%c) {axis = 0}
  %y = Conv(%s, %w) {pads = [1, 1, 1, 1]}
  return %y
}
)");
  const Tensor x = *Tensor::Random(DType::kF32, {8, 16, 128, 128}, {.seed = 7});
  for (bool fused : {true, false}) {  // as one loop, whose body mixes them, and node by node
    SessionOptions options{.threads = 2};
    if (!fused) options.passes.without = {"fuse_loops"};
    auto session = Session::Create(*mixed, options);
    ASSERT_TRUE(session.ok()) << session.status();
    EXPECT_THAT(*(*session)->PlanText({{"x", x}}), HasSubstr("depth first"));
    auto result = (*session)->Run({{"x", x}});
    ASSERT_TRUE(result.ok()) << result.status();
    ExpectNear((*result)[0], NodeByNode(*mixed, x)[0], "mixed");
  }
}

TEST(Slices, AnExtentOfTheBatchIsTheWholeBatchs) {
  // x / batch, the batch read from the shape at run time; and a shape that says it in a constant.
  const std::unique_ptr<Graph> graph = Parsed(R"(
graph counted (%x: f32[batch,16,96,96]) {
  %w = Constant {value = f32[16,1,3,3] {random = 1, scale = 0.3}}
  %shape = Shape(%x) {end = 1, start = 0}
  %n = Cast(%shape) {to = f32}
  %a = Conv(%x, %w) {group = 16, pads = [1, 1, 1, 1]}
  %b = Div(%a, %n)
  %y = Conv(%b, %w) {group = 16, pads = [1, 1, 1, 1]}
  return %y
}
)");
  const Tensor x = *Tensor::Random(DType::kF32, {8, 16, 96, 96}, {.seed = 7});
  auto session = Session::Create(*graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  auto all = (*session)->Run({{"x", x}});
  auto one = (*session)->Run({{"x", Row(x, 3)}});
  ASSERT_TRUE(all.ok() && one.ok()) << all.status() << one.status();
  const Tensor part = Row((*all)[0], 3);
  for (int64_t i = 0; i < part.elements(); ++i)
    ASSERT_NEAR(8 * part.data<float>()[i], (*one)[0].data<float>()[i], 1e-4) << i;

  const std::unique_ptr<Graph> fixed = Parsed(R"(
graph fixed (%x: f32[8,16,96,96]) {
  %w = Constant {value = f32[16,1,3,3] {random = 1, scale = 0.3}}
  %s = Constant {value = i64[2] [8, 147456]}
  %a = Conv(%x, %w) {group = 16, pads = [1, 1, 1, 1]}
  %y = Reshape(%a, %s)
  return %y
}
)");
  auto made_for_eight = Session::Create(*fixed, {.threads = 1});
  ASSERT_TRUE(made_for_eight.ok());
  EXPECT_THAT(*(*made_for_eight)->PlanText({{"x", x}}), Not(HasSubstr("depth first")));
  EXPECT_TRUE((*made_for_eight)->Run({{"x", x}}).ok());
}

// Random programs over images: values that cross stretches' borders in every way, in place and not.
TEST(Slices, RandomProgramsGiveTheRowsResults) {
  int with_slices = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    std::mt19937_64 random(seed);
    auto pick = [&](size_t n) { return static_cast<size_t>(random() % n); };
    Graph graph(StandardOps(), "random");
    GraphBuilder b(&graph);
    std::vector<Value*> values = {b.Input("x", *Type::Parse("f32[batch,8,64,64]"))};
    const char* unary[] = {"Tanh", "Sigmoid", "HardSwish", "Relu", "Softmax"};
    const char* binary[] = {"Add", "Mul", "Max", "Sub"};
    for (int i = 0; i < 30; ++i) {
      const size_t recent = values.size() < 5 ? 0 : values.size() - 5;
      Value* v = values[recent + pick(values.size() - recent)];
      switch (pick(7)) {
        case 0:
          v = b.Op("Conv",
                   {v, b.Constant(*Tensor::Random(DType::kF32, {8, 8, 3, 3},
                                                  {.seed = seed * 100 + i, .scale = 0.1}))},
                   {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
          break;
        case 1:
          v = b.Op("Conv",
                   {v, b.Constant(*Tensor::Random(DType::kF32, {8, 1, 3, 3},
                                                  {.seed = seed * 100 + i, .scale = 0.3}))},
                   {{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"group", 8}});
          break;
        case 2:
          v = b.Op("Mul", {v, b.Op("ReduceMean", {v, b.Ints({2, 3})})});
          break;
        case 3:
          v = b.Op("Transpose", {v}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
          break;
        case 4:
          v = b.Op("Reshape", {b.Op("Reshape", {v, b.Ints({0, 8, -1})}), b.Ints({0, 8, 64, 64})});
          break;
        case 5:
          v = b.Op(binary[pick(4)], {v, values[pick(values.size())]});
          break;
        default:
          v = b.Op(unary[pick(5)], {v});
      }
      values.push_back(v);
      if (i % 9 == 8) b.Output(v, absl::StrCat("y", i));
    }
    ASSERT_TRUE(b.status().ok()) << b.status();
    const Tensor x = *Tensor::Random(DType::kF32, {8, 8, 64, 64}, {.seed = seed});
    for (int threads : {1, 3}) {
      auto session = Session::Create(graph, {.threads = threads});
      ASSERT_TRUE(session.ok()) << session.status();
      with_slices += (*session)->PlanText({{"x", x}})->find("depth first") != std::string::npos;
      auto all = (*session)->Run({{"x", x}});
      ASSERT_TRUE(all.ok()) << all.status();
      for (int64_t r : {0, 3, 7}) {
        auto one = (*session)->Run({{"x", Row(x, r)}});
        ASSERT_TRUE(one.ok()) << one.status();
        for (size_t i = 0; i < one->size(); ++i)
          ExpectNear(Row((*all)[i], r), (*one)[i], absl::StrCat("seed ", seed, " row ", r));
      }
    }
  }
  EXPECT_GT(with_slices, 3);  // how many depends on the caches
}

}  // namespace
}  // namespace sluice
