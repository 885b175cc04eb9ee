#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ops/op.h"
#include "runtime/session.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

const Tensor kTrain = MakeBools({}, {1});
const Tensor kInfer = MakeBools({}, {0});

// One node, of which all inputs are fed, in a session; both outputs.
absl::StatusOr<std::vector<Tensor>> Dropout(const std::vector<Tensor>& inputs,
                                            const AttrList& attrs = {},
                                            const SessionOptions& options = {.seed = 1}) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  std::vector<Value*> values;
  Feeds feeds;
  for (size_t i = 0; i < inputs.size(); ++i) {
    values.push_back(nullptr);
    if (!inputs[i].valid()) continue;
    feeds.push_back({absl::StrCat("x", i), inputs[i]});
    values.back() = b.Input(feeds.back().first, Type::Of(inputs[i]));
  }
  const std::vector<Value*> y = b.OpN("Dropout", values, 2, attrs);
  b.Output(y[0], "y");
  b.Output(y[1], "mask");
  if (!b.status().ok()) return b.status();
  auto session = Session::Create(graph, options);
  if (!session.ok()) return session.status();
  return (*session)->Run(feeds);
}

TEST(Dropout, InferenceIsTheInputAndAnAllTrueMask) {
  const Tensor x = *Tensor::Random(DType::kF32, {3, 5}, {.seed = 1});
  for (const Tensor& mode : {Tensor(), kInfer}) {
    auto y = Dropout({x, Tensor::Scalar<float>(0.7f), mode});
    ASSERT_TRUE(y.ok()) << y.status();
    EXPECT_TRUE((*y)[0] == x);
    EXPECT_EQ((*y)[1], MakeBools({3, 5}, std::vector<int>(15, 1)));
  }
}

TEST(Dropout, TrainingWithRatioZeroIsExact) {
  const Tensor x = *Tensor::Random(DType::kF16, {64}, {.seed = 1});
  auto y = Dropout({x, Tensor::Scalar<float>(0), kTrain}, {{"seed", 3}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_TRUE((*y)[0] == x);
}

TEST(Dropout, RatioOneGivesZeros) {
  const Tensor x = MakeTensor<float>({3}, {1, -2, INFINITY});
  auto y = Dropout({x, Tensor::Scalar<float>(1), kTrain});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0], MakeTensor<float>({3}, {0, 0, 0}));
  EXPECT_EQ((*y)[1], MakeBools({3}, {0, 0, 0}));
}

TEST(Dropout, KeepsTheExpectedShareScaledUp) {
  const Tensor x = *Tensor::Random(DType::kF64, {100000}, {.seed = 1, .scale = 0.1, .offset = 1});
  const std::vector<Tensor> inputs = {x, Tensor::Scalar<double>(0.25), kTrain};
  auto y = Dropout(inputs, {{"seed", 3}}, {.threads = 3});
  ASSERT_TRUE(y.ok()) << y.status();
  int64_t kept = 0;
  for (int64_t i = 0; i < x.elements(); ++i) {
    const bool keep = (*y)[1].data<bool>()[i];
    kept += keep;
    ASSERT_DOUBLE_EQ((*y)[0].data<double>()[i], keep ? x.data<double>()[i] / 0.75 : 0);
  }
  const double sigma = std::sqrt(0.75 * 0.25 / 1e5);
  EXPECT_NEAR(static_cast<double>(kept) / 1e5, 0.75, 3 * sigma);
  auto again = Dropout(inputs, {{"seed", 3}}, {.threads = 1});
  EXPECT_TRUE((*again)[0] == (*y)[0]);  // the seed alone decides, not the threads
  auto other = Dropout(inputs, {{"seed", 4}});
  EXPECT_FALSE((*other)[1] == (*y)[1]);
}

TEST(Dropout, ScalarsMayHaveAnAxis) {
  const Tensor x = Tensor::Scalar<float>(2);
  auto y = Dropout({x, MakeTensor<float>({1}, {0.5f}), MakeBools({1}, {1})});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0].rank(), 0);
}

TEST(Dropout, RatioOutsideItsRangeIsAnError) {
  const Tensor x = *Tensor::Random(DType::kF32, {4}, {.seed = 1});
  for (const float ratio : {-0.5f, 1.5f, NAN}) {
    auto y = Dropout({x, Tensor::Scalar<float>(ratio), kTrain});
    EXPECT_EQ(y.status().code(), absl::StatusCode::kOutOfRange);
    EXPECT_THAT(y.status().message(), HasSubstr("ratio is "));
  }
}

}  // namespace
}  // namespace sluice
