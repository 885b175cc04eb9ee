// Nodes whose shapes only the data knows, and bodies that are never entered: with passes and
// without, shapes changing from run to run and from trip to trip in one session.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "sluice.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::vector<std::unique_ptr<Session>> Sessions(absl::string_view text) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  EXPECT_TRUE(graph.ok()) << graph.status();
  std::vector<std::unique_ptr<Session>> sessions;
  for (const bool passes : {true, false}) {
    SessionOptions options{.threads = 2};
    options.passes.enabled = passes;
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, options);
    EXPECT_TRUE(session.ok()) << session.status();
    if (session.ok()) sessions.push_back(*std::move(session));
  }
  return sessions;
}

Tensor Ints(const std::vector<int64_t>& values) {
  return MakeTensor<int64_t>({static_cast<int64_t>(values.size())}, values);
}
Tensor Iota(absl::Span<const int64_t> dims) {
  Tensor t = *Tensor::Allocate(DType::kF32, dims);
  for (int64_t i = 0; i < t.elements(); ++i) t.mutable_data<float>()[i] = static_cast<float>(i);
  return t;
}
std::vector<float> Floats(const Tensor& t) {
  return {t.data<float>(), t.data<float>() + t.elements()};
}

// Bags of rows of a table, summed: a slice, a gather and a sum of another length in each trip.
TEST(LateShapes, LengthsChangeFromTripToTrip) {
  constexpr absl::string_view kBags = R"(
graph bags (%ids: i64[n], %offsets: i64[m], %table: f32[rows,3], %bags: i64[]) {
  %true = Constant {value = bool[] [true]}
  %one = Constant {value = i64[] [1]}
  %axis = Constant {value = i64[1] [0]}
  %y, %z = Loop(%bags, %true) {body = graph (%i: i64[], %go: bool[]) {
    %next = Add(%i, %one)
    %from = Gather(%offsets, %i)
    %to = Gather(%offsets, %next)
    %from1 = Unsqueeze(%from, %axis)
    %to1 = Unsqueeze(%to, %axis)
    %bag = Slice(%ids, %from1, %to1, %axis)
    %picked = Gather(%table, %bag)
    %sum = ReduceSum(%picked, %axis) {keepdims = 0}
    %mean = ReduceMean(%picked, %axis)
    %stay = Identity(%go)
    return %stay, %sum, %mean
  }}
  return %y, %z
}
)";
  const Tensor table = Iota({7, 3});
  for (const auto& session : Sessions(kBags)) {
    for (const std::vector<int64_t>& lengths :
         std::vector<std::vector<int64_t>>{{3, 1, 4, 1, 5}, {2, 9, 1}, {1}, {70, 3, 70}}) {
      std::vector<int64_t> ids, offsets = {0};
      std::vector<float> sums, means;
      for (const int64_t length : lengths) {
        std::vector<float> sum(3, 0);
        for (int64_t k = 0; k < length; ++k) {
          const int64_t id = (static_cast<int64_t>(ids.size()) * 5 + 2) % 7;
          ids.push_back(id);
          for (int c = 0; c < 3; ++c) sum[c] += static_cast<float>(id * 3 + c);
        }
        offsets.push_back(static_cast<int64_t>(ids.size()));
        for (float s : sum) sums.push_back(s);
        for (float s : sum) means.push_back(s / static_cast<float>(length));
      }
      auto result =
          session->Run({{"ids", Ints(ids)},
                        {"offsets", Ints(offsets)},
                        {"table", table},
                        {"bags", Tensor::Scalar<int64_t>(static_cast<int64_t>(lengths.size()))}});
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(Floats((*result)[0]), sums);
      EXPECT_THAT(Floats((*result)[1]), testing::Pointwise(testing::FloatNear(1e-5f), means));
    }
  }
}

TEST(LateShapes, AnIndexOfTheDataOutsideIsAnErrorAtTheNode) {
  for (const auto& session : Sessions(R"(
graph g (%x: f32[n], %i: i64[k]) {
  %shape = Constant {value = i64[1] [-1]}
  %positive = NonZero(%x)
  %flat = Reshape(%positive, %shape)
  %y = Gather(%flat, %i)
  return %y
})")) {
    auto result = session->Run({{"x", Iota({4})}, {"i", Ints({0, 3})}});
    EXPECT_EQ(result.status().code(), absl::StatusCode::kOutOfRange) << result.status();
    EXPECT_THAT(std::string(result.status().message()), HasSubstr("Gather(")) << result.status();
  }
}

// Kernels that want an input's contents get them when they are there, for each contents anew.
TEST(LateShapes, ContentsComeLate) {
  for (const auto& session : Sessions(R"(
graph g (%x: f32[n,m], %k: i64[1], %axes: i64[a], %axis: i64[]) {
  %values, %indices = TopK(%x, %k) {axis = 1}
  %sum = ReduceSum(%values, %axes) {keepdims = 0}
  %running = CumSum(%values, %axis)
  return %values, %sum, %running
})")) {
    const Tensor x = MakeTensor<float>({2, 3}, {3, 1, 2, 4, 6, 5});
    auto run = [&](int64_t k, const std::vector<int64_t>& axes, int64_t axis) {
      return session->Run({{"x", x},
                           {"k", Ints({k})},
                           {"axes", Ints(axes)},
                           {"axis", Tensor::Scalar<int64_t>(axis)}});
    };
    auto two = run(2, {1}, 1);
    ASSERT_TRUE(two.ok()) << two.status();
    EXPECT_THAT(Floats((*two)[0]), testing::ElementsAre(3, 2, 6, 5));
    EXPECT_THAT(Floats((*two)[1]), testing::ElementsAre(5, 11));
    EXPECT_THAT(Floats((*two)[2]), testing::ElementsAre(3, 5, 6, 11));
    auto one = run(1, {0, 1}, 0);
    ASSERT_TRUE(one.ok()) << one.status();
    EXPECT_THAT(Floats((*one)[0]), testing::ElementsAre(3, 6));
    EXPECT_THAT(Floats((*one)[1]), testing::ElementsAre(9));
    EXPECT_THAT(Floats((*one)[2]), testing::ElementsAre(3, 9));
    EXPECT_FALSE(run(7, {1}, 1).ok());
    EXPECT_TRUE(run(3, {-1}, -1).ok());
  }
}

// What the data sizes goes through all kinds of nodes, fused ones among them.
TEST(LateShapes, WhatIsSizedByDataFlowsThroughEverything) {
  for (const auto& session : Sessions(R"(
graph g (%x: f32[n,4], %keep: bool[n]) {
  %w = Constant {value = f32[4,2] [1, 0, 0, 1, 1, 0, 0, 1]}
  %b = Constant {value = f32[2] [0.5, -100]}
  %rows = Compress(%x, %keep) {axis = 0}
  %m = MatMul(%rows, %w)
  %a = Add(%m, %b)
  %r = Relu(%a)
  %t = Transpose(%r) {perm = [1, 0]}
  %c = Concat(%t, %t) {axis = 0}
  %s = Softmax(%c) {axis = 0}
  return %r, %s
})")) {
    auto run = [&](const std::vector<int>& keep) {
      return session->Run({{"x", Iota({static_cast<int64_t>(keep.size()), 4})},
                           {"keep", MakeBools({static_cast<int64_t>(keep.size())}, keep)}});
    };
    auto result = run({0, 1, 0, 1});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_THAT(Floats((*result)[0]), testing::ElementsAre(10.5, 0, 26.5, 0));
    EXPECT_EQ((*result)[1].TypeString(), "f32[4,2]");
    result = run({0, 0});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ((*result)[0].TypeString(), "f32[0,2]");
    EXPECT_EQ((*result)[1].TypeString(), "f32[4,0]");
  }
}

TEST(LateShapes, ResultsWithoutElementsNeedNoMemory) {
  for (const auto& session : Sessions(R"(
graph g (%x: f32[n,4], %none: i64[1]) {
  %s = Constant {value = i64[2] [2, 2]}
  %a, %b = Split(%x, %s) {axis = 1}
  %r = Relu(%a)
  %d = Concat(%r, %b) {axis = 1}
  %t = Transpose(%d) {perm = [1, 0]}
  %e = Expand(%t, %none)
  %filled = ConstantOfShape(%none)
  return %e, %filled
})")) {
    auto result = session->Run({{"x", Iota({0, 4})}, {"none", Ints({0})}});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ((*result)[0].TypeString(), "f32[4,0]");
    EXPECT_EQ((*result)[1].TypeString(), "f32[0]");
    // Memory that is no memory: no elements, no address.
    result = session->Run(
        {{"x", Tensor::Wrap(DType::kF32, {0, 4}, nullptr, nullptr)}, {"none", Ints({0})}});
    ASSERT_TRUE(result.ok()) << result.status();
  }
}

// A branch may be wrong for the shapes at hand as long as it is not entered.
TEST(BodiesNotEntered, ABranchMayBeWrongForTheShapes) {
  for (const char* shape : {"n,m", "3,4"}) {
    for (const auto& session : Sessions(absl::StrCat("graph g (%x: f32[", shape, R"(], %c: bool[]) {
  %axis = Constant {value = i64[1] [0]}
  %y = If(%c) {then_branch = graph () {
    %s = Squeeze(%x, %axis)
    return %s
  }, else_branch = graph () {
    %e = Identity(%x)
    return %e
  }}
  %z = Relu(%y)
  return %z
})"))) {
      auto result = session->Run({{"x", Iota({3, 4})}, {"c", Tensor::Scalar<bool>(false)}});
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(Floats((*result)[0]), Floats(Iota({3, 4})));
      result = session->Run({{"x", Iota({3, 4})}, {"c", Tensor::Scalar<bool>(true)}});
      EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(result.status().message()), HasSubstr("Squeeze"));
    }
  }
}

TEST(BodiesNotEntered, ALoopOrScanWithoutTripsMayHaveABodyThatDoesNotFit) {
  for (const auto& session : Sessions(R"(
graph g (%x: f32[p,4], %n: i64[], %seq: f32[len,2]) {
  %axis = Constant {value = i64[1] [0]}
  %start = Constant {value = f32[4] [1, 2, 3, 4]}
  %l, %rows = Loop(%n, _, %start) {body = graph (%i: i64[], %c: bool[], %a: f32[4]) {
    %go = Identity(%c)
    %sq = Squeeze(%x, %axis)
    %sum = Add(%a, %sq)
    return %go, %sum, %sum
  }}
  %s = Scan(%start, %seq) {body = graph (%state: f32[4], %e: f32[2]) {
    %wrong = Add(%state, %e)
    return %wrong
  }, num_scan_inputs = 1}
  return %l, %s
})")) {
    auto run = [&](int64_t rows, int64_t trips, int64_t length) {
      return session->Run({{"x", Iota({rows, 4})},
                           {"n", Tensor::Scalar<int64_t>(trips)},
                           {"seq", Iota({length, 2})}});
    };
    auto result = run(3, 0, 0);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_THAT(Floats((*result)[0]), testing::ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(Floats((*result)[1]), testing::ElementsAre(1, 2, 3, 4));
    result = run(1, 2, 0);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_THAT(Floats((*result)[0]), testing::ElementsAre(1, 4, 7, 10));
    EXPECT_FALSE(run(3, 1, 0).ok());
    EXPECT_FALSE(run(1, 1, 3).ok());
  }
}

// Ops, attributes and dtypes are right or wrong whatever the shapes: told at once.
TEST(BodiesNotEntered, DtypesMustFitAllTheSame) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(R"(
graph g (%x: f32[n], %k: i64[n], %c: bool[]) {
  %y = If(%c) {then_branch = graph () {
    %s = Add(%x, %k)
    return %s
  }, else_branch = graph () {
    %e = Identity(%x)
    return %e
  }}
  return %y
})",
                                                       StandardOps());
  EXPECT_EQ(graph.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(graph.status().message()), HasSubstr("Add"));
}

}  // namespace
}  // namespace sluice
