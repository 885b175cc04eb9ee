#include <gtest/gtest.h>

#include <cmath>

#include "tests/testing/candidates.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using Strings = std::vector<std::string>;

std::vector<double> Read(const Tensor& t) {
  std::vector<double> v;
  VisitDType(
      t.dtype(),
      [&]<typename T>() {
        for (const T& x : t.values<T>()) v.push_back(static_cast<double>(x));
      },
      [] {});
  return v;
}

// [batch, heads, rows, size] in the order of `layout`.
Tensor Heads(DType dtype, const std::string& layout, int64_t batch, int64_t heads, int64_t rows,
             int64_t size, uint64_t seed) {
  Dims dims;
  for (char c : layout)
    dims.push_back(c == 'b' ? batch : c == 'h' ? heads : c == 's' ? rows : size);
  return *Tensor::Random(dtype, dims, {.seed = seed});
}

void Check(const std::vector<Tensor>& inputs, const AttrList& attrs, double tolerance) {
  for (int threads : {1, 3}) {
    const auto y = RunOp("FusedAttention", inputs, attrs, 1, threads);
    const auto want = RunExpansion("FusedAttention", inputs, attrs);
    ASSERT_TRUE(y.ok()) << y.status();
    ASSERT_TRUE(want.ok()) << want.status();
    ASSERT_EQ((*y)[0].TypeString(), (*want)[0].TypeString());
    const std::vector<double> a = Read((*y)[0]), b = Read((*want)[0]);
    for (size_t i = 0; i < a.size(); ++i) {
      if (std::isnan(b[i])) {
        ASSERT_TRUE(std::isnan(a[i])) << i;
      } else {
        ASSERT_NEAR(a[i], b[i], tolerance) << i << " of " << a.size();
      }
    }
  }
}

TEST(FusedAttention, EveryLayoutAgreesWithTheExpansion) {
  for (const char* q : {"bhsd", "bshd", "sbhd", "hbsd", "shbd", "hsbd"}) {
    for (const char* k : {"bhsd", "bshd", "sbhd", "bhds", "hdbs"}) {
      const Strings layouts = {q, k, "bshd", q};
      Check({Heads(DType::kF32, q, 2, 4, 35, 6, 1), Heads(DType::kF32, k, 2, 2, 70, 6, 2),
             Heads(DType::kF32, "bshd", 2, 2, 70, 5, 3)},
            {{"layouts", layouts}, {"scale", 0.4f}}, 2e-6);
    }
  }
}

TEST(FusedAttention, FewQueriesAndEveryType) {
  for (DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    for (const char* k : {"bshd", "bhds"}) {
      const Strings layouts = {"bshd", k, "bshd", "bshd"};
      Check({Heads(dtype, "bshd", 2, 3, 1, 8, 1), Heads(dtype, k, 2, 3, 130, 8, 2),
             Heads(dtype, "bshd", 2, 3, 130, 8, 3)},
            {{"layouts", layouts}, {"scale", 0.3f}},
            dtype == DType::kBF16  ? 3e-2
            : dtype == DType::kF16 ? 3e-3
                                   : 2e-6);
    }
  }
}

TEST(FusedAttention, HeadsAndSizesOutOfLargerTensors) {
  const Strings layouts(4, "bshd");
  const Tensor packed = Heads(DType::kF32, "bshd", 2, 9, 11, 8, 1);
  Check(
      {packed, packed, packed},
      {{"layouts", layouts}, {"ranges", std::vector<int64_t>{0, 3, 0, 8, 3, 6, 0, 8, 6, 9, 2, 7}}},
      2e-6);
  const Tensor interleaved = Heads(DType::kF32, "bshd", 2, 3, 40, 24, 1);
  Check({interleaved, interleaved, interleaved},
        {{"layouts", layouts},
         {"ranges", std::vector<int64_t>{0, 3, 0, 8, 0, 3, 8, 16, 0, 3, 16, 24}}},
        2e-6);
}

TEST(FusedAttention, MasksBroadcast) {
  const Tensor q = Heads(DType::kF32, "bhsd", 2, 3, 5, 4, 1),
               k = Heads(DType::kF32, "bhsd", 2, 3, 7, 4, 2),
               v = Heads(DType::kF32, "bhsd", 2, 3, 7, 4, 3);
  for (const Dims& dims : {Dims{}, Dims{7}, Dims{1}, Dims{5, 1}, Dims{5, 7}, Dims{3, 1, 7},
                           Dims{2, 1, 1, 7}, Dims{2, 3, 5, 7}, Dims{1, 3, 5, 1}}) {
    const Tensor added = *Tensor::Random(DType::kF32, dims, {.seed = 4});
    Check({q, k, v, added}, {}, 2e-6);
    Tensor bools = *Tensor::Allocate(DType::kBool, dims);
    for (int64_t i = 0; i < bools.elements(); ++i) bools.mutable_data<bool>()[i] = i % 3 != 1;
    for (float fill : {-INFINITY, -3.0f, -3.4028235e38f}) {
      Check({q, k, v, bools}, {{"mask_value", fill}}, 2e-6);
      Check({q, k, v, bools}, {{"mask_value", fill}, {"is_causal", 1}, {"softcap", 2.0f}}, 2e-6);
    }
  }
}

TEST(FusedAttention, RowsThatSeeNothing) {
  const Tensor q = Heads(DType::kF32, "bhsd", 1, 2, 3, 4, 1);
  const Tensor mask = MakeBools({3, 3}, {1, 0, 0, 0, 0, 0, 1, 1, 1});
  Check({q, q, q, mask}, {}, 2e-6);  // NaN
  Check({q, q, q, mask}, {{"zero_masked", 1}}, 2e-6);
  Check({q, q, q, mask}, {{"mask_value", -1e9f}}, 2e-6);  // the mean
  Tensor nan = MakeTensor<float>({3, 3}, {0, 0, 0, 0, NAN, 0, 0, INFINITY, 0});
  Check({q, q, q, nan}, {{"zero_masked", 1}}, 2e-6);
}

TEST(FusedAttention, RefusesWhatDoesNotFit) {
  auto message = [](absl::Span<const Tensor> inputs, const AttrList& attrs) {
    return std::string(RunOp("FusedAttention", inputs, attrs).status().message());
  };
  const Tensor x = Heads(DType::kF32, "bhsd", 1, 2, 3, 4, 1);
  EXPECT_NE(message({x, x, x}, {{"layouts", Strings{"bhds", "bhsd", "bhsd", "bhsd"}}})
                .find("'bhds' is no layout of Q"),
            std::string::npos);
  EXPECT_NE(message({x, x, x}, {{"layouts", Strings{"bhsd"}}}).find("four"), std::string::npos);
  EXPECT_NE(message({x, x, x}, {{"ranges", std::vector<int64_t>{0, 2}}}).find("twelve"),
            std::string::npos);
  EXPECT_NE(
      message({x, x, x}, {{"ranges", std::vector<int64_t>{0, 3, 0, 4, 0, 2, 0, 4, 0, 2, 0, 4}}})
          .find("reach beyond"),
      std::string::npos);
  EXPECT_NE(message({x, Heads(DType::kF32, "bhsd", 2, 2, 3, 4, 1), x}, {}).find("must agree"),
            std::string::npos);
  EXPECT_NE(message({x, x, x, *Tensor::Random(DType::kF32, {2, 3}, {.seed = 1})}, {})
                .find("does not broadcast"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice
