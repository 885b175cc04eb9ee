// Every kernel of FusedMatMul against double precision, on what each of them takes.
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_join.h"
#include "tests/testing/candidates.h"

namespace sluice {
namespace {

Tensor Waves(const Dims& dims, float step) {
  Tensor t = *Tensor::Allocate(DType::kF32, dims);
  for (int64_t i = 0; i < t.elements(); ++i) {
    t.mutable_data<float>()[i] = std::sin(step * static_cast<float>(i) + step);
  }
  return t;
}

struct Case {
  Dims a, b;
  bool constant = true, transpose_b = false;
  float alpha = 1;
  Dims c;                     // empty: absent
  std::vector<Dims> addends;  // "Add" steps
  std::vector<std::string> after;
};

double Apply(const std::string& step, double x) {
  if (step == "Relu") return std::max(x, 0.0);
  if (step == "Gelu") return x / 2 * std::erfc(-x / std::sqrt(2.0));
  return std::tanh(x);
}

void Check(const Case& c) {
  std::vector<Tensor> tensors = {Waves(c.a, 0.37f), Waves(c.b, 0.71f),
                                 c.c.empty() ? Tensor() : Waves(c.c, 1.3f)};
  std::vector<std::string> steps;
  std::vector<float> params;
  for (const Dims& d : c.addends) {
    tensors.push_back(Waves(d, 0.9f));
    steps.push_back("Add");
  }
  for (const std::string& s : c.after) {
    steps.push_back(s);
    if (s == "Gelu") params.push_back(0);
  }
  AttrList attrs = {{"alpha", c.alpha}, {"transpose_b", int64_t{c.transpose_b}}};
  if (!steps.empty()) attrs.push_back({"activations", steps});
  if (!params.empty()) attrs.push_back({"activation_params", params});
  SCOPED_TRACE(testing::Message() << absl::StrJoin(c.a, "x") << " by " << absl::StrJoin(c.b, "x")
                                  << " steps " << absl::StrJoin(steps, ","));

  const int64_t m = c.a[c.a.size() - 2], k = c.a.back(),
                n = c.b[c.b.size() - (c.transpose_b ? 2 : 1)];
  const int64_t count = tensors[0].elements() / c.a.back() * n;
  const auto at = [&](const Tensor& t,
                      int64_t i) {  // of the result's element i: scalars, rows, all
    return t.data<float>()[t.elements() == 1 ? 0 : t.elements() == n ? i % n : i];
  };
  std::vector<double> expected(count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = i / n, col = i % n;
    const int64_t matrix = tensors[1].elements() == k * n ? 0 : row / m;
    const float* bm = tensors[1].data<float>() + matrix * k * n;
    double sum = 0;
    for (int64_t x = 0; x < k; ++x) {
      sum += double{tensors[0].data<float>()[row * k + x]} *
             bm[c.transpose_b ? col * k + x : x * n + col];
    }
    sum *= c.alpha;
    for (size_t t = 2; t < tensors.size(); ++t) {
      if (tensors[t].valid()) sum += at(tensors[t], i);
    }
    for (const std::string& s : c.after) sum = Apply(s, sum);
    expected[i] = sum;
  }

  for (int threads : {1, 3}) {
    const auto runs = RunCandidates("FusedMatMul", tensors, attrs,
                                    c.constant ? std::set<int>{1} : std::set<int>{}, threads);
    ASSERT_TRUE(runs.ok()) << runs.status();
    EXPECT_GE(runs->size(), 2u);
    for (const CandidateResult& run : *runs) {
      double worst = 0;
      for (int64_t i = 0; i < count; ++i) {
        worst = std::max(worst, std::abs(run.outputs[0].data<float>()[i] - expected[i]));
      }
      EXPECT_LT(worst, 2e-6 * static_cast<double>(k + 8)) << run.name;
    }
  }
}

TEST(MatMulCandidatesTest, AgreeOnProductsWithConstantWeights) {
  for (int64_t m : {1, 3, 8, 37, 128}) {
    for (int64_t n : {8, 24, 100}) {
      Check({{m, 40}, {40, n}});
      Check({{m, 40}, {n, 40}, true, true, 0.5f, {n}, {{m, n}}, {"Relu"}});
      Check({{m, 40}, {40, n}, true, false, 1, {m, n}, {{n}}, {"Gelu"}});
      Check({{m, 40}, {40, n}, true, false, 1, {}, {{m, n}, {m, n}}, {"Tanh", "Relu"}});
      Check({{m, 40}, {40, n}, true, false, 1, {n}, {{1}}, {"Relu", "Gelu"}});
    }
  }
}

TEST(MatMulCandidatesTest, AgreeOnBatches) {
  for (bool constant : {false, true}) {
    Check({{3, 40, 20}, {3, 20, 50}, constant});
    Check({{5, 40, 20}, {5, 50, 20}, constant, true, 2, {50}, {{5, 40, 50}}, {"Relu"}});
    Check({{5, 40, 20}, {20, 50}, constant, false, 1, {50}, {{5, 40, 50}}, {"Gelu"}});
    Check({{3, 200, 200}, {3, 200, 100}, constant, false, 1, {}, {}, {"Tanh"}});
    Check({{300, 200}, {100, 200}, constant, true});
  }
}

}  // namespace
}  // namespace sluice
