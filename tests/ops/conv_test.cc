#include <gtest/gtest.h>

#include <cmath>

#include "graph/infer.h"
#include "ops/fused.h"
#include "ops/op.h"
#include "tests/testing/candidates.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using Ints = std::vector<int64_t>;

Tensor Random(DType dtype, const Dims& dims, uint64_t seed) {
  return *Tensor::Random(dtype, dims, {seed, IsInt(dtype) ? 100.0 : 1.0, 0});
}

double Tolerance(DType dtype) {
  return dtype == DType::kF64   ? 1e-13
         : dtype == DType::kF32 ? 3e-6
         : dtype == DType::kF16 ? 2e-3
                                : 1.6e-2;
}

struct Case {
  Dims x, w;
  Ints strides, pads, dilations;
  int64_t group = 1;
  bool bias = true;
  std::string auto_pad = "NOTSET";
};

// The definition, element by element: [N,C,...] with [M,C/g,...] (x - x_zero) * (w - w_zero).
Tensor Reference(const Case& c, const Tensor& x, const Tensor& w, const Tensor& b, Dims out_dims,
                 Ints begin, double x_zero = 0, double w_zero = 0) {
  const int rank = static_cast<int>(c.x.size()) - 2;
  const Tensor xf = Converted(x, DType::kF64), wf = Converted(w, DType::kF64);
  const Tensor bf = b.valid() ? Converted(b, DType::kF64) : Tensor();
  Tensor y = *Tensor::Allocate(DType::kF64, out_dims);
  const int64_t features = c.w[0], per_group = features / c.group, depth = c.w[1];
  int64_t out_size = 1, in_size = 1, taps = 1;
  for (int i = 0; i < rank; ++i) {
    out_size *= out_dims[2 + i];
    in_size *= c.x[2 + i];
    taps *= c.w[2 + i];
  }
  for (int64_t n = 0; n < c.x[0]; ++n) {
    for (int64_t m = 0; m < features; ++m) {
      for (int64_t o = 0; o < out_size; ++o) {
        double sum = bf.valid() ? bf.data<double>()[m] : 0;
        for (int64_t ch = 0; ch < depth; ++ch) {
          for (int64_t t = 0; t < taps; ++t) {
            int64_t orest = o, trest = t, at = 0, scale = 1;
            bool inside = true;
            for (int i = rank - 1; i >= 0; --i) {
              const int64_t s = c.strides.empty() ? 1 : c.strides[i];
              const int64_t d = c.dilations.empty() ? 1 : c.dilations[i];
              const int64_t p = orest % out_dims[2 + i] * s - begin[i] + trest % c.w[2 + i] * d;
              orest /= out_dims[2 + i];
              trest /= c.w[2 + i];
              inside = inside && p >= 0 && p < c.x[2 + i];
              at += p * scale;
              scale *= c.x[2 + i];
            }
            if (!inside) continue;
            const int64_t channel = m / per_group * depth + ch;
            sum += (xf.data<double>()[(n * c.x[1] + channel) * in_size + at] - x_zero) *
                   (wf.data<double>()[(m * depth + ch) * taps + t] - w_zero);
          }
        }
        y.mutable_data<double>()[(n * features + m) * out_size + o] = sum;
      }
    }
  }
  return y;
}

AttrList AttrsOf(const Case& c) {
  AttrList attrs = {{"group", c.group}, {"auto_pad", c.auto_pad}};
  if (!c.strides.empty()) attrs.push_back({"strides", c.strides});
  if (!c.pads.empty()) attrs.push_back({"pads", c.pads});
  if (!c.dilations.empty()) attrs.push_back({"dilations", c.dilations});
  return attrs;
}

// Where auto_pad is set, `begin` says what it means.
void CheckConv(DType dtype, const Case& c, Ints begin = {}) {
  const Tensor x = Random(dtype, c.x, 1), w = Random(dtype, c.w, 2);
  const Tensor b = c.bias ? Random(dtype, {c.w[0]}, 3) : Tensor();
  if (begin.empty()) begin = Ints(c.pads.begin(), c.pads.begin() + c.pads.size() / 2);
  if (begin.empty()) begin.assign(c.x.size() - 2, 0);
  for (const std::set<int>& constants : {std::set<int>{}, std::set<int>{1, 2}}) {
    auto results = RunCandidates("Conv", {x, w, b}, AttrsOf(c), constants);
    ASSERT_TRUE(results.ok()) << results.status();
    ASSERT_FALSE(results->empty());
    Dims out((*results)[0].outputs[0].dims().begin(), (*results)[0].outputs[0].dims().end());
    const Tensor want = Converted(Reference(c, x, w, b, out, begin), dtype);
    for (const CandidateResult& r : *results) {
      EXPECT_LE(RelativeError(r.outputs[0], want), Tolerance(dtype))
          << ToString(dtype) << DimsToString(c.x) << DimsToString(c.w) << " by " << r.name << ": "
          << r.description;
    }
  }
}

constexpr DType kTypes[] = {DType::kF64, DType::kF32, DType::kF16, DType::kBF16};

TEST(Conv, EveryKernelAgreesInOneTwoAndThreeDimensions) {
  for (DType dtype : kTypes) {
    CheckConv(dtype, {{2, 3, 11}, {5, 3, 3}, {2}, {1, 2}, {}});
    CheckConv(dtype, {{2, 4, 9, 10}, {6, 4, 3, 2}, {2, 1}, {1, 0, 2, 1}, {1, 2}});
    CheckConv(dtype, {{1, 2, 5, 6, 7}, {3, 2, 2, 3, 2}, {1, 2, 1}, {0, 1, 1, 1, 1, 0}, {2, 1, 1}});
  }
}

TEST(Conv, GroupsAndDepthwise) {
  for (DType dtype : kTypes) {
    CheckConv(dtype, {{1, 6, 8, 8}, {9, 2, 3, 3}, {}, {1, 1, 1, 1}, {}, 3});
    CheckConv(dtype, {{2, 16, 14, 14}, {16, 1, 3, 3}, {2, 2}, {1, 1, 1, 1}, {}, 16, false});
    CheckConv(dtype, {{1, 4, 7, 7}, {8, 1, 5, 5}, {}, {2, 2, 2, 2}, {}, 4});
  }
}

TEST(Conv, ImageNetLayers) {
  CheckConv(DType::kF32, {{1, 3, 56, 56}, {32, 3, 7, 7}, {2, 2}, {3, 3, 3, 3}, {}});
  CheckConv(DType::kF32, {{2, 64, 14, 14}, {32, 64, 1, 1}, {}, {}, {}});
  CheckConv(DType::kF32, {{1, 48, 15, 13}, {40, 48, 3, 3}, {}, {1, 1, 1, 1}, {}});
}

TEST(Conv, AutoPadPutsTheOddElementWhereItSays) {
  CheckConv(DType::kF32, {{1, 1, 5, 6}, {1, 1, 2, 3}, {2, 2}, {}, {}, 1, true, "SAME_UPPER"},
            {0, 0});
  CheckConv(DType::kF32, {{1, 1, 5, 6}, {1, 1, 2, 3}, {2, 2}, {}, {}, 1, true, "SAME_LOWER"},
            {1, 1});
  CheckConv(DType::kF32, {{1, 1, 5, 6}, {1, 1, 2, 3}, {2, 2}, {}, {}, 1, true, "VALID"}, {0, 0});
}

TEST(Conv, EmptyExtents) {
  CheckConv(DType::kF32, {{0, 3, 5, 5}, {4, 3, 3, 3}, {}, {}, {}});
  CheckConv(DType::kF32, {{2, 0, 5, 5}, {4, 0, 3, 3}, {}, {}, {}});
  CheckConv(DType::kF64, {{2, 3, 5, 5}, {0, 3, 3, 3}, {}, {}, {}, 1, false});
}

TEST(Conv, BadGeometryIsRefused) {
  const Tensor x = Random(DType::kF32, {1, 4, 5, 5}, 1), w = Random(DType::kF32, {4, 4, 3, 3}, 2);
  const Tensor wide = Random(DType::kF32, {4, 4, 9, 9}, 2);
  EXPECT_FALSE(RunOp("Conv", {x, w}, {{"group", 3}}).ok());
  EXPECT_FALSE(RunOp("Conv", {x, w}, {{"group", 0}}).ok());
  EXPECT_FALSE(RunOp("Conv", {x, w}, {{"strides", Ints{0, 1}}}).ok());
  EXPECT_FALSE(RunOp("Conv", {x, w}, {{"strides", Ints{1}}}).ok());
  EXPECT_FALSE(RunOp("Conv", {x, w}, {{"dilations", Ints{1, -1}}}).ok());
  EXPECT_FALSE(RunOp("Conv", {x, w}, {{"dilations", Ints{1, INT64_MAX}}}).ok());
  EXPECT_FALSE(RunOp("Conv", {x, w}, {{"pads", Ints{1, 1, 1, -1}}}).ok());
  EXPECT_FALSE(RunOp("Conv", {x, w}, {{"kernel_shape", Ints{3, 2}}}).ok());
  EXPECT_FALSE(RunOp("Conv", {x, w}, {{"auto_pad", "SAME"}}).ok());
  EXPECT_FALSE(RunOp("Conv", {x, wide}).ok());
  EXPECT_FALSE(RunOp("Conv", {x, w, Random(DType::kF32, {5}, 3)}).ok());
}

TEST(Conv, SymbolicExtentsInfer) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("n"), 3, Dim::Symbol("h"),
                                                          Dim::Symbol("w")}));
  Value* w = b.Constant(Random(DType::kF32, {8, 3, 3, 3}, 1));
  Value* y = b.Op("Conv", {x, w}, {{"pads", Ints{1, 1, 1, 1}}});
  Value* z = b.Op("Conv", {x, w}, {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}});
  ASSERT_TRUE(b.status().ok()) << b.status();
  EXPECT_EQ(y->type().ToString(), "f32[n,8,h,w]");
  EXPECT_EQ(z->type().dim(2), FloorDiv(Dim::Symbol("h") - 1, Dim(2)) + 1);
}

// Chains of steps behind `op` agree with its expansion, by every kernel.
void CheckChains(absl::string_view op, const Dims& weights) {
  using Strings = std::vector<std::string>;
  const struct {
    Strings steps;
    std::vector<float> params;
  } chains[] = {
      {{"Relu"}, {}},
      {{"Add", "Relu"}, {}},
      {{"Clip"}, {0, 6}},
      {{"HardSwish", "Mul"}, {}},
      {{"Sigmoid", "Add", "LeakyRelu"}, {0.1f}},
      {{"Swish"}, {1}},
      {{"Gelu", "Add", "Elu"}, {0, 0.7f}},
      {{"HardSigmoid", "Tanh", "Max"}, {0.2f, 0.5f}},
      {{"Erf", "Add"}, {}},
  };
  for (DType dtype : kTypes) {
    const Tensor x = Random(dtype, {2, 8, 9, 11}, 1), w = Random(dtype, weights, 2);
    const Tensor b = Random(dtype, {16}, 3), residual = Random(dtype, {2, 16, 9, 11}, 4);
    const Tensor scale = Random(dtype, {16, 1, 1}, 5);
    for (const auto& chain : chains) {
      for (const Tensor& operand : {residual, scale}) {
        std::vector<Tensor> in = {x, w, b};
        for (const std::string& s : chain.steps) {
          if (FindPostOp(s)->binary) in.push_back(operand);
        }
        const AttrList attrs = {{"pads", Ints{1, 1, 1, 1}},
                                {"activations", chain.steps},
                                {"activation_params", chain.params}};
        auto want = RunExpansion(op, in, attrs);
        ASSERT_TRUE(want.ok()) << want.status();
        for (const std::set<int>& constants : {std::set<int>{}, std::set<int>{1, 2}}) {
          auto results = RunCandidates(op, in, attrs, constants);
          ASSERT_TRUE(results.ok()) << results.status();
          ASSERT_FALSE(results->empty());
          for (const CandidateResult& r : *results) {
            EXPECT_LE(RelativeError(r.outputs[0], (*want)[0]), std::max(1e-5, 4 * Tolerance(dtype)))
                << ToString(dtype) << " " << chain.steps[0] << " by " << r.name << ": "
                << r.description;
          }
        }
      }
    }
  }
}

TEST(FusedConv, ChainsOfStepsAgreeWithTheExpansion) { CheckChains("FusedConv", {16, 8, 3, 3}); }

TEST(FusedConvTranspose, ChainsOfStepsAgreeWithTheExpansion) {
  CheckChains("FusedConvTranspose", {8, 16, 3, 3});
}

// More steps than oneDNN takes as post-ops: the rest follow.
TEST(FusedConv, ALongChain) {
  const Tensor x = Random(DType::kF32, {1, 4, 6, 6}, 1), w = Random(DType::kF32, {4, 4, 3, 3}, 2);
  std::vector<Tensor> in = {x, w, Tensor()};
  std::vector<std::string> steps;
  for (int i = 0; i < 40; ++i) {
    in.push_back(Random(DType::kF32, {1, 4, 6, 6}, 3 + i));
    steps.push_back(i % 2 == 0 ? "Add" : "Max");
  }
  const AttrList attrs = {{"pads", Ints{1, 1, 1, 1}}, {"activations", steps}};
  for (const char* op : {"FusedConv", "FusedConvTranspose"}) {
    auto want = RunExpansion(op, in, attrs);
    ASSERT_TRUE(want.ok()) << want.status();
    auto results = RunCandidates(op, in, attrs, {1});
    ASSERT_TRUE(results.ok()) << results.status();
    EXPECT_FALSE(results->empty());
    for (const CandidateResult& r : *results) {
      EXPECT_LE(RelativeError(r.outputs[0], (*want)[0]), 1e-5) << op << " by " << r.description;
    }
  }
}

// The transposed convolution: y[o] += x[i] * w[k] for o = i * stride + k * dilation - pad.
void CheckTranspose(DType dtype, Dims xd, Dims wd, Ints strides, Ints pads, Ints dilations,
                    int64_t group, AttrList attrs, Dims expect) {
  const int rank = static_cast<int>(xd.size()) - 2;
  const Tensor x = Random(dtype, xd, 1), w = Random(dtype, wd, 2);
  const Tensor b = Random(dtype, {wd[1] * group}, 3);
  if (!strides.empty()) attrs.push_back({"strides", strides});
  if (!dilations.empty()) attrs.push_back({"dilations", dilations});
  attrs.push_back({"group", group});
  const Tensor xf = Converted(x, DType::kF64), wf = Converted(w, DType::kF64);
  const Tensor bf = Converted(b, DType::kF64);
  Tensor y = *Tensor::Allocate(DType::kF64, expect);
  int64_t in = 1, out = 1, taps = 1;
  for (int i = 0; i < rank; ++i) {
    in *= xd[2 + i];
    out *= expect[2 + i];
    taps *= wd[2 + i];
  }
  for (int64_t i = 0; i < y.elements(); ++i) {
    y.mutable_data<double>()[i] = bf.data<double>()[i / out % expect[1]];
  }
  for (int64_t n = 0; n < xd[0]; ++n) {
    for (int64_t c = 0; c < xd[1]; ++c) {
      for (int64_t f = 0; f < wd[1]; ++f) {
        for (int64_t p = 0; p < in; ++p) {
          for (int64_t t = 0; t < taps; ++t) {
            int64_t pr = p, tr = t, at = 0, scale = 1;
            bool inside = true;
            for (int i = rank - 1; i >= 0; --i) {
              const int64_t s = strides.empty() ? 1 : strides[i];
              const int64_t d = dilations.empty() ? 1 : dilations[i];
              const int64_t o = pr % xd[2 + i] * s + tr % wd[2 + i] * d - pads[i];
              pr /= xd[2 + i];
              tr /= wd[2 + i];
              inside = inside && o >= 0 && o < expect[2 + i];
              at += o * scale;
              scale *= expect[2 + i];
            }
            if (!inside) continue;
            const int64_t feature = c / (xd[1] / group) * wd[1] + f;
            y.mutable_data<double>()[(n * expect[1] + feature) * out + at] +=
                xf.data<double>()[(n * xd[1] + c) * in + p] *
                wf.data<double>()[(c * wd[1] + f) * taps + t];
          }
        }
      }
    }
  }
  const Tensor want = Converted(y, dtype);
  for (const std::set<int>& constants : {std::set<int>{}, std::set<int>{1, 2}}) {
    auto results = RunCandidates("ConvTranspose", {x, w, b}, attrs, constants);
    ASSERT_TRUE(results.ok()) << results.status();
    ASSERT_FALSE(results->empty());
    for (const CandidateResult& r : *results) {
      EXPECT_LE(RelativeError(r.outputs[0], want), Tolerance(dtype))
          << ToString(dtype) << DimsToString(xd) << DimsToString(r.outputs[0].dims()) << " by "
          << r.name << ": " << r.description;
    }
  }
}

TEST(ConvTranspose, EveryKernelAgrees) {
  for (DType dtype : kTypes) {
    CheckTranspose(dtype, {1, 2, 5}, {2, 3, 3}, {2}, {0}, {}, 1, {}, {1, 3, 11});
    CheckTranspose(dtype, {2, 8, 5, 6}, {8, 6, 3, 4}, {2, 3}, {1, 0}, {2, 1}, 1,
                   {{"pads", Ints{1, 0, 1, 2}}}, {2, 6, 11, 17});
    CheckTranspose(dtype, {1, 4, 3, 3}, {4, 2, 2, 2}, {2, 2}, {0, 0}, {}, 2, {}, {1, 4, 6, 6});
    CheckTranspose(dtype, {1, 2, 2, 3, 3}, {2, 2, 2, 2, 2}, {1, 2, 1}, {0, 0, 0}, {}, 1, {},
                   {1, 2, 3, 6, 4});
  }
}

TEST(ConvTranspose, OutputShapeAndPaddingDecideThePads) {
  CheckTranspose(DType::kF32, {1, 1, 3, 3}, {1, 2, 3, 3}, {3, 2}, {0, 0}, {}, 1,
                 {{"output_padding", Ints{1, 1}}}, {1, 2, 10, 8});
  CheckTranspose(DType::kF32, {1, 1, 3, 3}, {1, 2, 3, 3}, {3, 2}, {0, 0}, {}, 1,
                 {{"output_shape", Ints{10, 8}}}, {1, 2, 10, 8});
  CheckTranspose(DType::kF32, {1, 1, 3, 3}, {1, 2, 3, 3}, {2, 2}, {0, 0}, {}, 1,
                 {{"auto_pad", "SAME_UPPER"}}, {1, 2, 6, 6});
  CheckTranspose(DType::kF32, {1, 1, 3, 3}, {1, 2, 3, 3}, {2, 2}, {1, 1}, {}, 1,
                 {{"auto_pad", "SAME_LOWER"}}, {1, 2, 6, 6});
}

void CheckInteger(DType xt, DType wt, const Dims& xd, const Dims& wd, Ints pads, int64_t group,
                  bool zeros) {
  const Tensor x = Random(xt, xd, 1), w = Random(wt, wd, 2);
  const Tensor xz = zeros ? Converted(MakeTensor<int32_t>({}, {3}), xt) : Tensor();
  const Tensor wz = zeros ? Converted(MakeTensor<int32_t>({}, {7}), wt) : Tensor();
  Case c{xd, wd, {}, pads, {}, group, false};
  for (const std::set<int>& constants : {std::set<int>{}, std::set<int>{1, 3}}) {
    auto results = RunCandidates("ConvInteger", {x, w, xz, wz}, AttrsOf(c), constants);
    ASSERT_TRUE(results.ok()) << results.status();
    Dims out((*results)[0].outputs[0].dims().begin(), (*results)[0].outputs[0].dims().end());
    const Tensor want = Converted(
        Reference(c, x, w, Tensor(), out, {pads[0], pads[1]}, zeros ? 3 : 0, zeros ? 7 : 0),
        DType::kI32);
    for (const CandidateResult& r : *results) EXPECT_TRUE(r.outputs[0] == want) << r.description;
  }
}

TEST(ConvInteger, IsExactForBothSignednessesAndZeroPoints) {
  for (DType xt : {DType::kU8, DType::kI8}) {
    for (DType wt : {DType::kU8, DType::kI8}) {
      CheckInteger(xt, wt, {2, 3, 7, 8}, {5, 3, 3, 3}, {1, 1, 1, 1}, 1, false);
      CheckInteger(xt, wt, {1, 6, 9, 5}, {34, 3, 2, 3}, {0, 1, 1, 0}, 2, true);
    }
  }
}

TEST(QLinearConv, RoundsTiesToEvenAndSaturates) {
  const Tensor x = MakeTensor<uint8_t>({1, 1, 1, 6}, {1, 2, 3, 4, 5, 255});
  const Tensor w = MakeTensor<int8_t>({2, 1, 1, 1}, {1, -1});
  const Tensor zero8 = MakeTensor<uint8_t>({}, {0}), zero = MakeTensor<int8_t>({}, {0});
  const Tensor one = MakeTensor<float>({}, {1}), ws = MakeTensor<float>({2}, {0.5f, 1});
  const Tensor yz = MakeTensor<int8_t>({}, {1}), b = MakeTensor<int32_t>({2}, {0, 1});
  auto y = RunOp("QLinearConv", {x, one, zero8, w, ws, zero, one, yz, b});
  ASSERT_TRUE(y.ok()) << y.status();
  // 0.5, 1, 1.5, 2, 2.5, 127.5 rounded, plus 1; and 1 - x, plus 1.
  EXPECT_TRUE((*y)[0] ==
              MakeTensor<int8_t>({1, 2, 1, 6}, {1, 2, 3, 3, 3, 127, 1, 0, -1, -2, -3, -128}))
      << (*y)[0].ToString(12);
}

}  // namespace
}  // namespace sluice
