#include "ops/einsum.h"

#include <gtest/gtest.h>

#include "graph/infer.h"
#include "ops/op.h"
#include "tests/testing/candidates.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

// The definition: a sum over all labels, in f64.
Tensor Reference(const std::string& equation, const std::vector<Tensor>& in, const Dims& out_dims) {
  std::vector<int> ranks;
  for (const Tensor& t : in) ranks.push_back(t.rank());
  const EinsumEquation e = *EinsumEquation::Parse(equation)->Expand(ranks);
  std::vector<int64_t> extent(e.labels, 1);
  for (size_t i = 0; i < in.size(); ++i) {
    for (int d = 0; d < in[i].rank(); ++d) {
      int64_t& x = extent[e.inputs[i][d]];
      x = std::max(x, in[i].dims()[d]);
      if (in[i].dims()[d] == 0) x = 0;
    }
  }
  std::vector<Tensor> f;
  for (const Tensor& t : in) f.push_back(Converted(t, DType::kF64));
  Tensor y = *Tensor::Allocate(DType::kF64, out_dims);
  std::fill_n(y.mutable_data<double>(), y.elements(), 0.0);
  int64_t total = 1;
  for (int64_t x : extent) total *= x;
  for (int64_t i = 0; i < total; ++i) {
    std::vector<int64_t> at(e.labels);
    int64_t rest = i;
    for (int l = e.labels - 1; l >= 0; --l) {
      at[l] = rest % extent[l];
      rest /= extent[l];
    }
    double product = 1;
    for (size_t j = 0; j < in.size(); ++j) {
      int64_t offset = 0;
      for (int d = 0; d < in[j].rank(); ++d) {
        offset = offset * in[j].dims()[d] + (in[j].dims()[d] == 1 ? 0 : at[e.inputs[j][d]]);
      }
      product *= f[j].data<double>()[offset];
    }
    int64_t offset = 0;
    for (int l : e.output) offset = offset * extent[l] + at[l];
    y.mutable_data<double>()[offset] += product;
  }
  return y;
}

void Check(DType dtype, const std::string& equation, std::vector<Dims> shapes) {
  std::vector<Tensor> in;
  for (size_t i = 0; i < shapes.size(); ++i) {
    in.push_back(*Tensor::Random(dtype, shapes[i], {i + 1, IsInt(dtype) ? 4.0 : 1.0, 0}));
  }
  auto y = RunOp("Einsum", in, {{"equation", equation}}, 1, 2);
  ASSERT_TRUE(y.ok()) << equation << ": " << y.status();
  Dims out((*y)[0].dims().begin(), (*y)[0].dims().end());
  const Tensor want = Converted(Reference(equation, in, out), dtype);
  const double tolerance = dtype == DType::kF64   ? 1e-13
                           : dtype == DType::kF32 ? 3e-6
                           : dtype == DType::kF16 ? 2e-3
                                                  : 0;
  EXPECT_LE(RelativeError((*y)[0], want), tolerance) << equation << " " << ToString(dtype);
}

TEST(Einsum, ProductsSumsTransposesAndDiagonals) {
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kI64, DType::kI32, DType::kU32}) {
    Check(d, "ij,jk->ik", {{3, 4}, {4, 5}});
    Check(d, "ij,jk->ki", {{3, 4}, {4, 5}});
    Check(d, "bij,bjk->bik", {{2, 3, 4}, {2, 4, 5}});
    Check(d, "bqhd,bkhd->bhqk", {{2, 5, 3, 4}, {2, 6, 3, 4}});
    Check(d, "bhqk,bkhd->bqhd", {{2, 3, 5, 6}, {2, 6, 3, 4}});
    Check(d, "ij->ji", {{3, 4}});
    Check(d, "ij->i", {{3, 4}});
    Check(d, "ij->", {{3, 4}});
    Check(d, "ii->i", {{4, 4}});
    Check(d, "ii", {{4, 4}});
    Check(d, "i,i", {{7}, {7}});
    Check(d, "i,j->ij", {{3}, {4}});
    Check(d, "i,j", {{3}, {4}});
    Check(d, ",ij->ij", {{}, {3, 4}});
  }
}

TEST(Einsum, EllipsisBroadcasts) {
  Check(DType::kF32, "...ij,...jk->...ik", {{2, 3, 4, 5}, {3, 5, 6}});
  Check(DType::kF32, "...ij,...jk", {{2, 1, 4, 5}, {3, 5, 6}});
  Check(DType::kF32, "...ii->...i", {{2, 3, 4, 4}});
  Check(DType::kF32, "...i->...", {{2, 3, 4}});
  Check(DType::kF32, "i...->...i", {{2, 3, 4}});
  Check(DType::kF32, "...,...->...", {{2, 3}, {3}});
}

TEST(Einsum, ManyInputsAndLabelsOfOneInputAlone) {
  Check(DType::kF64, "ij,jk,kl->il", {{3, 4}, {4, 5}, {5, 2}});
  Check(DType::kF64, "bn,anm,bm->ba", {{2, 5}, {3, 5, 4}, {2, 4}});
  Check(DType::kF64, "ijk,jl->l", {{2, 3, 4}, {3, 5}});
  Check(DType::kF64, "aab,bcc->ac", {{3, 3, 2}, {2, 4, 4}});
  Check(DType::kF64, "abc,cd,bd->ad", {{2, 3, 1}, {4, 5}, {1, 5}});
}

TEST(Einsum, SmallIntegersWrapLikeTheirDType) {
  for (DType d : {DType::kI8, DType::kU8, DType::kI16, DType::kU16}) {
    const Tensor x = Converted(MakeTensor<int32_t>({1, 3}, {100, 100, 100}), d);
    auto y = RunOp("Einsum", {x, x}, {{"equation", "ij,ij->i"}});
    ASSERT_TRUE(y.ok()) << y.status();
    const int64_t sum = 30000;
    const int64_t want = d == DType::kI8   ? static_cast<int8_t>(sum)
                         : d == DType::kU8 ? static_cast<uint8_t>(sum)
                                           : sum;
    EXPECT_EQ((*(*y)[0].AsInts())[0], want) << ToString(d);
  }
}

TEST(Einsum, LargeProductsAndEmptyExtents) {
  Check(DType::kF32, "mk,nk->mn", {{130, 300}, {70, 300}});
  Check(DType::kF32, "ij,jk->ik", {{3, 0}, {0, 5}});
  Check(DType::kF32, "ij,jk->ik", {{0, 4}, {4, 5}});
}

TEST(Einsum, BadEquationsAreRefused) {
  const Tensor x = *Tensor::Random(DType::kF32, {3, 4}, {1, 1, 0});
  for (const char* equation : {"i->i", "ij,jk->ik", "ij->k", "ij->ii", "i.j", "ij->ij->", "i j k",
                               "ij-", "......", "i$"}) {
    EXPECT_FALSE(RunOp("Einsum", {x}, {{"equation", equation}}).ok()) << equation;
  }
  const Tensor y = *Tensor::Random(DType::kF32, {5, 4}, {1, 1, 0});
  auto s = RunOp("Einsum", {x, y}, {{"equation", "ij,jk->ik"}});
  ASSERT_FALSE(s.ok());
  EXPECT_NE(s.status().message().find("f32[5,4]"), std::string::npos) << s.status();
}

TEST(Einsum, SymbolicExtentsInfer) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("b"), Dim::Symbol("q"), 8}));
  Value* y = b.Input("y", Type::Tensor(DType::kF32, Shape{Dim::Symbol("b"), Dim::Symbol("k"), 8}));
  Value* z = b.Op("Einsum", {x, y}, {{"equation", "...qd,...kd->...qk"}});
  ASSERT_TRUE(b.status().ok()) << b.status();
  EXPECT_EQ(z->type().ToString(), "f32[b,q,k]");
}

}  // namespace
}  // namespace sluice
