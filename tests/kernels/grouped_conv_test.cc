// Convolutions in groups, by vectors of features, against sums in f64.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "tests/kernels/conv_case.h"

namespace sluice {
namespace {

constexpr const char* kName = "grouped";

TEST(GroupedConv, AnyGroupsExtentsAndWindows) {
  // Groups of 2, 4 and 8 channels share vectors of 4, 8 and 16; the others have vectors of their
  // own, whole or not.
  const ConvCase cases[] = {
      {.c = 32, .k = 32, .group = 8},
      {.n = 2, .c = 128, .k = 128, .h = 9, .w = 17, .group = 32},
      {.c = 40, .k = 40, .h = 7, .w = 7, .group = 5},  // the last vector is half full
      {.c = 12, .k = 12, .h = 5, .w = 3, .group = 6},
      {.c = 24, .k = 24, .h = 6, .w = 25, .group = 8},  // 3 divide no vector
      {.c = 32, .k = 32, .h = 8, .w = 8, .group = 2},
      {.c = 48, .k = 48, .h = 11, .w = 10, .group = 2},  // one vector and a half
      {.c = 8, .k = 24, .h = 10, .w = 10, .group = 4},
      {.c = 24, .k = 8, .h = 10, .w = 10, .group = 4},
      {.c = 6, .k = 24, .h = 4, .w = 30, .group = 6},  // one channel to four
      {.c = 64, .k = 64, .h = 1, .w = 1, .group = 16},
      {.c = 16, .k = 16, .h = 2, .w = 1, .pads = {3, 2, 1, 4}, .group = 4},
      {.c = 16, .k = 16, .h = 40, .w = 70, .pads = {0, 0, 0, 0}, .group = 4},
      {.c = 32, .k = 32, .h = 15, .w = 15, .strides = {2, 2}, .group = 8},
      {.c = 32, .k = 32, .h = 14, .w = 15, .strides = {1, 2}, .group = 4},
      {.c = 32, .k = 32, .h = 15, .w = 21, .strides = {3, 1}, .dilations = {1, 2}, .group = 8},
      {.c = 16, .k = 16, .h = 16, .w = 16, .strides = {2, 2}, .dilations = {2, 2}, .group = 4},
      {.c = 16, .k = 16, .pads = {0, 0, 0, 0}, .kernel = {1, 1}, .group = 4},
      {.c = 16, .k = 16, .pads = {2, 3, 2, 3}, .kernel = {5, 7}, .group = 4},
      {.c = 16, .k = 16, .pads = {0, 1, 0, 1}, .strides = {4, 1}, .kernel = {2, 3}, .group = 4},
      {.c = 16, .k = 16, .bias = false, .group = 2},
  };
  for (ConvCase s : cases) {
    const ConvData data = NormalData(s);
    const Numbers reference = Direct<double>(s, data);
    for (int threads : {1, 3, 16}) {
      s.threads = threads;
      const ConvResult r = Convolve(s, data, kName);
      ASSERT_TRUE(r.status.ok()) << r.status;
      EXPECT_LT(Error(r.y, reference), 1e-6)
          << r.description << " " << s.n << " " << s.c << " " << s.k << " " << s.h << " " << s.w;
    }
  }
}

TEST(GroupedConv, ResultsDoNotDependOnThreads) {
  ConvCase s{.n = 2, .c = 64, .k = 64, .h = 21, .w = 23, .group = 8};
  const ConvData data = NormalData(s);
  const Numbers one = Convolve(s, data, kName).y;
  ASSERT_FALSE(one.empty());
  for (int threads : {2, 5, 64}) {
    s.threads = threads;
    EXPECT_EQ(Convolve(s, data, kName).y, one) << threads;
  }
}

TEST(GroupedConv, StepsAreApplied) {
  ConvCase s{.n = 2, .c = 24, .k = 24, .h = 9, .w = 10, .group = 3};
  const Dims full = {2, 24, 9, 10}, channel = {24, 1, 1};
  struct Steps {
    std::vector<std::string> names;
    std::vector<float> params;
    std::vector<Dims> operands;
    double (*apply)(double y, const Numbers& operands);
  };
  const Steps all[] = {
      {{"Relu"}, {}, {}, [](double y, const Numbers&) { return std::max(y, 0.0); }},
      {{"Clip", "Add"},
       {-0.5f, 0.25f},
       {full},
       [](double y, const Numbers& o) { return std::min(std::max(y, -0.5), 0.25) + o[0]; }},
      {{"Sigmoid", "Mul", "Add"},
       {},
       {channel, full},
       [](double y, const Numbers& o) { return 1 / (1 + std::exp(-y)) * o[0] + o[1]; }},
  };
  for (const Steps& steps : all) {
    s.steps = steps.names;
    s.params = steps.params;
    s.operands = steps.operands;
    const ConvData data = NormalData(s);
    Numbers reference = Direct<double>(s, data);
    for (size_t i = 0; i < reference.size(); ++i) {
      Numbers operands;
      for (size_t o = 0; o < steps.operands.size(); ++o)
        operands.push_back(data.operands[o][steps.operands[o] == full ? i : i / 90 % 24]);
      reference[i] = steps.apply(reference[i], operands);
    }
    for (int threads : {1, 2, 40}) {  // the last has parts of the features
      s.threads = threads;
      const ConvResult r = Convolve(s, data, kName);
      ASSERT_TRUE(r.status.ok()) << r.status;
      EXPECT_LT(Error(r.y, reference), 1e-6) << r.description << " " << steps.names[0];
    }
  }
}

// A number that is not finite stays in its group.
TEST(GroupedConv, GroupsDoNotMeet) {
  const ConvCase s{.c = 16, .k = 16, .h = 4, .w = 4, .bias = false, .group = 4};
  ConvData data = NormalData(s);
  data.x[5] = NAN;  // of channel 0
  const Numbers y = Convolve(s, data, kName).y;
  for (size_t i = 0; i < y.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i) % 16;
    const bool near = at / 4 <= 2 && at % 4 <= 2;
    EXPECT_EQ(std::isnan(y[i]), i < 64 && near) << i;
  }
}

TEST(GroupedConv, RefusesWithTheReason) {
  const auto why = [](const ConvCase& s) {
    const ConvResult r = Convolve(s, NormalData(s), kName);
    return absl::IsUnimplemented(r.status) ? std::string(r.status.message()) : "taken";
  };
  EXPECT_EQ(why({.group = 4}), "taken");
  EXPECT_EQ(why({}), "one group");
  // Taps that lie far apart under padding; larger windows no graph may have.
  for (int64_t far : {int64_t{1} << 20, (int64_t{1} << 31) - 8}) {
    EXPECT_EQ(
        why({.pads = {far, far, 0, 0}, .kernel = {2, 2}, .dilations = {far, far}, .group = 4}),
        "the window reaches too far");
  }
  EXPECT_EQ(why({.group = 16}), "depthwise");
  EXPECT_EQ(why({.constant = false, .group = 4}), "the filters change from run to run");
  EXPECT_TRUE(absl::StrContains(why({.in = Layout::kPlain, .group = 4}), "channels-last"));
}

}  // namespace
}  // namespace sluice
