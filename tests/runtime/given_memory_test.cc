// Memory that a caller hands to runs: feeds and outputs that lie in one another, results that come
// back as feeds or outputs, unaligned feeds. A right result, or an error: never a wrong result.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sluice.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<Session> MakeSession(absl::string_view text,
                                     SessionOptions options = {.threads = 1}) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  if (!graph.ok()) return nullptr;
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, std::move(options));
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? *std::move(session) : nullptr;
}

std::vector<float> Floats(const Tensor& t) {
  return {t.data<float>(), t.data<float>() + t.elements()};
}
std::string Said(const absl::Status& status) { return std::string(status.message()); }

// Both results read all of x, and are no element-wise work.
constexpr absl::string_view kTwo = R"(
graph two (%x: f32[n,2]) {
  %axis = Constant {value = i64[] [0]}
  %s = CumSum(%x, %axis)
  %w = Constant {value = f32[2,2] [0, 1, 1, 0]}
  %m = MatMul(%x, %w)
  return %s as "sums", %m as "swapped"
}
)";

TEST(GivenMemory, OutputsThatShareMemoryAreRefused) {
  auto session = MakeSession(kTwo);
  const Tensor x = MakeTensor<float>({2, 2}, {1, 2, 3, 4});
  Tensor one = MakeTensor<float>({2, 2}, {0, 0, 0, 0});
  Tensor wide = MakeTensor<float>({6}, {0, 0, 0, 0, 0, 0});
  const auto part = [&](int64_t first) {
    return Tensor::Wrap(DType::kF32, {2, 2}, wide.data<float>() + first, wide.owner());
  };
  auto call = session->MakeCallable({.feeds = {"x"}, .fetches = {"sums", "swapped"}});
  ASSERT_TRUE(call.ok()) << call.status();
  for (const auto& [a, b] : {std::pair(one, one), std::pair(part(0), part(2)),
                             std::pair(part(2), part(0)), std::pair(part(1), part(0))}) {
    RunOptions options;
    options.outputs = {a, b};
    EXPECT_THAT(Said(session->Run({{"x", x}}, {}, options).status()),
                HasSubstr("output 1 shares memory with that of an earlier output"));
    Tensor outputs[] = {a, b};
    EXPECT_THAT(Said((*call)->Run({x}, outputs)), HasSubstr("shares memory"));
  }
  RunOptions apart;
  Tensor both = MakeTensor<float>({8}, std::vector<float>(8, 0));
  apart.outputs = {Tensor::Wrap(DType::kF32, {2, 2}, both.data<float>(), both.owner()),
                   Tensor::Wrap(DType::kF32, {2, 2}, both.data<float>() + 4, both.owner())};
  ASSERT_TRUE(session->Run({{"x", x}}, {}, apart).ok());
  EXPECT_THAT(Floats(both), ElementsAre(1, 2, 4, 6, 2, 1, 4, 3));
}

TEST(GivenMemory, OutputsThatShareMemoryWithAFeedAreRefused) {
  auto session = MakeSession(kTwo);
  Tensor wide = MakeTensor<float>({6}, {1, 2, 3, 4, 5, 6});
  const auto part = [&](int64_t first) {
    return Tensor::Wrap(DType::kF32, {2, 2}, wide.data<float>() + first, wide.owner());
  };
  auto call = session->MakeCallable({.feeds = {"x"}, .fetches = {"sums"}});
  for (int64_t first : {0, 1, 2}) {
    RunOptions options;
    options.outputs = {Tensor(), part(first)};
    EXPECT_THAT(Said(session->Run({{"x", part(1)}}, {}, options).status()),
                HasSubstr("output 1 shares memory with a feed"));
    Tensor output = part(first);
    EXPECT_THAT(Said((*call)->Run({part(1)}, absl::MakeSpan(&output, 1))),
                HasSubstr("shares memory with a feed"));
  }
  EXPECT_THAT(Floats(wide), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(GivenMemory, TooManyOutputsAndUnalignedOnesAreRefused) {
  auto session = MakeSession(kTwo);
  const Tensor x = MakeTensor<float>({2, 2}, {1, 2, 3, 4});
  RunOptions options;
  options.outputs = {Tensor(), Tensor(), Tensor()};
  EXPECT_THAT(Said(session->Run({{"x", x}}, {}, options).status()), HasSubstr("3 tensors"));
  Tensor bytes = *Tensor::Allocate(DType::kU8, {32});
  options.outputs = {Tensor::Wrap(DType::kF32, {2, 2}, bytes.data<uint8_t>() + 1, bytes.owner())};
  EXPECT_THAT(Said(session->Run({{"x", x}}, {}, options).status()), HasSubstr("not aligned"));
  auto call = session->MakeCallable({.feeds = {"x"}, .fetches = {"sums"}});
  Tensor out;
  options.outputs = {x};
  EXPECT_THAT(Said((*call)->Run({x}, absl::MakeSpan(&out, 1), options)),
              HasSubstr("RunOptions::outputs"));
}

TEST(GivenMemory, FeedsMayLieAtAnyByte) {
  auto session = MakeSession(kTwo);
  alignas(8) char bytes[32] = {};
  const float numbers[] = {1, 2, 3, 4};
  std::memcpy(bytes + 3, numbers, sizeof numbers);
  const Tensor x = Tensor::Wrap(DType::kF32, {2, 2}, bytes + 3, nullptr);
  auto result = session->Run({{"x", x}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Floats((*result)[0]), ElementsAre(1, 2, 4, 6));
  auto call = session->MakeCallable({.feeds = {"x"}, .fetches = {"swapped"}});
  Tensor out;
  ASSERT_TRUE((*call)->Run({x}, absl::MakeSpan(&out, 1)).ok());
  EXPECT_THAT(Floats(out), ElementsAre(2, 1, 4, 3));
}

TEST(GivenMemory, ACallablesOwnResultsGoBackInOfWhateverSize) {
  auto session = MakeSession(kTwo);
  auto call = session->MakeCallable({.feeds = {"x"}, .fetches = {"sums", "swapped"}});
  Tensor outputs[2];
  for (int64_t n : {1, 2, 3, 3, 1}) {
    Tensor x = *Tensor::Allocate(DType::kF32, {n, 2});
    std::fill_n(x.mutable_data<float>(), 2 * n, 1.f);
    const absl::Status s = (*call)->Run({x}, outputs);
    ASSERT_TRUE(s.ok()) << s;
    EXPECT_EQ(outputs[0].dims()[0], n);
    EXPECT_EQ(outputs[0].data<float>()[2 * n - 1], static_cast<float>(n));
  }
  // A call that fails in between changes nothing of that.
  EXPECT_FALSE((*call)->Run({MakeTensor<float>({1, 3}, {1, 2, 3})}, outputs).ok());
  ASSERT_TRUE((*call)->Run({MakeTensor<float>({2, 2}, {1, 2, 3, 4})}, outputs).ok());
  EXPECT_THAT(Floats(outputs[0]), ElementsAre(1, 2, 4, 6));
}

TEST(GivenMemory, ResultsSizedByTheDataGoBackInToo) {
  auto session = MakeSession("graph g (%x: f32[n]) {\n  %y = NonZero(%x)\n  return %y\n}\n");
  auto call = session->MakeCallable({.feeds = {"x"}, .fetches = {"y"}});
  Tensor out;
  for (float last : {0.f, 1.f, 0.f}) {
    const absl::Status s =
        (*call)->Run({MakeTensor<float>({3}, {1, 1, last})}, absl::MakeSpan(&out, 1));
    ASSERT_TRUE(s.ok()) << s;
    EXPECT_EQ(out.dims()[1], last == 0 ? 2 : 3);
  }
}

TEST(GivenMemory, ACallablesResultMayBeItsNextFeed) {
  auto session = MakeSession(kTwo);
  auto call = session->MakeCallable({.feeds = {"x"}, .fetches = {"sums", "swapped"}});
  Tensor outputs[2];
  ASSERT_TRUE((*call)->Run({MakeTensor<float>({2, 2}, {1, 2, 3, 4})}, outputs).ok());
  for (int i = 0; i < 3; ++i) {
    const Tensor x = outputs[0];
    const std::vector<float> before = Floats(x);
    ASSERT_TRUE((*call)->Run({x}, outputs).ok());
    EXPECT_EQ(Floats(x), before) << "the feed was written";
    EXPECT_THAT(Floats(outputs[0]),
                ElementsAre(before[0], before[1], before[0] + before[2], before[1] + before[3]));
    EXPECT_THAT(Floats(outputs[1]), ElementsAre(before[1], before[0], before[3], before[2]));
  }
}

TEST(GivenMemory, ResultsMayChangePlaces) {
  auto session = MakeSession(kTwo);
  auto call = session->MakeCallable({.feeds = {"x"}, .fetches = {"sums", "swapped"}});
  Tensor outputs[2];
  const Tensor x = MakeTensor<float>({2, 2}, {1, 2, 3, 4});
  ASSERT_TRUE((*call)->Run({x}, outputs).ok());
  Tensor moved[] = {outputs[1], Tensor()};
  ASSERT_TRUE((*call)->Run({x}, moved).ok());
  EXPECT_THAT(Floats(moved[0]), ElementsAre(1, 2, 4, 6));
  EXPECT_THAT(Floats(moved[1]), ElementsAre(2, 1, 4, 3));
}

TEST(GivenMemory, AResultIsNeverTheProgramsOwnConstant) {
  auto session = MakeSession(R"(
graph g (%x: f32[2], %b: bool[]) {
  %c = Constant {value = f32[2] [5, 6]}
  %d = Constant {value = f32[2] [7, 8]}
  %y = Neg(%x)
  %i = If(%b) {
    else_branch = graph () { return %c },
    then_branch = graph () { return %d }
  }
  %s = Shape(%x)
  return %c, %y, %i, %s
}
)");
  const Feeds feeds = {{"x", MakeTensor<float>({2}, {1, 2})}, {"b", MakeBools({}, {1})}};
  for (int round = 0; round < 3; ++round) {
    auto r = session->Run(feeds);
    ASSERT_TRUE(r.ok()) << r.status();
    EXPECT_THAT(Floats((*r)[0]), ElementsAre(5, 6)) << round;
    EXPECT_THAT(Floats((*r)[1]), ElementsAre(-1, -2)) << round;
    EXPECT_THAT(Floats((*r)[2]), ElementsAre(7, 8)) << round;
    EXPECT_EQ((*r)[3].data<int64_t>()[0], 2) << round;
    for (Tensor& t : *r) std::memset(t.mutable_raw(), 0x55, t.bytes());  // they are the caller's
  }
}

}  // namespace
}  // namespace sluice
