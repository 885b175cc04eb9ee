#include <gtest/gtest.h>

#include <cmath>

#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using Vec = std::vector<double>;

// One direction of one row of the batch, as the specification's equations say it.
struct Weights {
  int64_t gates, hidden, features;
  Vec w, r, wb, rb, p;
  double W(int64_t row, const double* x) const {
    return Dot(w.data() + row * features, x, features) + wb[row];
  }
  double R(int64_t row, const double* h) const {
    return Dot(&r[row * hidden], h, hidden) + rb[row];
  }
  static double Dot(const double* a, const double* b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
  }
};
double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

struct Options {
  const char* op = "LSTM";
  const char* direction = "forward";
  int64_t steps = 5, batch = 3, features = 4, hidden = 6;
  bool batch_first = false, bias = true, lengths = false, initial = false, peepholes = false;
  bool linear_before_reset = false, input_forget = false;
  double clip = 0;
  DType dtype = DType::kF32;
  int threads = 1;
};

void Step(const Options& o, const Weights& w, const double* x, Vec* h, Vec* c) {
  const int64_t n = o.hidden;
  auto clip = [&](double v) { return o.clip == 0 ? v : std::clamp(v, -o.clip, o.clip); };
  const Vec before = *h, cell = *c;
  if (std::string(o.op) == "RNN") {
    for (int64_t j = 0; j < n; ++j) (*h)[j] = std::tanh(clip(w.W(j, x) + w.R(j, before.data())));
  } else if (std::string(o.op) == "GRU") {
    Vec z(n), r(n), scaled(n);
    for (int64_t j = 0; j < n; ++j) {
      z[j] = Sigmoid(clip(w.W(j, x) + w.R(j, before.data())));
      r[j] = Sigmoid(clip(w.W(n + j, x) + w.R(n + j, before.data())));
    }
    for (int64_t j = 0; j < n; ++j) scaled[j] = r[j] * before[j];
    for (int64_t j = 0; j < n; ++j) {
      const double recurrent = o.linear_before_reset ? r[j] * w.R(2 * n + j, before.data())
                                                     : w.R(2 * n + j, scaled.data());
      (*h)[j] = (1 - z[j]) * std::tanh(clip(w.W(2 * n + j, x) + recurrent)) + z[j] * before[j];
    }
  } else {
    for (int64_t j = 0; j < n; ++j) {
      auto gate = [&](int64_t g) { return w.W(g * n + j, x) + w.R(g * n + j, before.data()); };
      const double i = Sigmoid(clip(gate(0) + w.p[j] * cell[j]));
      const double f = o.input_forget ? 1 - i : Sigmoid(clip(gate(2) + w.p[2 * n + j] * cell[j]));
      (*c)[j] = f * cell[j] + i * std::tanh(clip(gate(3)));
      (*h)[j] = Sigmoid(clip(gate(1) + w.p[n + j] * (*c)[j])) * std::tanh(clip((*c)[j]));
    }
  }
}

Tensor As(DType dtype, absl::Span<const int64_t> dims, const Vec& values) {
  Tensor t = *Tensor::Allocate(dtype, dims);
  VisitDType(
      dtype,
      [&]<typename T>() {
        for (size_t i = 0; i < values.size(); ++i)
          t.mutable_data<T>()[i] = static_cast<T>(values[i]);
      },
      [] {});
  return t;
}
Vec Read(const Tensor& t) {
  Vec v;
  VisitDType(
      t.dtype(),
      [&]<typename T>() {
        for (const T& x : t.values<T>()) v.push_back(static_cast<double>(x));
      },
      [] {});
  return v;
}
// Values that the dtype holds exactly.
Vec Numbers(DType dtype, int64_t n, uint64_t seed, double scale = 0.5) {
  const Tensor t = *Tensor::Random(DType::kF64, {n}, {.seed = seed, .scale = scale});
  return Read(As(dtype, {n}, Read(t)));
}

void Check(const Options& o) {
  SCOPED_TRACE(absl::StrCat(o.op, " ", o.direction, " layout ", o.batch_first, " batch ", o.batch,
                            " threads ", o.threads));
  const bool lstm = std::string(o.op) == "LSTM";
  const int64_t gates = lstm ? 4 : std::string(o.op) == "GRU" ? 3 : 1, n = o.hidden;
  const int64_t directions = std::string(o.direction) == "bidirectional" ? 2 : 1;
  const int64_t rows = gates * n;
  const Vec x = Numbers(o.dtype, o.steps * o.batch * o.features, 1, 1.0);
  const Vec w = Numbers(o.dtype, directions * rows * o.features, 2),
            r = Numbers(o.dtype, directions * rows * n, 3,
                        1.2 / std::sqrt(n));  // a net that forgets
  const Vec b =
      o.bias ? Numbers(o.dtype, directions * 2 * rows, 4) : Vec(directions * 2 * rows, 0.0);
  const Vec h0 = o.initial ? Numbers(o.dtype, directions * o.batch * n, 5)
                           : Vec(directions * o.batch * n, 0.0);
  const Vec c0 = o.initial ? Numbers(o.dtype, directions * o.batch * n, 6)
                           : Vec(directions * o.batch * n, 0.0);
  const Vec p =
      o.peepholes ? Numbers(o.dtype, directions * 3 * n, 7) : Vec(directions * 3 * n, 0.0);
  std::vector<int32_t> lengths(o.batch, static_cast<int32_t>(o.steps));
  for (int64_t i = 0; o.lengths && i < o.batch; ++i)
    lengths[i] = static_cast<int32_t>(i * 2 % (o.steps + 1));

  // Expected, in the order of layout 0, then permuted.
  Vec y(o.steps * directions * o.batch * n, 0.0), y_h(directions * o.batch * n), y_c = y_h;
  auto state = [&](int64_t d, int64_t i) {
    return (o.batch_first ? i * directions + d : d * o.batch + i) * n;
  };
  for (int64_t d = 0; d < directions; ++d) {
    auto part = [&](const Vec& v, int64_t size) {
      return Vec(v.begin() + d * size, v.begin() + (d + 1) * size);
    };
    const Vec both = part(b, 2 * rows);
    const Weights weights{gates,
                          n,
                          o.features,
                          part(w, rows * o.features),
                          part(r, rows * n),
                          Vec(both.begin(), both.begin() + rows),
                          Vec(both.begin() + rows, both.end()),
                          part(p, 3 * n)};
    const bool reverse = d == 1 || std::string(o.direction) == "reverse";
    for (int64_t i = 0; i < o.batch; ++i) {
      Vec h(h0.begin() + state(d, i), h0.begin() + state(d, i) + n),
          c(c0.begin() + state(d, i), c0.begin() + state(d, i) + n);
      for (int64_t k = 0; k < lengths[i]; ++k) {
        const int64_t t = reverse ? lengths[i] - 1 - k : k;
        Step(o, weights,
             x.data() + (o.batch_first ? i * o.steps + t : t * o.batch + i) * o.features, &h, &c);
        const int64_t to =
            o.batch_first ? (i * o.steps + t) * directions + d : (t * directions + d) * o.batch + i;
        std::copy(h.begin(), h.end(), y.begin() + to * n);
      }
      std::copy(h.begin(), h.end(), y_h.begin() + state(d, i));
      std::copy(c.begin(), c.end(), y_c.begin() + state(d, i));
    }
  }

  const Dims state_dims =
      o.batch_first ? Dims{o.batch, directions, n} : Dims{directions, o.batch, n};
  std::vector<Tensor> inputs = {
      As(o.dtype,
         o.batch_first ? Dims{o.batch, o.steps, o.features} : Dims{o.steps, o.batch, o.features},
         x),
      As(o.dtype, {directions, rows, o.features}, w),
      As(o.dtype, {directions, rows, n}, r),
      o.bias ? As(o.dtype, {directions, 2 * rows}, b) : Tensor(),
      o.lengths ? MakeTensor<int32_t>({o.batch}, lengths) : Tensor(),
      o.initial ? As(o.dtype, state_dims, h0) : Tensor()};
  AttrList attrs = {{"direction", o.direction}, {"layout", o.batch_first ? 1 : 0}};
  if (o.clip > 0) attrs.push_back({"clip", o.clip});
  if (lstm) {
    inputs.push_back(o.initial ? As(o.dtype, state_dims, c0) : Tensor());
    inputs.push_back(o.peepholes ? As(o.dtype, {directions, 3 * n}, p) : Tensor());
    attrs.push_back({"input_forget", o.input_forget ? 1 : 0});
  }
  if (gates == 3) attrs.push_back({"linear_before_reset", o.linear_before_reset ? 1 : 0});
  const auto results = RunOp(o.op, inputs, attrs, lstm ? 3 : 2, o.threads);
  ASSERT_TRUE(results.ok()) << results.status();
  const double tolerance = o.dtype == DType::kF64   ? 1e-12
                           : o.dtype == DType::kF32 ? 3e-6
                           : o.dtype == DType::kF16 ? 1e-3
                                                    : 8e-3;
  const Vec* expected[] = {&y, &y_h, &y_c};
  for (size_t k = 0; k < results->size(); ++k) {
    const Vec got = Read((*results)[k]);
    ASSERT_EQ(got.size(), expected[k]->size());
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i], (*expected[k])[i], tolerance) << "output " << k << " element " << i;
  }
}

class Recurrent : public ::testing::TestWithParam<const char*> {};

TEST_P(Recurrent, FollowsTheEquationsInEveryDirectionAndLayout) {
  for (const char* direction : {"forward", "reverse", "bidirectional"}) {
    for (bool batch_first : {false, true}) {
      for (int threads : {1, 2, 3}) {
        Check({.op = GetParam(),
               .direction = direction,
               .batch_first = batch_first,
               .threads = threads});
      }
    }
  }
}
TEST_P(Recurrent, StopsEachRowAtItsLengthAndKeepsItsState) {
  for (const char* direction : {"forward", "bidirectional"}) {
    for (int threads : {1, 4}) {
      Check({.op = GetParam(),
             .direction = direction,
             .batch = 7,
             .lengths = true,
             .initial = true,
             .threads = threads});
    }
  }
}
TEST_P(Recurrent, ComputesInEveryFloatType) {
  for (DType dtype : {DType::kF64, DType::kF16, DType::kBF16}) {
    Check({.op = GetParam(), .direction = "bidirectional", .initial = true, .dtype = dtype});
  }
}
TEST_P(Recurrent, WorksWithoutBiasAndWithClip) {
  Check({.op = GetParam(), .bias = false});
  Check({.op = GetParam(), .initial = true, .clip = 0.2});
}
TEST_P(Recurrent, RunsOverManyChunksOfTimeAndWidePanels) {
  for (bool batch_first : {false, true}) {
    for (int threads : {1, 2}) {
      Check({.op = GetParam(),
             .direction = "bidirectional",
             .steps = 151,
             .batch = 5,
             .features = 17,
             .hidden = 70,
             .batch_first = batch_first,
             .threads = threads});
    }
  }
  Check({.op = GetParam(), .steps = 400, .batch = 1, .features = 33, .hidden = 200, .threads = 2});
}
TEST_P(Recurrent, TakesEmptyExtents) {
  Check({.op = GetParam(), .steps = 0, .initial = true});
  Check({.op = GetParam(), .batch = 0});
  Check({.op = GetParam(), .features = 0});
}
INSTANTIATE_TEST_SUITE_P(All, Recurrent, ::testing::Values("LSTM", "GRU", "RNN"));

TEST(Lstm, HasPeepholesAndCoupledGates) {
  Check({.peepholes = true});
  Check({.direction = "bidirectional",
         .lengths = true,
         .initial = true,
         .peepholes = true,
         .clip = 0.5});
  Check({.input_forget = true});
}
TEST(Gru, ResetsAfterTheProductWhereAsked) {
  Check({.op = "GRU", .linear_before_reset = true});
  Check({.op = "GRU",
         .direction = "bidirectional",
         .steps = 60,
         .hidden = 70,
         .batch_first = true,
         .initial = true,
         .linear_before_reset = true,
         .threads = 2});
}

TEST(RecurrentErrors, NameWhatIsWrong) {
  const Tensor x = As(DType::kF32, {2, 1, 3}, Vec(6)), w = As(DType::kF32, {1, 4, 3}, Vec(12)),
               r = As(DType::kF32, {1, 4, 4}, Vec(16));
  auto message = [&](absl::Span<const Tensor> inputs, const AttrList& attrs) {
    return std::string(RunOp("RNN", inputs, attrs).status().message());
  };
  EXPECT_NE(message({x, w, r}, {{"direction", "sideways"}}).find("sideways"), std::string::npos);
  EXPECT_NE(
      message({x, w, r}, {{"activations", std::vector<std::string>{"Swoosh"}}}).find("Swoosh"),
      std::string::npos);
  EXPECT_NE(message({x, w, r}, {{"hidden_size", 5}}).find("hidden_size"), std::string::npos);
  EXPECT_NE(message({x, r, r}, {}).find("W must have the shape"), std::string::npos);
  EXPECT_NE(
      message({x, w, r, Tensor(), MakeTensor<int32_t>({1}, {3})}, {}).find("sequence_lens[0] is 3"),
      std::string::npos);
  EXPECT_NE(message({x, w, r, Tensor(), MakeTensor<int32_t>({1}, {-1})}, {})
                .find("sequence_lens[0] is -1"),
            std::string::npos);
}

TEST(RecurrentActivations, TakeParametersInOrder) {
  // h = 2 * (x) + 1 with W = 1, R = 0: Affine; then LeakyRelu of a negative number.
  const Tensor x = As(DType::kF32, {1, 1, 1}, {-3}), w = As(DType::kF32, {1, 1, 1}, {1}),
               r = As(DType::kF32, {1, 1, 1}, {0});
  auto run = [&](const char* f, std::vector<float> alpha, std::vector<float> beta) {
    const auto y = RunOp("RNN", {x, w, r},
                         {{"activations", std::vector<std::string>{f}},
                          {"activation_alpha", alpha},
                          {"activation_beta", beta}});
    return y.ok() ? Read((*y)[0])[0] : NAN;
  };
  EXPECT_FLOAT_EQ(run("Affine", {2}, {1}), -5);
  EXPECT_FLOAT_EQ(run("LeakyRelu", {0.5}, {}), -1.5);
  EXPECT_FLOAT_EQ(run("leakyrelu", {}, {}), -0.03);
  EXPECT_FLOAT_EQ(run("ThresholdedRelu", {-3}, {}), -3);
  EXPECT_FLOAT_EQ(run("ScaledTanh", {2}, {0.5}), 2 * std::tanh(-1.5));
  EXPECT_FLOAT_EQ(run("HardSigmoid", {0.1}, {0.5}), 0.2);
  EXPECT_FLOAT_EQ(run("Elu", {2}, {}), 2 * std::expm1(-3.0));
  EXPECT_FLOAT_EQ(run("Softsign", {}, {}), -0.75);
  EXPECT_FLOAT_EQ(run("Softplus", {}, {}), std::log1p(std::exp(-3.0)));
  EXPECT_FLOAT_EQ(run("Relu", {}, {}), 0);
}

}  // namespace
}  // namespace sluice
