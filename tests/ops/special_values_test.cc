// Every step of a fused op behind every product and pool, through every kernel: on NaN, infinities,
// denormals and the largest numbers each gives what the ordinary ops give.
#include "tests/testing/special_values.h"

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_join.h"
#include "ops/fused.h"
#include "tests/testing/candidates.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

struct Steps {
  std::vector<std::string> names;
  std::vector<float> params;
  std::vector<Tensor> operands;
};

constexpr float kInf = std::numeric_limits<float>::infinity();

// Parameters to try each step with.
std::vector<std::vector<float>> ParamsOf(const PostOpDef& def) {
  const std::string name = def.name;
  if (name == "Clip") return {{-1, 2}, {0, 6}, {-kInf, 2}, {0, kInf}, {3, 1}};
  if (name == "Gelu") return {{0}, {1}};
  if (name == "HardSigmoid") return {{0.2f, 0.5f}, {1, 0}};
  if (name == "Selu") return {{1.67f, 1.05f}};
  if (name == "Swish") return {{1}, {1.7f}, {-0.5f}};
  if (def.params == 1) return {{0.75f}};
  return {{}};
}

// Each step alone, with operands of the result's shape, of one number a column, and of one number;
// and some chains. `columns` and `whole`: the shapes of such operands.
std::vector<Steps> AllSteps(const Dims& whole, const Dims& columns) {
  std::vector<Steps> all;
  for (const PostOpDef& def : PostOpDefs()) {
    if (!def.binary) {
      for (const std::vector<float>& p : ParamsOf(def)) all.push_back({{def.name}, p, {}});
      continue;
    }
    size_t shift = 1;
    for (const Dims& d : {whole, columns, Dims(whole.size(), 1)}) {
      all.push_back({{def.name}, {}, {SpecialTensor(DType::kF32, d, shift)}});
      all.push_back({{def.name, "Relu"}, {}, {SpecialTensor(DType::kF32, d, shift += 4)}});
    }
  }
  const Tensor one = SpecialTensor(DType::kF32, whole, 7),
               two = SpecialTensor(DType::kF32, whole, 12);
  all.push_back({{"Relu", "Add", "Clip"}, {0, 6}, {one}});
  all.push_back({{"Add", "Sigmoid", "Mul"}, {}, {one, two}});
  all.push_back({{"Clip", "Max", "Abs"}, {-1, 1}, {one}});
  all.push_back({{"HardSwish", "Min", "LeakyRelu"}, {0.1f}, {one}});
  return all;
}

// oneDNN's Gelu doubles its argument before it halves it: what is over half of the largest number
// may become infinite.
void DoubleAndHalve(Tensor* t) {
  for (int64_t i = 0; i < t->elements(); ++i) {
    float& v = t->mutable_data<float>()[i];
    v = 2 * v / 2;
  }
}

// The kernels of `op` over `inputs` and the steps against the ordinary ops.
void Check(const std::string& op, std::vector<Tensor> inputs, AttrList attrs, const Steps& steps,
           const std::set<int>& constants, int* kernels) {
  inputs.insert(inputs.end(), steps.operands.begin(), steps.operands.end());
  attrs.push_back({"activations", steps.names});
  if (!steps.params.empty()) attrs.push_back({"activation_params", steps.params});
  absl::StatusOr<std::vector<Tensor>> expected = RunExpansion(op, inputs, attrs);
  ASSERT_TRUE(expected.ok()) << expected.status();
  auto runs = RunCandidates(op, inputs, attrs, constants, 2);
  ASSERT_TRUE(runs.ok()) << runs.status();
  const bool gelu = steps.names == std::vector<std::string>{"Gelu"};
  if (gelu) DoubleAndHalve(&(*expected)[0]);
  for (CandidateResult& run : *runs) {
    ++*kernels;
    if (gelu) DoubleAndHalve(&run.outputs[0]);
    EXPECT_EQ(Disagreement(run.outputs[0], (*expected)[0]), "")
        << op << " by " << run.name << " (" << run.description << "), "
        << absl::StrJoin(steps.names, " ") << " " << absl::StrJoin(steps.params, ",");
  }
}

Tensor Ones(const Dims& dims) {
  Tensor t = *Tensor::Allocate(DType::kF32, dims);
  std::fill_n(t.mutable_data<float>(), t.elements(), 1.0f);
  return t;
}

// `dims`, 0 but for the first element of each row of the last axis, which are special.
Tensor FirstColumn(const Dims& dims) {
  Tensor t = *Tensor::Allocate(DType::kF32, dims);
  std::fill_n(t.mutable_data<float>(), t.elements(), 0.0f);
  const std::vector<float> values = SpecialValues();
  for (int64_t i = 0; i < t.elements(); i += dims.back()) {
    t.mutable_data<float>()[i] = values[static_cast<size_t>(i / dims.back()) % values.size()];
  }
  return t;
}

TEST(SpecialValues, BehindMatrixProducts) {
  int kernels = 0;
  for (int64_t k : {1, 24}) {
    const Tensor a = FirstColumn({37, k}), b = Ones({k, 24});
    for (const Steps& steps : AllSteps({37, 24}, {24})) {
      Check("FusedMatMul", {a, b, Tensor()}, {}, steps, {1}, &kernels);
    }
    for (const Steps& steps : {Steps{{"Relu"}, {}, {}}, Steps{{"Clip"}, {0, 6}, {}},
                               Steps{{"Sigmoid"}, {}, {}}, Steps{{"Tanh"}, {}, {}}}) {
      Check("FusedMatMul", {a, b, Ones({24})}, {{"alpha", 0.5f}}, steps, {1, 2}, &kernels);
      Check("FusedMatMul", {a, b, Tensor()}, {}, steps, {}, &kernels);
    }
  }
  EXPECT_GT(kernels, 300);
}

TEST(SpecialValues, BehindConvolutions) {
  int kernels = 0;
  const Tensor x = SpecialTensor(DType::kF32, {1, 1, 5, 7});
  const Tensor planes = SpecialTensor(DType::kF32, {1, 16, 5, 7});
  for (const Steps& steps : AllSteps({1, 16, 5, 7}, {16, 1, 1})) {
    Check("FusedConv", {x, Ones({16, 1, 1, 1}), Tensor()}, {}, steps, {1}, &kernels);
    Check("FusedConv", {planes, Ones({16, 1, 1, 1}), Tensor()}, {{"group", 16}}, steps, {1},
          &kernels);
    Check("FusedConvTranspose", {x, Ones({1, 16, 1, 1}), Tensor()}, {}, steps, {1}, &kernels);
  }
  EXPECT_GT(kernels, 300);
}

// A window sums what it sees: infinities of both signs, and NaN, wherever they stand.
TEST(SpecialValues, BehindWindows) {
  int kernels = 0;
  Tensor x = *Tensor::Random(DType::kF32, {1, 16, 9, 9}, {.seed = 5});
  float* v = x.mutable_data<float>();
  for (int64_t c = 0; c < 16; ++c) {
    v[c * 81 + 10 + c] = std::numeric_limits<float>::quiet_NaN();
    if (c % 2 == 0) v[c * 81 + 40] = kInf;
    if (c % 3 == 0) v[c * 81 + 60] = -kInf;
  }
  const Tensor one = *Tensor::Random(DType::kF32, {16, 1, 3, 3}, {.seed = 6});
  for (const char* step : {"Relu", "Sigmoid", "Tanh", "HardSwish"}) {
    Check("FusedConv", {x, one, Tensor()}, {{"group", 16}, {"pads", std::vector<int64_t>(4, 1)}},
          {{step}, {}, {}}, {1}, &kernels);
    Check("FusedConv", {x, one, Tensor()}, {{"group", 16}}, {{step}, {}, {}}, {1}, &kernels);
  }
  EXPECT_GT(kernels, 8);
}

TEST(SpecialValues, BehindPools) {
  int kernels = 0;
  const Tensor x = SpecialTensor(DType::kF32, {1, 3, 6, 7});
  for (const char* op : {"FusedMaxPool", "FusedAveragePool"}) {
    for (const Steps& steps : AllSteps({1, 3, 6, 7}, {3, 1, 1})) {
      Check(op, {x}, {{"kernel_shape", std::vector<int64_t>{1, 1}}}, steps, {}, &kernels);
    }
    for (const Steps& steps : AllSteps({1, 3, 5, 6}, {3, 1, 1})) {
      Check(op, {x}, {{"kernel_shape", std::vector<int64_t>{2, 2}}}, steps, {}, &kernels);
    }
  }
  EXPECT_GT(kernels, 150);
}

// x times a gate is NaN at -infinity, as its definition is; functions that end do so.
TEST(SpecialValues, ActivationsAtInfinity) {
  for (DType dtype : {DType::kF32, DType::kF64, DType::kF16}) {
    const Dims dims = {static_cast<int64_t>(SpecialValues(dtype == DType::kF16).size())};
    const Tensor x = SpecialTensor(dtype, dims);
    const struct {
      const char* op;
      AttrList attrs;
      double (*f)(double);
    } cases[] = {
        {"Swish", {}, [](double v) { return v * (1 / (1 + std::exp(-v))); }},
        {"Gelu", {}, [](double v) { return v * (0.5 * std::erfc(-v / std::sqrt(2.0))); }},
        {"Mish", {}, [](double v) { return v * std::tanh(v > 50 ? v : std::log1p(std::exp(v))); }},
        {"HardSwish", {}, [](double v) { return v * std::clamp(v / 6 + 0.5, 0.0, 1.0); }},
        {"Sigmoid", {}, [](double v) { return 1 / (1 + std::exp(-v)); }},
        {"Tanh", {}, [](double v) { return std::tanh(v); }},
        {"Relu", {}, [](double v) { return v < 0 ? 0 : v; }},
        {"Softplus", {}, [](double v) { return v > 50 ? v : std::log1p(std::exp(v)); }},
        {"Elu", {}, [](double v) { return v < 0 ? std::expm1(v) : v; }},
        {"Exp", {}, [](double v) { return std::exp(v); }},
        {"Erf", {}, [](double v) { return std::erf(v); }},
    };
    for (const auto& c : cases) {
      const auto y = RunOp(c.op, {x}, c.attrs);
      ASSERT_TRUE(y.ok()) << y.status();
      Tensor expected = *Tensor::Allocate(DType::kF64, dims);
      for (int64_t i = 0; i < x.elements(); ++i) {
        const double v = Converted(x, DType::kF64).data<double>()[i];
        expected.mutable_data<double>()[i] = c.f(v);
      }
      EXPECT_EQ(Disagreement((*y)[0], Converted(expected, dtype),
                             {.relative = dtype == DType::kF16 ? 2e-3 : 1e-5}),
                "")
          << c.op << " of " << ToString(dtype);
    }
  }
}

TEST(SpecialValues, PowersOfAHalf) {
  const std::vector<float> values = SpecialValues();
  for (DType dtype : {DType::kF32, DType::kF64}) {
    const Tensor x = SpecialTensor(dtype, {static_cast<int64_t>(values.size())});
    for (double power : {0.5, -0.5, -1.0, 2.0, 3.0, 4.0, 0.0, 1.0}) {
      Tensor e = Converted(Tensor::Scalar(power), dtype);
      const auto runs = RunCandidates("Pow", {x, e}, {}, {1}, 1);
      ASSERT_TRUE(runs.ok() && !runs->empty());
      Tensor expected = *Tensor::Allocate(dtype, x.dims());
      for (int64_t i = 0; i < x.elements(); ++i) {
        if (dtype == DType::kF32) {
          expected.mutable_data<float>()[i] =
              std::pow(x.data<float>()[i], static_cast<float>(power));
        } else {
          expected.mutable_data<double>()[i] = std::pow(x.data<double>()[i], power);
        }
      }
      EXPECT_EQ(Disagreement((*runs)[0].outputs[0], expected,
                             {.relative = 1e-6, .absolute = 0, .zeros = true}),
                "")
          << power;
    }
  }
}

}  // namespace
}  // namespace sluice
