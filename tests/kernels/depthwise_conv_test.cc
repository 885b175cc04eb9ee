// Depthwise convolutions against sums in f64.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "tests/kernels/conv_case.h"

namespace sluice {
namespace {

constexpr const char* kName = "depthwise";

ConvCase Depthwise(int64_t channels, ConvCase s) {
  s.c = s.k = s.group = channels;
  return s;
}

TEST(DepthwiseConv, AnyExtentsAndWindows) {
  const ConvCase cases[] = {
      Depthwise(32, {}),
      Depthwise(16, {.n = 3, .h = 7, .w = 7}),
      Depthwise(72, {.n = 2, .h = 9, .w = 17, .strides = {2, 2}}),  // no whole vectors
      Depthwise(19, {.h = 1, .w = 30}),
      Depthwise(21, {.h = 30, .w = 1}),
      Depthwise(16, {.h = 2, .w = 2, .pads = {3, 4, 5, 6}}),
      Depthwise(32, {.h = 14, .w = 15, .pads = {2, 2, 2, 2}, .kernel = {5, 5}}),
      Depthwise(32, {.h = 15, .w = 15, .pads = {2, 2, 1, 1}, .strides = {2, 2}, .kernel = {5, 5}}),
      Depthwise(24, {.h = 14, .w = 23, .pads = {3, 3, 3, 3}, .kernel = {7, 7}}),
      Depthwise(24, {.h = 14, .w = 23, .pads = {3, 3, 3, 3}, .strides = {2, 2}, .kernel = {7, 7}}),
      Depthwise(16, {.h = 11, .w = 12, .pads = {0, 1, 0, 1}, .kernel = {1, 3}}),
      Depthwise(16, {.h = 11, .w = 12, .pads = {0, 0, 0, 0}, .kernel = {4, 2}}),
      Depthwise(16, {.h = 16, .w = 20, .pads = {2, 2, 2, 2}, .dilations = {2, 2}}),
      Depthwise(16, {.h = 16, .w = 20, .strides = {3, 1}, .dilations = {1, 3}}),
      Depthwise(16, {.h = 20, .w = 9, .strides = {5, 4}}),  // lines that no window sees
      Depthwise(16, {.bias = false}),
      // Larger than the second-level cache of most machines: read ahead.
      Depthwise(64, {.h = 150, .w = 140, .strides = {2, 2}}),
      Depthwise(96, {.n = 3, .h = 80, .w = 50}),
  };
  for (ConvCase s : cases) {
    const ConvData data = NormalData(s);
    const Numbers reference = Direct<double>(s, data);
    for (int threads : {1, 3, 40}) {
      s.threads = threads;
      const ConvResult r = Convolve(s, data, kName);
      ASSERT_TRUE(r.status.ok()) << r.status;
      EXPECT_LT(Error(r.y, reference), 1e-6)
          << r.description << " " << s.n << " " << s.c << " " << s.h << " " << s.w;
    }
  }
}

TEST(DepthwiseConv, ResultsDoNotDependOnThreads) {
  ConvCase s = Depthwise(20, {.n = 2, .h = 21, .w = 23});
  const ConvData data = NormalData(s);
  const Numbers one = Convolve(s, data, kName).y;
  ASSERT_FALSE(one.empty());
  for (int threads : {2, 5, 64}) {
    s.threads = threads;
    EXPECT_EQ(Convolve(s, data, kName).y, one) << threads;
  }
}

TEST(DepthwiseConv, StepsAreApplied) {
  ConvCase s = Depthwise(24, {.n = 2, .h = 9, .w = 10});
  s.steps = {"HardSwish", "Mul", "Add", "Clip"};
  s.params = {-0.5f, 0.75f};
  const Dims full = {2, 24, 9, 10}, channel = {24, 1, 1};
  s.operands = {channel, full};
  const ConvData data = NormalData(s);
  Numbers reference = Direct<double>(s, data);
  for (size_t i = 0; i < reference.size(); ++i) {
    const double y = reference[i], swish = y * std::clamp(y / 6 + 0.5, 0.0, 1.0);
    reference[i] =
        std::clamp(swish * data.operands[0][i / 90 % 24] + data.operands[1][i], -0.5, 0.75);
  }
  for (int threads : {1, 2}) {
    s.threads = threads;
    const ConvResult r = Convolve(s, data, kName);
    ASSERT_TRUE(r.status.ok()) << r.status;
    EXPECT_LT(Error(r.y, reference), 1e-6);
  }
}

// A number that is not finite stays in its channel, and the bounds of a step let it through.
TEST(DepthwiseConv, ChannelsDoNotMeet) {
  ConvCase s = Depthwise(17, {.h = 4, .w = 4, .steps = {"Relu"}});
  ConvData data = NormalData(s);
  data.x[5] = NAN;  // of channel 0
  const Numbers y = Convolve(s, data, kName).y;
  for (size_t i = 0; i < y.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i) % 16;
    EXPECT_EQ(std::isnan(y[i]), i < 16 && at / 4 <= 2 && at % 4 <= 2) << i;
  }
}

TEST(DepthwiseConv, RefusesWithTheReason) {
  const auto why = [](const ConvCase& s) {
    const ConvResult r = Convolve(s, NormalData(s), kName);
    return absl::IsUnimplemented(r.status) ? std::string(r.status.message()) : "taken";
  };
  EXPECT_EQ(why(Depthwise(32, {})), "taken");
  EXPECT_EQ(why({.group = 4}), "not depthwise");
  // Taps that lie far apart under padding; larger windows no graph may have.
  for (int64_t far : {int64_t{1} << 20, (int64_t{1} << 31) - 8}) {
    EXPECT_EQ(
        why(Depthwise(16, {.pads = {far, far, 0, 0}, .kernel = {2, 2}, .dilations = {far, far}})),
        "the window reaches too far");
  }
  EXPECT_EQ(why(Depthwise(32, {.constant = false})), "the filters change from run to run");
  EXPECT_EQ(why(Depthwise(3, {})), "fewer channels than a vector has lanes");
  EXPECT_TRUE(absl::StrContains(why(Depthwise(32, {.in = Layout::kPlain})), "channels-last"));
}

}  // namespace
}  // namespace sluice
