// Weights as variables: packed, folded and computed once a version, with the results of constants.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "graph/text.h"
#include "ops/op.h"
#include "passes/freeze.h"
#include "runtime/session.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

std::unique_ptr<Graph> MustParse(const std::string& text) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? *std::move(graph) : nullptr;
}

std::unique_ptr<Session> Make(const Graph& graph, SessionOptions options = {}) {
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(graph, std::move(options));
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? *std::move(session) : nullptr;
}

void ExpectNear(const Tensor& a, const Tensor& b, float tolerance) {
  ASSERT_EQ(a.TypeString(), b.TypeString());
  float largest = 0;
  for (int64_t i = 0; i < b.elements(); ++i)
    largest = std::max(largest, std::abs(b.data<float>()[i]));
  for (int64_t i = 0; i < a.elements(); ++i)
    ASSERT_NEAR(a.data<float>()[i], b.data<float>()[i], tolerance * largest) << i;
}

struct Model {
  const char* name;
  Dims x;
  const char* body;
};

// One kernel each that packs, and what passes do to constant weights.
const Model kModels[] = {
    {"winograd", {2, 16, 14, 14}, R"(
  %w = Variable {name = "w", value = f32[16,16,3,3] {random = 1, scale = 0.1}}
  %b = Variable {name = "b", value = f32[16] {random = 2}}
  %c = Conv(%x, %w, %b) {pads = [1, 1, 1, 1]}
  %y = Relu(%c))"},
    {"pointwise", {2, 16, 14, 14}, R"(
  %w = Variable {name = "w", value = f32[24,16,1,1] {random = 1, scale = 0.1}}
  %y = Conv(%x, %w))"},
    {"strided", {2, 16, 15, 15}, R"(
  %w = Variable {name = "w", value = f32[24,16,5,5] {random = 1, scale = 0.1}}
  %y = Conv(%x, %w) {strides = [2, 2]})"},
    {"depthwise", {2, 64, 14, 14}, R"(
  %w = Variable {name = "w", value = f32[64,1,3,3] {random = 1}}
  %v = Variable {name = "v", value = f32[32,64,1,1] {random = 2}}
  %c = Conv(%x, %w) {group = 64, pads = [1, 1, 1, 1]}
  %y = Conv(%c, %v))"},
    {"grouped", {2, 32, 14, 14}, R"(
  %w = Variable {name = "w", value = f32[32,8,3,3] {random = 1}}
  %v = Variable {name = "v", value = f32[32,32,1,1] {random = 2}}
  %c = Conv(%x, %w) {group = 4, pads = [1, 1, 1, 1]}
  %y = Conv(%c, %v))"},
    {"transposed", {2, 16, 7, 7}, R"(
  %w = Variable {name = "w", value = f32[16,8,2,2] {random = 1}}
  %y = ConvTranspose(%x, %w) {strides = [2, 2]})"},
    {"batch_norm", {2, 16, 14, 14}, R"(
  %w = Variable {name = "w", value = f32[24,16,3,3] {random = 1, scale = 0.1}}
  %b = Variable {name = "b", value = f32[24] {random = 2}}
  %g = Variable {name = "g", value = f32[24] {random = 3}}
  %h = Variable {name = "h", value = f32[24] {random = 4}}
  %m = Variable {name = "m", value = f32[24] {random = 5}}
  %s = Variable {name = "s", value = f32[24] {random = 6}}
  %v = Mul(%s, %s)
  %c = Conv(%x, %w, %b)
  %n = BatchNormalization(%c, %g, %h, %m, %v) {epsilon = 0.01}
  %y = Relu(%n))"},
    {"products", {3, 40}, R"(
  %w = Variable {name = "w", value = f32[64,40] {random = 1}}
  %b = Variable {name = "b", value = f32[64] {random = 2}}
  %v = Variable {name = "v", value = f32[64,24] {random = 3}}
  %g = Gemm(%x, %w, %b) {transB = 1}
  %r = Relu(%g)
  %p = MatMul(%r, %v)
  %t = Transpose(%v) {perm = [1, 0]}
  %y = MatMul(%p, %t))"},
    {"lstm", {5, 2, 16}, R"(
  %w = Variable {name = "w", value = f32[1,96,16] {random = 1, scale = 0.3}}
  %r = Variable {name = "r", value = f32[1,96,24] {random = 2, scale = 0.3}}
  %b = Variable {name = "b", value = f32[1,192] {random = 3}}
  %y, %h, %c = LSTM(%x, %w, %r, %b) {hidden_size = 24})"},
    {"rnn", {5, 2, 16}, R"(
  %w = Variable {name = "w", value = f32[1,24,16] {random = 1, scale = 0.3}}
  %r = Variable {name = "r", value = f32[1,24,24] {random = 2, scale = 0.3}}
  %y, %h = RNN(%x, %w, %r) {hidden_size = 24})"},
    {"in_a_loop", {3, 16}, R"(
  %w = Variable {name = "w", value = f32[16,16] {random = 1, scale = 0.3}}
  %t = Transpose(%w) {perm = [1, 0]}
  %three = Constant {value = i64[] [3]}
  %y = Loop(%three, _, %x) {body = graph (%i: i64[], %more: bool[], %s: f32[3,16]) {
    %p = MatMul(%s, %t)
    %z = Tanh(%p)
    return %more, %z
  }})"},
};

std::string TextOf(const Model& model) {
  std::string dims;
  for (int64_t d : model.x) dims += (dims.empty() ? "" : ",") + std::to_string(d);
  return std::string("graph ") + model.name + " (%x: f32[" + dims + "]) {" + model.body +
         "\n  return %y\n}";
}

// Other values for all variables of the session.
std::vector<std::pair<std::string, Tensor>> Others(const Session& session, uint64_t seed) {
  std::vector<std::pair<std::string, Tensor>> others;
  for (const State::Variable& v : session.state()->variables()) {
    others.emplace_back(v.name, *Tensor::Random(v.type.dtype(), *v.type.StaticDims(),
                                                {.seed = seed++, .scale = 0.2}));
  }
  return others;
}

class HeldValuesTest : public testing::TestWithParam<Model> {};

TEST_P(HeldValuesTest, GivesTheResultsOfConstantsInEachVersion) {
  const auto graph = MustParse(TextOf(GetParam()));
  ASSERT_NE(graph, nullptr);
  const Tensor x = *Tensor::Random(DType::kF32, GetParam().x, {.seed = 9});
  for (const int threads : {1, 2}) {
    SessionOptions options;
    options.threads = threads;
    const auto session = Make(*graph, options);
    auto callable = session->MakeCallable({.feeds = {"x"}, .fetches = {"y"}});
    ASSERT_TRUE(callable.ok()) << callable.status();
    for (uint64_t version = 0; version < 3; ++version) {
      if (version > 0) ASSERT_TRUE(session->state()->Write(Others(*session, 100 * version)).ok());
      auto frozen = Freeze(*graph, session->state()->Snapshot(), [](auto) { return true; });
      ASSERT_TRUE(frozen.ok()) << frozen.status();
      const auto constant = Make(*frozen->graph, options);
      const auto expected = constant->Run({{"x", x}});
      ASSERT_TRUE(expected.ok()) << expected.status();
      for (int run = 0; run < 2; ++run) {
        const auto results = session->Run({{"x", x}});
        ASSERT_TRUE(results.ok()) << results.status();
        ExpectNear((*results)[0], (*expected)[0], 2e-5f);
        std::vector<Tensor> given(1);
        ASSERT_TRUE((*callable)->Run({x}, absl::MakeSpan(given)).ok());
        EXPECT_TRUE(given[0] == (*results)[0]);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, HeldValuesTest, testing::ValuesIn(kModels),
                         [](const auto& info) { return info.param.name; });

// Each answer says which version it is of: rows of one number, through a transpose that is made
// once a version and a weight that is packed.
TEST(HeldValues, AreOfTheVersionThatTheRunReports) {
  const auto graph = MustParse(R"(graph g (%x: f32[n,64]) {
  %w = Variable {name = "w", value = f32[64,64] {random = 1, scale = 0}}
  %v = Variable {name = "v", value = f32[64,64] {random = 1, scale = 0}}
  %unread = Variable {name = "unread", value = f32[1] [0]}
  %t = Transpose(%w) {perm = [1, 0]}
  %y = MatMul(%x, %t)
  %z = MatMul(%x, %v)
  return %y, %z, %unread
})");
  SessionOptions options;
  options.threads = 1;
  const auto session = Make(*graph, options);
  Tensor eye = *Tensor::Allocate(DType::kF32, {64, 64});
  for (int64_t i = 0; i < 64 * 64; ++i) eye.mutable_data<float>()[i] = i % 65 == 0 ? 1 : 0;
  const auto filled = [](float value) {
    Tensor t = *Tensor::Allocate(DType::kF32, {64, 64});
    std::fill_n(t.mutable_data<float>(), 64 * 64, value);
    return t;
  };
  const uint64_t first = session->state()->version();
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      uint64_t latest = 0;
      while (!stop) {
        uint64_t version = 0;
        RunOptions run;
        run.read_version = &version;
        const auto results = session->Run({{"x", eye}}, {"y", "z"}, run);
        ASSERT_TRUE(results.ok()) << results.status();
        const float expected = static_cast<float>(version - first);
        for (const Tensor& t : *results) {
          ASSERT_EQ(t.data<float>()[0], expected);
          ASSERT_EQ(t.data<float>()[64 * 64 - 1], expected);
        }
        ASSERT_GE(version, latest);
        latest = version;
      }
    });
  }
  for (int swap = 1; swap <= 300; ++swap) {
    const Tensor value = filled(static_cast<float>(swap));
    ASSERT_TRUE(session->state()->Write({{"w", value}, {"v", value}}).ok());
  }
  stop = true;
  for (std::thread& t : readers) t.join();
}

TEST(HeldValues, AreMadeOnceForAllThatShareTheState) {
  const auto graph = MustParse(R"(graph g (%x: f32[n,64]) {
  %w = Variable {name = "w", value = f32[64,256] {random = 1}}
  %y = MatMul(%x, %w)
  %z = Relu(%y)
  return %y, %z
}
signature both (x) -> (y, z)
signature one (x) -> (z)
)");
  SessionOptions options;
  options.state = std::make_shared<State>();
  const auto session = Make(*graph, options), other = Make(*graph, options);
  const Feeds feeds = {{"x", *Tensor::Random(DType::kF32, {16, 64}, {.seed = 1})}};
  EXPECT_EQ(session->Memory().form_bytes, 0);
  ASSERT_TRUE(session->Run("both", feeds).ok());
  const int64_t bytes = session->Memory().form_bytes;
  EXPECT_GE(bytes, 64 * 256 * 4);
  ASSERT_TRUE(session->Run("one", feeds).ok());
  ASSERT_TRUE(other->Run("both", feeds).ok());
  EXPECT_EQ(other->Memory().form_bytes, bytes);
}

// What is made of variables alone is kept: nobody else gets its memory, as a result or as the next
// value of a variable.
TEST(HeldValues, KeepWhatWasMadeToThemselves) {
  const auto graph = MustParse(R"(graph g (%x: f32[2]) {
  %w = Variable {name = "w", value = f32[2] [2, 4]}
  %v = Variable {name = "v", value = f32[2] [0, 0]}
  %half = Constant {value = f32[] [0.5]}
  %h = Mul(%w, %half)
  %a = Assign(%v, %h)
  %b = Assign(%v, %x)
  %y = Add(%v, %x)
  return %h, %y
}
signature reset () -> () does (a)
signature train (x) -> (y) does (b)
signature show () -> (h)
)");
  ASSERT_NE(graph, nullptr);
  const auto session = Make(*graph);
  ASSERT_NE(session, nullptr);
  const auto first = [&] { return session->ReadVariable("v")->data<float>()[0]; };
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(session->Run("reset", {}).ok());
    EXPECT_EQ(first(), 1);
    for (float value : {7.0f, 8.0f, 9.0f}) {
      ASSERT_TRUE(session->Run("train", {{"x", MakeTensor<float>({2}, {value, value})}}).ok());
      EXPECT_EQ(first(), value);
    }
    auto shown = session->Run("show", {});
    ASSERT_TRUE(shown.ok()) << shown.status();
    EXPECT_EQ((*shown)[0].data<float>()[1], 2);
    (*shown)[0].mutable_data<float>()[1] = 100;
  }
}

// Some programs had made what they need of values that another one refused.
TEST(HeldValues, OfAWriteThatFailsAreNoOthers) {
  const auto packs = MustParse(R"(graph g (%x: f32[1,64]) {
  %t = Variable {name = "table", value = f32[64,64] {random = 1, scale = 0}}
  %y = MatMul(%x, %t)
  return %y
})");
  const auto gathers = MustParse(R"(graph g () {
  %t = Variable {name = "table", value = f32[64,64] {random = 1, scale = 0}}
  %i = Variable {name = "index", value = i64[1] [0]}
  %y = Gather(%t, %i)
  return %y
})");
  SessionOptions options;
  options.state = std::make_shared<State>();
  const auto first = Make(*packs, options), second = Make(*gathers, options);
  const auto filled = [](float value) {
    Tensor t = *Tensor::Allocate(DType::kF32, {64, 64});
    std::fill_n(t.mutable_data<float>(), 64 * 64, value);
    return t;
  };
  const Feeds feeds = {{"x", *Tensor::Random(DType::kF32, {1, 64}, {.seed = 1})}};
  ASSERT_TRUE(first->Run(feeds).ok());
  ASSERT_TRUE(second->Run({}).ok());
  const Tensor outside = MakeTensor<int64_t>({1}, {64});
  EXPECT_FALSE(options.state->Write({{"table", filled(1)}, {"index", outside}}).ok());
  EXPECT_EQ((*first->Run(feeds))[0].data<float>()[0], 0);
  ASSERT_TRUE(options.state->Write({{"table", filled(0)}}).ok());
  EXPECT_EQ((*first->Run(feeds))[0].data<float>()[0], 0);
}

TEST(HeldValues, GoWithTheirSession) {
  const auto graph = MustParse(R"(graph g (%x: f32[n,64]) {
  %w = Variable {name = "w", value = f32[64,64] {random = 1}}
  %t = Transpose(%w) {perm = [1, 0]}
  %y = MatMul(%x, %t)
  return %y
})");
  SessionOptions options;
  options.state = std::make_shared<State>();
  const auto stays = Make(*graph, options), goes = Make(*graph, options);
  const Feeds feeds = {{"x", *Tensor::Random(DType::kF32, {4, 64}, {.seed = 1})}};
  ASSERT_TRUE(goes->Run(feeds).ok());
  std::thread writer([&] {
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(options.state->Write(Others(*stays, i)).ok());
  });
  ASSERT_TRUE(goes->Close().ok());
  writer.join();
  EXPECT_TRUE(stays->Run(feeds).ok());
}

}  // namespace
}  // namespace sluice
