// Winograd's convolutions against sums in f64.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "graph/builder.h"
#include "kernels/cpu/cpu_kernels.h"
#include "ops/op.h"

namespace sluice {
namespace {

struct Case {
  int64_t n = 1, c = 16, k = 16, h = 12, w = 12;
  std::vector<int64_t> pads = {1, 1, 1, 1};
  std::vector<std::string> steps = {};
  std::vector<float> params = {};
  std::vector<Dims> operands = {};
  Layout in = Layout::kChannelsLast, out = Layout::kChannelsLast;
  int threads = 1;
  Accuracy accuracy = Accuracy::kStandard;
  std::vector<int64_t> strides = {1, 1};
  bool constant = true, bias = true;

  int64_t oh() const { return h + pads[0] + pads[2] - 2; }
  int64_t ow() const { return w + pads[1] + pads[3] - 2; }
};

using Numbers = std::vector<double>;
struct Data {
  Numbers x, w, bias;
  std::vector<Numbers> operands;
};

Numbers Normal(int64_t n, uint32_t seed, double scale = 1) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  Numbers v(static_cast<size_t>(n));
  for (double& x : v) x = static_cast<float>(normal(rng) * scale);
  return v;
}

Data NormalData(const Case& s) {
  Data d{Normal(s.n * s.c * s.h * s.w, 1),
         Normal(s.k * s.c * 9, 2, 1 / std::sqrt(9.0 * s.c)),
         Normal(s.k, 3),
         {}};
  for (const Dims& dims : s.operands) {
    int64_t n = 1;
    for (int64_t e : dims) n *= e;
    d.operands.push_back(Normal(n, 4));
  }
  return d;
}

// [N,C,H,W] numbers as a tensor that lies in `layout`.
Tensor ToTensor(const Numbers& v, const Dims& d, Layout layout) {
  Tensor t = *Tensor::Allocate(DType::kF32, d);
  float* out = t.mutable_data<float>();
  if (layout == Layout::kPlain || d.size() != 4) {
    for (size_t i = 0; i < v.size(); ++i) out[i] = static_cast<float>(v[i]);
    return t;
  }
  const int64_t area = d[2] * d[3];
  for (int64_t i = 0; i < t.elements(); ++i) {
    const int64_t image = i / (d[1] * area), channel = i / area % d[1], at = i % area;
    out[(image * area + at) * d[1] + channel] = static_cast<float>(v[i]);
  }
  return t;
}
Numbers FromTensor(const Tensor& t, Layout layout) {
  const Dims d(t.dims().begin(), t.dims().end());
  const int64_t area = d[2] * d[3];
  Numbers v(static_cast<size_t>(t.elements()));
  for (int64_t i = 0; i < t.elements(); ++i) {
    const int64_t image = i / (d[1] * area), channel = i / area % d[1], at = i % area;
    v[i] = t.data<float>()[layout == Layout::kPlain ? i : (image * area + at) * d[1] + channel];
  }
  return v;
}

Type TypeOf(const Dims& d, Layout layout) {
  return Type::Tensor(DType::kF32, Shape(d.begin(), d.end()), layout);
}

struct Result {
  absl::Status status;
  Numbers y;
  std::string description;
};

Result Convolve(const Case& s, const Data& data, const char* candidate) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  const Dims in = {s.n, s.c, s.h, s.w}, out = {s.n, s.k, s.oh(), s.ow()},
             filters = {s.k, s.c, 3, 3};
  std::vector<Tensor> fed = {ToTensor(data.x, in, s.in), ToTensor(data.w, filters, Layout::kPlain),
                             s.bias ? ToTensor(data.bias, {s.k}, Layout::kPlain) : Tensor()};
  std::vector<Type> types = {TypeOf(in, s.in), Type::Of(fed[1]),
                             s.bias ? Type::Of(fed[2]) : Type()};
  for (size_t i = 0; i < s.operands.size(); ++i) {
    const Layout layout = s.operands[i] == out ? s.out : Layout::kPlain;
    fed.push_back(ToTensor(data.operands[i], s.operands[i], layout));
    types.push_back(TypeOf(s.operands[i], layout));
  }
  std::vector<Value*> values;
  for (size_t i = 0; i < fed.size(); ++i)
    values.push_back(fed[i].valid() ? b.Input(absl::StrCat("in", i), Type::Of(fed[i])) : nullptr);
  AttrList attrs = {{"pads", s.pads}, {"strides", s.strides}, {"activations", s.steps}};
  if (!s.params.empty()) attrs.push_back({"activation_params", s.params});
  const std::vector<Value*> made = b.OpN("FusedConv", values, 1, attrs);
  if (!b.status().ok()) return {b.status(), {}, ""};
  Dims result = *made[0]->type().StaticDims();
  PrepareContext context{
      .node = *made[0]->producer(), .threads = s.threads, .accuracy = s.accuracy};
  context.inputs = types;
  context.outputs = {TypeOf(result, s.out)};
  context.constants.resize(fed.size());
  if (s.constant) context.constants[1] = fed[1];
  for (const KernelCandidate& c : CpuKernels().Find("FusedConv")) {
    if (std::string(c.name) != candidate) continue;
    const absl::StatusOr<double> estimate = c.estimate(context);
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = c.prepare(context);
    EXPECT_EQ(estimate.ok(), kernel.ok()) << estimate.status() << kernel.status();
    if (!kernel.ok()) return {kernel.status(), {}, ""};
    EXPECT_GT(*estimate, 0);
    Tensor y = *Tensor::Allocate(DType::kF32, result);
    Tensor scratch =
        *Tensor::Allocate(DType::kU8, {static_cast<int64_t>((*kernel)->scratch_bytes())});
    std::vector<const void*> inputs;
    for (const Tensor& t : fed) inputs.push_back(t.valid() ? t.raw() : nullptr);
    inputs[1] = nullptr;  // it says that it does not read the filters
    void* outputs[] = {y.mutable_raw()};
    ThreadPool pool(s.threads);
    const LaunchContext launch{inputs, outputs, scratch.mutable_raw(), &pool, nullptr};
    for (int round = 0; round < 2; ++round) {  // the second finds used scratch
      if (absl::Status status = (*kernel)->Launch(launch); !status.ok()) return {status, {}, ""};
    }
    return {absl::OkStatus(), FromTensor(y, s.out), (*kernel)->Description()};
  }
  return {absl::NotFoundError("no such candidate"), {}, ""};
}

// The definition, without steps.
template <typename T>
Numbers Direct(const Case& s, const Data& d) {
  Numbers y;
  for (int64_t n = 0; n < s.n; ++n) {
    for (int64_t k = 0; k < s.k; ++k) {
      for (int64_t oy = 0; oy < s.oh(); ++oy) {
        for (int64_t ox = 0; ox < s.ow(); ++ox) {
          T sum = s.bias ? static_cast<T>(d.bias[k]) : T{0};
          for (int64_t c = 0; c < s.c; ++c) {
            for (int64_t i = 0; i < 9; ++i) {
              const int64_t iy = oy - s.pads[0] + i / 3, ix = ox - s.pads[1] + i % 3;
              if (iy < 0 || ix < 0 || iy >= s.h || ix >= s.w) continue;
              sum += static_cast<T>(d.w[(k * s.c + c) * 9 + i]) *
                     static_cast<T>(d.x[((n * s.c + c) * s.h + iy) * s.w + ix]);
            }
          }
          y.push_back(static_cast<double>(sum));
        }
      }
    }
  }
  return y;
}

// Root mean square of the difference over that of the reference.
double Error(const Numbers& y, const Numbers& reference) {
  if (y.size() != reference.size()) return INFINITY;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    difference += (y[i] - reference[i]) * (y[i] - reference[i]);
    norm += reference[i] * reference[i];
  }
  return std::sqrt(difference / norm);
}

constexpr const char* kBoth[] = {"winograd 2x2", "winograd 4x4"};

TEST(Winograd, AnyExtentsPadsAndChannels) {
  const Case cases[] = {
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
  for (Case s : cases) {
    const Data data = NormalData(s);
    const Numbers reference = Direct<double>(s, data);
    for (const char* candidate : kBoth) {
      for (int threads : {1, 3}) {
        for (Layout in : {Layout::kPlain, Layout::kChannelsLast}) {
          s.threads = threads;
          s.in = in;
          s.out = threads == 1 ? in : Layout::kPlain;
          const Result r = Convolve(s, data, candidate);
          ASSERT_TRUE(r.status.ok()) << r.status;
          EXPECT_LT(Error(r.y, reference), 2.5e-6) << r.description << " " << s.n << " " << s.c
                                                   << " " << s.k << " " << s.h << " " << s.w;
        }
      }
    }
  }
}

TEST(Winograd, ResultsDoNotDependOnThreads) {
  for (Case s : {Case{.n = 2, .c = 40, .k = 24, .h = 30, .w = 31},
                 Case{.c = 256, .k = 256, .h = 10, .w = 11}}) {
    const Data data = NormalData(s);
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
  Case s{.n = 2, .c = 12, .k = 20, .h = 9, .w = 10};
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
    const Data data = NormalData(s);
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
          const Result r = Convolve(s, data, candidate);
          ASSERT_TRUE(r.status.ok()) << r.status;
          EXPECT_LT(Error(r.y, reference), 2.5e-6) << r.description << " " << steps.names[0];
        }
      }
    }
  }
}

// What winograd_transform.h states of the error, with what a plain f32 sum makes of the same data.
TEST(Winograd, ErrorIsAsStated) {
  const Case s{.c = 128, .k = 64, .h = 14, .w = 14, .bias = false};
  std::mt19937 rng(7);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> exponent(-3, 3);
  const auto round = [](double v) { return static_cast<double>(static_cast<float>(v)); };
  std::vector<std::pair<std::string, Data>> kinds;
  kinds.push_back({"normal", NormalData(s)});

  Data wide = NormalData(s);  // magnitudes of 1e-3 to 1e3
  for (double& v : wide.x) v = round(std::copysign(std::pow(10, exponent(rng)), v));
  for (double& v : wide.w) v = round(std::copysign(std::pow(10, exponent(rng)), v));
  kinds.push_back({"wide", wide});

  Data positive = NormalData(s);  // behind a Relu, with a large mean
  for (double& v : positive.x) v = round(std::abs(v) + 3);
  kinds.push_back({"positive", positive});

  // As training leaves it: filters of a spectrum that falls as 1/rank, smooth in space; images
  // whose neighbours are alike, channels of very different scale.
  Data trained = NormalData(s);
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

TEST(Winograd, RefusesWithTheReason) {
  const auto why = [](const Case& s) {
    const Result r = Convolve(s, NormalData(s), "winograd 4x4");
    return absl::IsUnimplemented(r.status) ? std::string(r.status.message()) : "taken";
  };
  EXPECT_EQ(why({}), "taken");
  EXPECT_EQ(why({.accuracy = Accuracy::kStrict}), "accuracy is strict");
  EXPECT_TRUE(absl::StrContains(why({.strides = {2, 2}}), "stride 1"));
  EXPECT_TRUE(absl::StrContains(why({.c = 3}), "fewer than 8 channels"));
  EXPECT_TRUE(absl::StrContains(why({.constant = false}), "not constant"));
}

}  // namespace
}  // namespace sluice
