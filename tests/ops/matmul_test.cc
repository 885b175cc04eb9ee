#include <gtest/gtest.h>

#include <cmath>

#include "graph/infer.h"
#include "ops/fused.h"
#include "ops/op.h"
#include "tests/testing/candidates.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

Tensor Random(DType dtype, const Dims& dims, uint64_t seed) {
  return IsInt(dtype) ? *Tensor::Random(dtype, dims, {seed, 10, 0})
                      : *Tensor::Random(dtype, dims, {seed, 1, 0});
}

double Tolerance(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return 1e-13;
    case DType::kF32:
      return 2e-6;
    case DType::kF16:
      return 2e-3;
    case DType::kBF16:
      return 1.6e-2;
    default:
      return 0;
  }
}

// numpy.matmul, element by element, in f64 (exact for the small integers used here).
Tensor Reference(const Tensor& a, const Tensor& b) {
  Dims x(a.dims().begin(), a.dims().end()), y(b.dims().begin(), b.dims().end());
  if (a.rank() == 1) x.insert(x.begin(), 1);
  if (b.rank() == 1) y.push_back(1);
  const size_t batch_rank = std::max(x.size(), y.size()) - 2;
  const int64_t m = x[x.size() - 2], k = x.back(), n = y.back();
  Dims xb(x.begin(), x.end() - 2), yb(y.begin(), y.end() - 2), out;
  xb.insert(xb.begin(), batch_rank - xb.size(), 1);
  yb.insert(yb.begin(), batch_rank - yb.size(), 1);
  int64_t batches = 1;
  for (size_t i = 0; i < batch_rank; ++i) {
    out.push_back(xb[i] == 1 ? yb[i] : xb[i]);
    batches *= out.back();
  }
  const Dims batch = out;
  if (a.rank() > 1) out.push_back(m);
  if (b.rank() > 1) out.push_back(n);
  const Tensor af = Converted(a, DType::kF64), bf = Converted(b, DType::kF64);
  Tensor result = *Tensor::Allocate(DType::kF64, out);
  for (int64_t i = 0; i < batches; ++i) {
    int64_t rest = i, ao = 0, bo = 0, as = m * k, bs = k * n;
    for (size_t d = batch_rank; d-- > 0;) {
      const int64_t at = rest % batch[d];
      rest /= batch[d];
      if (xb[d] != 1) ao += at * as;
      if (yb[d] != 1) bo += at * bs;
      as *= xb[d];
      bs *= yb[d];
    }
    for (int64_t r = 0; r < m; ++r) {
      for (int64_t c = 0; c < n; ++c) {
        double sum = 0;
        for (int64_t j = 0; j < k; ++j) {
          sum += af.data<double>()[ao + r * k + j] * bf.data<double>()[bo + j * n + c];
        }
        result.mutable_data<double>()[i * m * n + r * n + c] = sum;
      }
    }
  }
  return result;
}

void CheckAll(DType dtype, const Dims& a_dims, const Dims& b_dims) {
  const Tensor a = Random(dtype, a_dims, 1), b = Random(dtype, b_dims, 2);
  const Tensor want = Converted(Reference(a, b), dtype);
  for (const std::set<int>& constants : {std::set<int>{}, std::set<int>{1}}) {
    auto results = RunCandidates("MatMul", {a, b}, {}, constants);
    ASSERT_TRUE(results.ok()) << results.status();
    ASSERT_FALSE(results->empty());
    for (const CandidateResult& r : *results) {
      EXPECT_LE(RelativeError(r.outputs[0], want), Tolerance(dtype))
          << ToString(dtype) << DimsToString(a_dims) << DimsToString(b_dims) << " by " << r.name
          << ": " << r.description;
    }
  }
}

constexpr DType kTypes[] = {DType::kF64, DType::kF32, DType::kF16, DType::kBF16,
                            DType::kI64, DType::kI32, DType::kU64, DType::kU32};

TEST(MatMul, EveryKernelAgreesInEveryDType) {
  for (DType dtype : kTypes) {
    CheckAll(dtype, {3, 4}, {4, 5});
    CheckAll(dtype, {65, 70}, {70, 67});
    CheckAll(dtype, {2, 3, 17, 9}, {2, 3, 9, 33});
  }
}

TEST(MatMul, FollowsNumpyForVectorsAndBroadcastBatches) {
  for (DType dtype : {DType::kF32, DType::kI32, DType::kBF16}) {
    CheckAll(dtype, {7}, {7});
    CheckAll(dtype, {7}, {7, 5});
    CheckAll(dtype, {4, 7}, {7});
    CheckAll(dtype, {2, 4, 7}, {7});
    CheckAll(dtype, {7}, {3, 7, 5});
    CheckAll(dtype, {3, 1, 4, 6}, {2, 6, 5});
    CheckAll(dtype, {2, 4, 6}, {5, 1, 6, 3});
    CheckAll(dtype, {5, 4, 6}, {6, 3});
    CheckAll(dtype, {4, 6}, {5, 6, 3});
  }
}

TEST(MatMul, DeepAndWideShapesCrossTheBlocks) {
  CheckAll(DType::kF64, {7, 600}, {600, 35});
  CheckAll(DType::kI64, {200, 257}, {257, 130});
  CheckAll(DType::kF32, {1, 300}, {300, 513});
}

TEST(MatMul, EmptyExtentsGiveEmptyOrZeroResults) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kI64}) {
    CheckAll(dtype, {0, 4}, {4, 5});
    CheckAll(dtype, {3, 0}, {0, 5});
    CheckAll(dtype, {0, 3, 4}, {4, 5});
  }
}

TEST(MatMul, IntegersWrap) {
  const Tensor a = MakeTensor<int32_t>({1, 1}, {INT32_MAX}), b = MakeTensor<int32_t>({1, 1}, {2});
  auto y = RunOp("MatMul", {a, b});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0].data<int32_t>()[0], -2);
}

TEST(MatMul, ResultsDoNotDependOnTheNumberOfThreads) {
  const Tensor a = Random(DType::kF64, {150, 90}, 1), b = Random(DType::kF64, {90, 200}, 2);
  auto one = RunOp("MatMul", {a, b}, {}, 1, 1), four = RunOp("MatMul", {a, b}, {}, 1, 4);
  ASSERT_TRUE(one.ok() && four.ok());
  EXPECT_TRUE((*one)[0] == (*four)[0]);
}

TEST(MatMul, ShapesThatDoNotMeetAreRefusedWithBoth) {
  auto y = RunOp("MatMul", {Random(DType::kF32, {3, 4}, 1), Random(DType::kF32, {5, 6}, 2)});
  ASSERT_FALSE(y.ok());
  EXPECT_NE(y.status().message().find("f32[3,4]"), std::string::npos) << y.status();
  EXPECT_NE(y.status().message().find("f32[5,6]"), std::string::npos);
}

TEST(MatMul, SymbolicShapesInfer) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  auto s = [](const char* n) { return Dim::Symbol(n); };
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{s("batch"), 12, s("seq"), 64}));
  Value* y = b.Input("y", Type::Tensor(DType::kF32, Shape{s("batch"), 12, 64, s("seq")}));
  Value* z = b.Op("MatMul", {x, y});
  ASSERT_TRUE(b.status().ok()) << b.status();
  EXPECT_EQ(z->type().ToString(), "f32[batch,12,seq,seq]");
}

void CheckGemm(DType dtype, const Dims& a, const Dims& b, const Dims& c, const AttrList& attrs,
               double want_00) {
  auto fill = [&](const Dims& dims, double start) {
    Tensor t = *Tensor::Allocate(DType::kF64, dims);
    for (int64_t i = 0; i < t.elements(); ++i) t.mutable_data<double>()[i] = start + i;
    return Converted(t, dtype);
  };
  std::vector<Tensor> in = {fill(a, 1), fill(b, 2)};
  in.push_back(c.empty() ? Tensor() : fill(c, 3));
  for (const std::set<int>& constants : {std::set<int>{}, std::set<int>{1, 2}}) {
    auto results = RunCandidates("Gemm", in, attrs, constants);
    ASSERT_TRUE(results.ok()) << results.status();
    ASSERT_FALSE(results->empty());
    for (const CandidateResult& r : *results) {
      EXPECT_EQ(Converted(r.outputs[0], DType::kF64).data<double>()[0], want_00)
          << ToString(dtype) << " by " << r.name << ": " << r.description;
    }
  }
}

TEST(Gemm, TransposesScalesAndAddsCInEveryForm) {
  // A = [[1,2],[3,4],[5,6]], B = [[2,3],[4,5]]: (A B)[0][0] = 10.
  for (DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16, DType::kI32}) {
    CheckGemm(dtype, {3, 2}, {2, 2}, {}, {}, 10);
    CheckGemm(dtype, {3, 2}, {2, 2}, {2}, {}, 13);
    CheckGemm(dtype, {3, 2}, {2, 2}, {3, 1}, {{"beta", 2.0f}}, 16);
    CheckGemm(dtype, {3, 2}, {2, 2}, {3, 2}, {{"alpha", 2.0f}, {"beta", 3.0f}}, 29);
    CheckGemm(dtype, {3, 2}, {2, 2}, {1}, {{"alpha", 3.0f}}, 33);
    CheckGemm(dtype, {3, 2}, {2, 2}, {1, 2}, {{"beta", 0.0f}}, 10);
    // A' = [[1,3,5],[2,4,6]] from [2,3] stored as [[1,2],[3,4],[5,6]] transposed.
    CheckGemm(dtype, {3, 2}, {3, 4}, {}, {{"transA", 1}}, 1 * 2 + 3 * 6 + 5 * 10);
    CheckGemm(dtype, {3, 2}, {4, 2}, {4}, {{"transB", 1}}, 1 * 2 + 2 * 3 + 3);
  }
}

TEST(Gemm, FractionsOnFloatsOnly) {
  const Tensor a = MakeTensor<float>({1, 1}, {4}), i = MakeTensor<int32_t>({1, 1}, {4});
  auto y = RunOp("Gemm", {a, a}, {{"alpha", 0.5f}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0].data<float>()[0], 8);
  EXPECT_FALSE(RunOp("Gemm", {i, i}, {{"alpha", 0.5f}}).ok());
}

TEST(FusedMatMul, EveryStepAgreesWithTheExpansion) {
  const Tensor a = Random(DType::kF32, {2, 9, 20}, 1), b = Random(DType::kF32, {20, 24}, 2);
  const Tensor c = Random(DType::kF32, {24}, 3), r = Random(DType::kF32, {2, 9, 24}, 4);
  for (const PostOpDef& step : PostOpDefs()) {
    const std::string name = step.name;
    // The domain of Sqrt and Log: absolute values first; that of Div, away from zero.
    std::vector<std::string> chain = {name};
    if (name == "Sqrt" || name == "Log" || name == "Reciprocal") {
      chain = {"Abs", name};
    }
    std::vector<float> params;
    if (step.params > 0) params.push_back(name == "Clip" ? -0.5f : name == "Gelu" ? 0.f : 0.3f);
    if (step.params > 1) params.push_back(0.6f);
    std::vector<Tensor> in = {a, b, c};
    if (step.binary) in.push_back(name == "Div" ? MakeTensor<float>({1}, {3.f}) : r);
    const AttrList attrs = {{"activations", chain}, {"activation_params", params}};
    auto want = RunExpansion("FusedMatMul", in, attrs);
    ASSERT_TRUE(want.ok()) << name << ": " << want.status();
    for (const std::set<int>& constants : {std::set<int>{}, std::set<int>{1, 2}}) {
      auto results = RunCandidates("FusedMatMul", in, attrs, constants);
      ASSERT_TRUE(results.ok()) << results.status();
      ASSERT_FALSE(results->empty()) << name;
      for (const CandidateResult& result : *results) {
        EXPECT_LE(RelativeError(result.outputs[0], (*want)[0]), 1e-4)
            << name << " by " << result.name << ": " << result.description;
      }
    }
  }
}

TEST(FusedMatMul, ChainsMixStepsOperandsTransposesAndScale) {
  for (DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16}) {
    const Tensor a = Random(dtype, {2, 3, 16, 8}, 1), b = Random(dtype, {2, 3, 24, 16}, 2);
    const Tensor mask = Random(dtype, {2, 1, 1, 24}, 3), residual = Random(dtype, {2, 3, 8, 24}, 4);
    const Tensor scale = Random(dtype, {8, 1}, 5);
    const std::vector<Tensor> in = {a, b, mask, residual, scale};
    const AttrList attrs = {{"transpose_a", 1},
                            {"transpose_b", 1},
                            {"alpha", 0.125f},
                            {"activations", std::vector<std::string>{"Add", "Relu", "Mul", "Clip"}},
                            {"activation_params", std::vector<float>{-1e30f, 0.5f}}};
    auto want = RunExpansion("FusedMatMul", in, attrs);
    ASSERT_TRUE(want.ok()) << want.status();
    auto results = RunCandidates("FusedMatMul", in, attrs);
    ASSERT_TRUE(results.ok()) << results.status();
    ASSERT_FALSE(results->empty());
    for (const CandidateResult& r : *results) {
      EXPECT_LE(RelativeError(r.outputs[0], (*want)[0]), 4 * Tolerance(dtype))
          << ToString(dtype) << " by " << r.name << ": " << r.description;
    }
  }
}

TEST(FusedMatMul, StepsThatDoNotFitAreRefused) {
  const Tensor a = Random(DType::kF32, {4, 4}, 1);
  using Strings = std::vector<std::string>;
  EXPECT_FALSE(RunOp("FusedMatMul", {a, a}, {{"activations", Strings{"Conv"}}}).ok());
  EXPECT_FALSE(RunOp("FusedMatMul", {a, a}, {{"activations", Strings{"Elu"}}}).ok());
  EXPECT_FALSE(RunOp("FusedMatMul", {a, a}, {{"activations", Strings{"Add"}}}).ok());
  EXPECT_FALSE(RunOp("FusedMatMul", {a, a, Random(DType::kF32, {2, 4, 4}, 2)}).ok());
  EXPECT_FALSE(RunOp("FusedMatMul", {a, a, Tensor(), a}).ok());
}

}  // namespace
}  // namespace sluice
