// Winograd's convolutions against sums in f64.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "absl/strings/match.h"
#include "tests/kernels/conv_case.h"

namespace sluice {
namespace {

constexpr const char* kBoth[] = {"winograd 2x2", "winograd 4x4"};

TEST(Winograd, AnyExtentsPadsAndChannels) {
  const ConvCase cases[] = {
      {},
      {.c = 8, .k = 8, .h = 3, .w = 3, .pads = {0, 0, 0, 0}},
      {.n = 2, .c = 17, .k = 9, .h = 7, .w = 5},
      {.c = 24, .k = 49, .h = 13, .w = 30, .pads = {0, 1, 2, 3}},
      {.c = 33, .k = 64, .h = 1, .w = 40},
      {.c = 9, .k = 100, .h = 21, .w = 1, .pads = {2, 2, 2, 2}},
      {.n = 3, .c = 64, .k = 31, .h = 14, .w = 14},
      {.c = 16, .k = 16, .h = 70, .w = 66},
      {.c = 320, .k = 160, .h = 6, .w = 9},
  };
  for (ConvCase s : cases) {
    const ConvData data = NormalData(s);
    const Numbers reference = Direct<double>(s, data);
    for (const char* candidate : kBoth) {
      for (int threads : {1, 3}) {
        for (Layout in : {Layout::kPlain, Layout::kChannelsLast}) {
          s.threads = threads;
          s.in = in;
          s.out = threads == 1 ? in : Layout::kPlain;
          const ConvResult r = Convolve(s, data, candidate);
          ASSERT_TRUE(r.status.ok()) << r.status;
          EXPECT_LT(Error(r.y, reference), 2.5e-6) << r.description << " " << s.n << " " << s.c
                                                   << " " << s.k << " " << s.h << " " << s.w;
        }
      }
    }
  }
}

TEST(Winograd, Volumes) {
  const ConvCase cases[] = {
      {.z = {.extent = 5, .taps = 3, .before = 1, .after = 1}},
      {.n = 2, .c = 9, .k = 20, .h = 7, .w = 11, .z = {.extent = 4, .taps = 1}},
      {.c = 24, .k = 8, .z = {.extent = 7, .taps = 3, .stride = 2, .before = 1, .after = 0}},
      {.n = 2, .z = {.extent = 6, .taps = 2, .stride = 3, .before = 0, .after = 2}},
      {.z = {.extent = 1, .taps = 3, .before = 1, .after = 1}},
      {.z = {.extent = 2, .taps = 5, .before = 4, .after = 4}},
      // The first and last slices see padding alone.
      {.z = {.extent = 3, .taps = 2, .before = 3, .after = 4}},
      {.c = 72, .k = 64, .h = 20, .w = 18, .z = {.extent = 4, .taps = 3, .before = 1, .after = 1}},
      {.n = 2,
       .steps = {"Add", "Relu"},
       .operands = {{2, 16, 3, 12, 12}},
       .z = {.extent = 5, .taps = 3}},
  };
  for (ConvCase s : cases) {
    const ConvData data = NormalData(s);
    Numbers reference = Direct<double>(s, data);
    for (size_t i = 0; i < reference.size() && !s.steps.empty(); ++i)
      reference[i] = std::max(0.0, reference[i] + data.operands[0][i]);
    for (const char* candidate : kBoth) {
      for (int threads : {1, 3}) {
        for (Layout layout : {Layout::kPlain, Layout::kChannelsLast}) {
          s.threads = threads;
          s.in = s.out = layout;
          const ConvResult r = Convolve(s, data, candidate);
          ASSERT_TRUE(r.status.ok()) << r.status;
          EXPECT_LT(Error(r.y, reference), 2.5e-6)
              << r.description << " " << s.z.extent << " by " << s.z.taps << ", " << threads;
        }
      }
    }
  }
}

TEST(Winograd, ResultsDoNotDependOnThreads) {
  for (ConvCase s : {ConvCase{.n = 2, .c = 40, .k = 24, .h = 30, .w = 31},
                     ConvCase{.c = 48, .k = 48, .h = 12, .w = 9, .z = {.extent = 4, .taps = 3}},
                     ConvCase{.c = 256, .k = 256, .h = 10, .w = 11}}) {
    const ConvData data = NormalData(s);
    for (const char* candidate : kBoth) {
      const Numbers one = Convolve(s, data, candidate).y;
      ASSERT_FALSE(one.empty());
      for (int threads : {2, 3, 8}) {
        s.threads = threads;
        EXPECT_EQ(Convolve(s, data, candidate).y, one) << candidate << " " << threads;
      }
      s.threads = 1;
    }
  }
}

TEST(Winograd, StepsAreApplied) {
  ConvCase s{.n = 2, .c = 12, .k = 20, .h = 9, .w = 10};
  const Dims full = {2, 20, 9, 10}, channel = {20, 1, 1}, image = {1, 1, 9, 10}, one = {1};
  struct Steps {
    std::vector<std::string> names;
    std::vector<float> params;
    std::vector<Dims> operands;
    double (*apply)(double y, const std::vector<double>& operands);
  };
  const Steps all[] = {
      {{"Relu"}, {}, {}, [](double y, const Numbers&) { return std::max(y, 0.0); }},
      {{"Clip"},
       {-0.5f, 0.25f},
       {},
       [](double y, const Numbers&) { return std::clamp(y, -0.5, 0.25); }},
      {{"Add", "Relu"},
       {},
       {full},
       [](double y, const Numbers& o) { return std::max(y + o[0], 0.0); }},
      {{"Relu", "Mul", "Add"},
       {},
       {channel, full},
       [](double y, const Numbers& o) { return std::max(y, 0.0) * o[0] + o[1]; }},
      {{"Sigmoid", "Mul"},
       {},
       {image},
       [](double y, const Numbers& o) { return 1 / (1 + std::exp(-y)) * o[0]; }},
      {{"Sub", "LeakyRelu"},
       {0.1f},
       {one},
       [](double y, const Numbers& o) { return y - o[0] < 0 ? 0.1 * (y - o[0]) : y - o[0]; }},
  };
  for (const Steps& steps : all) {
    s.steps = steps.names;
    s.params = steps.params;
    s.operands = steps.operands;
    const ConvData data = NormalData(s);
    Numbers reference = Direct<double>(s, data);
    for (size_t i = 0; i < reference.size(); ++i) {
      const int64_t at = static_cast<int64_t>(i) % 90, k = static_cast<int64_t>(i) / 90 % 20;
      Numbers operands;
      for (size_t o = 0; o < steps.operands.size(); ++o) {
        const Dims& d = steps.operands[o];
        operands.push_back(data.operands[o][d == full      ? i
                                            : d == channel ? k
                                            : d == image   ? at
                                                           : 0]);
      }
      reference[i] = steps.apply(reference[i], operands);
    }
    for (const char* candidate : kBoth) {
      for (Layout layout : {Layout::kPlain, Layout::kChannelsLast}) {
        for (int threads : {1, 2}) {
          s.in = s.out = layout;
          s.threads = threads;
          const ConvResult r = Convolve(s, data, candidate);
          ASSERT_TRUE(r.status.ok()) << r.status;
          EXPECT_LT(Error(r.y, reference), 2.5e-6) << r.description << " " << steps.names[0];
        }
      }
    }
  }
}

// What winograd_transform.h states of the error, with what a plain f32 sum makes of the same data.
TEST(Winograd, ErrorIsAsStated) {
  const ConvCase s{.c = 128, .k = 64, .h = 14, .w = 14, .bias = false};
  std::mt19937 rng(7);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> exponent(-3, 3);
  const auto round = [](double v) { return static_cast<double>(static_cast<float>(v)); };
  std::vector<std::pair<std::string, ConvData>> kinds;
  kinds.push_back({"normal", NormalData(s)});

  ConvData wide = NormalData(s);  // magnitudes of 1e-3 to 1e3
  for (double& v : wide.x) v = round(std::copysign(std::pow(10, exponent(rng)), v));
  for (double& v : wide.w) v = round(std::copysign(std::pow(10, exponent(rng)), v));
  kinds.push_back({"wide", wide});

  ConvData positive = NormalData(s);  // behind a Relu, with a large mean
  for (double& v : positive.x) v = round(std::abs(v) + 3);
  kinds.push_back({"positive", positive});

  // As training leaves it: filters of a spectrum that falls as 1/rank, smooth in space; images
  // whose neighbours are alike, channels of very different scale.
  ConvData trained = NormalData(s);
  constexpr int kRank = 32;
  const Numbers left = Normal(s.k * kRank, 11), right = Normal(kRank * s.c * 9, 12);
  for (int64_t k = 0; k < s.k; ++k) {
    for (int64_t i = 0; i < s.c * 9; ++i) {
      double sum = 0;
      for (int r = 0; r < kRank; ++r) {
        const double blur = 0.5 * right[r * s.c * 9 + i] + 0.5 * right[r * s.c * 9 + i / 9 * 9 + 4];
        sum += left[k * kRank + r] * blur / (r + 1);
      }
      trained.w[k * s.c * 9 + i] = round(sum / std::sqrt(9.0 * s.c));
    }
  }
  for (int64_t c = 0; c < s.c; ++c) {
    const double scale = std::pow(10, exponent(rng) / 3);
    for (int64_t i = 0; i < s.h * s.w; ++i) {
      double& v = trained.x[c * s.h * s.w + i];
      const double before = i > 0 ? trained.x[c * s.h * s.w + i - 1] / scale : 0;
      v = round(std::max(0.0, 0.9 * before + 0.4 * normal(rng)) * scale);
    }
  }
  kinds.push_back({"trained", trained});

  for (const auto& [name, data] : kinds) {
    const Numbers reference = Direct<double>(s, data);
    const double plain = Error(Direct<float>(s, data), reference);
    const double two = Error(Convolve(s, data, kBoth[0]).y, reference);
    const double four = Error(Convolve(s, data, kBoth[1]).y, reference);
    std::printf("%-9s plain sum %.1e, 2x2 %.1e, 4x4 %.1e\n", name.c_str(), plain, two, four);
    EXPECT_LT(two, 1e-6) << name;
    EXPECT_LT(four, 2.5e-6) << name;
  }
}

// What is not finite reaches the results that see it and no others, with the same bits on any
// number of threads.
TEST(Winograd, WhatIsNotFiniteStaysInItsWindows) {
  const auto kind = [](double v) {
    return std::isnan(v) ? 2 : std::isinf(v) ? (v > 0 ? 1 : -1) : 0;
  };
  const auto bits = [](const Numbers& v) {
    std::vector<uint64_t> b;
    for (double x : v) b.push_back(std::bit_cast<uint64_t>(x));
    return b;
  };
  const ConvCase cases[] = {
      {.n = 2, .c = 12, .k = 20, .h = 13, .w = 14},
      {.c = 64, .k = 40, .h = 9, .w = 30, .steps = {"Relu"}},
      {.c = 16,
       .k = 24,
       .h = 12,
       .w = 7,
       .steps = {"Clip", "Add"},
       .params = {-1, 2},
       .operands = {{1, 24, 12, 7}}},
      {.c = 9, .k = 17, .h = 10, .w = 11, .z = {.extent = 4, .taps = 3, .before = 1, .after = 1}},
  };
  for (ConvCase s : cases) {
    ConvData data = NormalData(s);
    const size_t plane = static_cast<size_t>(s.h * s.w);
    data.x[plane + 17] = NAN;
    data.x[3 * plane + 40] = INFINITY;
    data.x[5 * plane + plane - 1] = -INFINITY;
    Numbers reference = Direct<double>(s, data);
    size_t finite = 0;
    for (size_t i = 0; i < reference.size(); ++i) {
      double& y = reference[i];
      if (!s.steps.empty() && s.steps[0] == "Relu" && y < 0) y = 0;
      if (!s.steps.empty() && s.steps[0] == "Clip") {
        y = y < -1 ? -1 : y > 2 ? 2 : y;
        y += data.operands[0][i];
      }
      finite += std::isfinite(y);
    }
    ASSERT_LT(finite, reference.size());
    for (const char* candidate : kBoth) {
      std::vector<uint64_t> first;
      for (int threads : {1, 2, 3}) {
        for (Layout layout : {Layout::kPlain, Layout::kChannelsLast}) {
          s.threads = threads;
          s.in = s.out = layout;
          const ConvResult r = Convolve(s, data, candidate);
          ASSERT_TRUE(r.status.ok()) << r.status;
          for (size_t i = 0; i < reference.size(); ++i) {
            ASSERT_EQ(kind(r.y[i]), kind(reference[i]))
                << r.description << " at " << i << ": " << r.y[i] << ", not " << reference[i];
            if (std::isfinite(reference[i])) {
              ASSERT_NEAR(r.y[i], reference[i], 1e-4 + 1e-5 * std::abs(reference[i]))
                  << r.description << " at " << i;
            }
          }
          if (first.empty()) first = bits(r.y);
          EXPECT_EQ(bits(r.y), first) << r.description << " " << threads << " threads";
        }
      }
    }
  }
}

TEST(Winograd, RefusesWithTheReason) {
  const auto why = [](const ConvCase& s) {
    const ConvResult r = Convolve(s, NormalData(s), "winograd 4x4");
    return absl::IsUnimplemented(r.status) ? std::string(r.status.message()) : "taken";
  };
  EXPECT_EQ(why({}), "taken");
  EXPECT_EQ(why({.accuracy = Accuracy::kStrict}), "accuracy is strict");
  EXPECT_TRUE(absl::StrContains(why({.strides = {2, 2}}), "stride 1"));
  EXPECT_TRUE(absl::StrContains(why({.c = 3}), "fewer than 8 channels"));
  EXPECT_TRUE(absl::StrContains(why({.constant = false}), "change from run to run"));
}

}  // namespace
}  // namespace sluice
