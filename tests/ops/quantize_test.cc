#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "graph/infer.h"
#include "ops/op.h"
#include "tests/testing/candidates.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

constexpr DType kQuant[] = {DType::kI8, DType::kU8, DType::kI16, DType::kU16};

TEST(QuantizeLinear, RoundsTiesToEvenThenAddsTheZeroPointAndSaturates) {
  const Tensor x = MakeTensor<float>({8}, {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 1e9f, -1e9f, NAN});
  const Tensor scale = MakeTensor<float>({}, {1});
  auto y = RunOp("QuantizeLinear", {x, scale, MakeTensor<int8_t>({}, {1})});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_TRUE((*y)[0] == MakeTensor<int8_t>({8}, {1, 3, 3, 1, -1, 127, -128, 1}))
      << (*y)[0].ToString();
  auto u = RunOp("QuantizeLinear", {x, scale});
  ASSERT_TRUE(u.ok()) << u.status();
  EXPECT_TRUE((*u)[0] == MakeTensor<uint8_t>({8}, {0, 2, 2, 0, 0, 255, 0, 0}));
  auto w = RunOp("QuantizeLinear", {x, scale}, {{"output_dtype", DType::kI16}});
  ASSERT_TRUE(w.ok()) << w.status();
  EXPECT_TRUE((*w)[0] == MakeTensor<int16_t>({8}, {0, 2, 2, 0, -2, 32767, -32768, 0}));
}

// Every granularity against the definition, there and back.
void CheckGranularity(Dims dims, Dims scale_dims, int64_t axis, int64_t block) {
  const Tensor x = *Tensor::Random(DType::kF32, dims, {1, 20, 0});
  Tensor scale = *Tensor::Random(DType::kF32, scale_dims, {2, 0.25, 0.5});
  for (DType q : kQuant) {
    const Tensor zero = *Tensor::Random(q, scale_dims, {3, 9, 0});
    const Tensor zf = Converted(zero, DType::kF32);
    AttrList attrs = {{"axis", axis}};
    if (block > 0) attrs.push_back({"block_size", block});
    auto index = [&](int64_t i) -> int64_t {
      if (scale.elements() == 1) return 0;
      int64_t at = 0, stride = 1;
      for (int d = static_cast<int>(dims.size()) - 1; d >= 0; --d) {
        int64_t c = i % dims[d];
        i /= dims[d];
        if (block == 0) {
          if (d == axis) return c;
          continue;
        }
        if (d == axis) c /= block;
        at += c * stride;
        stride *= scale_dims[d];
      }
      return at;
    };
    Tensor want = *Tensor::Allocate(DType::kF32, dims);
    for (int64_t i = 0; i < x.elements(); ++i) {
      const float z = zf.data<float>()[index(i)];
      const float r = std::rint(x.data<float>()[i] / scale.data<float>()[index(i)]) + z;
      const bool sign = IsSignedInt(q);
      const float high = ByteSize(q) == 1 ? (sign ? 127.f : 255.f) : (sign ? 32767.f : 65535.f);
      want.mutable_data<float>()[i] = std::clamp(r, sign ? -high - 1 : 0.f, high);
    }
    auto y = RunOp("QuantizeLinear", {x, scale, zero}, attrs, 1, 3);
    ASSERT_TRUE(y.ok()) << y.status();
    EXPECT_TRUE((*y)[0] == Converted(want, q)) << ToString(q) << DimsToString(scale_dims);
    auto back = RunOp("DequantizeLinear", {(*y)[0], scale, zero}, attrs, 1, 3);
    ASSERT_TRUE(back.ok()) << back.status();
    for (int64_t i = 0; i < x.elements(); ++i) {
      const float z = zf.data<float>()[index(i)];
      ASSERT_EQ((*back)[0].data<float>()[i],
                (want.data<float>()[i] - z) * scale.data<float>()[index(i)])
          << i;
    }
  }
}

TEST(QuantizeLinear, EveryGranularityAgreesWithTheDefinition) {
  CheckGranularity({3, 50, 70}, {}, 1, 0);
  CheckGranularity({3, 5, 7}, {5}, 1, 0);
  CheckGranularity({3, 5, 1100}, {1100}, 2, 0);
  CheckGranularity({6}, {6}, 0, 0);
  CheckGranularity({3, 7, 5}, {3, 3, 5}, 1, 3);
  CheckGranularity({4, 10}, {4, 3}, 1, 4);
  CheckGranularity({7, 4}, {4, 4}, 0, 2);
}

TEST(QuantizeLinear, HalvesDivideInTheScalesPrecision) {
  for (DType h : {DType::kF16, DType::kBF16}) {
    const Tensor x = Converted(MakeTensor<float>({3}, {1, 2, 3}), h);
    const Tensor s = Converted(MakeTensor<float>({}, {0.25f}), h);
    auto q = RunOp("QuantizeLinear", {x, s, MakeTensor<uint8_t>({}, {10})});
    ASSERT_TRUE(q.ok()) << q.status();
    EXPECT_TRUE((*q)[0] == MakeTensor<uint8_t>({3}, {14, 18, 22}));
    auto d = RunOp("DequantizeLinear", {(*q)[0], s, MakeTensor<uint8_t>({}, {10})});
    ASSERT_TRUE(d.ok()) << d.status();
    EXPECT_TRUE((*d)[0] == x);
  }
  // 4097 in f16 is 4096: the precision attribute shows.
  const Tensor x = MakeTensor<float>({1}, {4097}), s = MakeTensor<float>({}, {1});
  auto f = RunOp("QuantizeLinear", {x, s, MakeTensor<int16_t>({}, {0})});
  auto h =
      RunOp("QuantizeLinear", {x, s, MakeTensor<int16_t>({}, {0})}, {{"precision", DType::kF16}});
  ASSERT_TRUE(f.ok() && h.ok());
  EXPECT_EQ((*f)[0].data<int16_t>()[0], 4097);
  EXPECT_EQ((*h)[0].data<int16_t>()[0], 4096);
}

// f32 holds neither every i32 nor every tie.
TEST(QuantizeLinear, WholeNumbersAreDividedInDouble) {
  std::mt19937 random(4);
  for (float scale : {43690.668f, 2.0f, 1.0f, 100000.0f}) {
    Tensor x = *Tensor::Allocate(DType::kI32, {2000}),
           want = *Tensor::Allocate(DType::kI16, {2000});
    for (int64_t i = 0; i < x.elements(); ++i) {
      const int32_t v = static_cast<int32_t>(random()) >> (i % 24);
      x.mutable_data<int32_t>()[i] = v;
      const double q = std::rint(v / double{scale}) + 3;
      want.mutable_data<int16_t>()[i] = static_cast<int16_t>(std::clamp(q, -32768.0, 32767.0));
    }
    x.mutable_data<int32_t>()[0] = -562145981;  // just beyond a tie of the first scale
    want.mutable_data<int16_t>()[0] =
        static_cast<int16_t>(std::clamp(std::rint(-562145981 / double{scale}) + 3, -32768.0, 3e4));
    const auto y =
        RunOp("QuantizeLinear", {x, MakeTensor<float>({}, {scale}), MakeTensor<int16_t>({}, {3})});
    ASSERT_TRUE(y.ok()) << y.status();
    EXPECT_EQ((*y)[0], want) << scale;
  }
}

TEST(DequantizeLinear, TakesI32AndGivesTheAskedDType) {
  const Tensor x = MakeTensor<int32_t>({2}, {100000, -3}), s = MakeTensor<float>({}, {0.5f});
  auto y = RunOp("DequantizeLinear", {x, s});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_TRUE((*y)[0] == MakeTensor<float>({2}, {50000, -1.5f}));
  auto b = RunOp("DequantizeLinear", {x, s}, {{"output_dtype", DType::kBF16}});
  ASSERT_TRUE(b.ok()) << b.status();
  EXPECT_EQ((*b)[0].dtype(), DType::kBF16);
}

TEST(QuantizeLinear, ScalesThatDoNotFitAreRefused) {
  const Tensor x = *Tensor::Random(DType::kF32, {3, 5}, {1, 1, 0});
  const Tensor four = MakeTensor<float>({4}, {1, 1, 1, 1});
  EXPECT_FALSE(RunOp("QuantizeLinear", {x, four}).ok());
  EXPECT_FALSE(RunOp("QuantizeLinear", {x, four}, {{"axis", 7}}).ok());
  EXPECT_FALSE(RunOp("QuantizeLinear", {x, four}, {{"block_size", -1}}).ok());
  EXPECT_FALSE(RunOp("QuantizeLinear", {x, MakeTensor<float>({}, {1}), MakeTensor<int8_t>({}, {1})},
                     {{"output_dtype", DType::kU8}})
                   .ok());
}

TEST(DynamicQuantizeLinear, CoversTheRangeAndZero) {
  auto y = RunOp("DynamicQuantizeLinear", {MakeTensor<float>({4}, {0, 2, -3, 4})}, {}, 3);
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_NEAR((*y)[1].data<float>()[0], 7.0f / 255, 1e-7);
  EXPECT_EQ((*y)[2].data<uint8_t>()[0], 109);
  EXPECT_TRUE((*y)[0] == MakeTensor<uint8_t>({4}, {109, 182, 0, 255})) << (*y)[0].ToString();
  auto zeros = RunOp("DynamicQuantizeLinear", {MakeTensor<float>({2}, {0, 0})}, {}, 3);
  ASSERT_TRUE(zeros.ok());
  EXPECT_TRUE((*zeros)[0] == MakeTensor<uint8_t>({2}, {0, 0}));
  EXPECT_EQ((*zeros)[1].data<float>()[0], 1);
  EXPECT_EQ((*zeros)[2].data<uint8_t>()[0], 0);
}

Tensor IntegerProduct(const Tensor& a, const Tensor& b, const std::vector<int>& az,
                      const std::vector<int>& bz) {
  const int64_t m = a.dims()[0], k = a.dims()[1], n = b.dims()[1];
  const Tensor x = Converted(a, DType::kI32), y = Converted(b, DType::kI32);
  Tensor c = *Tensor::Allocate(DType::kI32, {m, n});
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      int32_t sum = 0;
      for (int64_t q = 0; q < k; ++q) {
        sum += (x.data<int32_t>()[i * k + q] - az[i % az.size()]) *
               (y.data<int32_t>()[q * n + j] - bz[j % bz.size()]);
      }
      c.mutable_data<int32_t>()[i * n + j] = sum;
    }
  }
  return c;
}

TEST(MatMulInteger, IsExactWithEveryZeroPoint) {
  for (DType at : {DType::kU8, DType::kI8}) {
    for (DType bt : {DType::kU8, DType::kI8}) {
      for (Dims shape : {Dims{3, 5, 4}, Dims{70, 131, 67}}) {
        const int64_t m = shape[0], k = shape[1], n = shape[2];
        const double high = 127;
        const Tensor a = *Tensor::Random(at, {m, k}, {1, high, 0});
        const Tensor b = *Tensor::Random(bt, {k, n}, {2, high, 0});
        const Tensor az = *Tensor::Random(at, {m}, {3, high, 0});
        const Tensor bz = *Tensor::Random(bt, {n}, {4, high, 0});
        auto ints = [](const Tensor& t) {
          std::vector<int64_t> v = *t.AsInts();
          return std::vector<int>(v.begin(), v.end());
        };
        for (const std::set<int>& constants : {std::set<int>{}, std::set<int>{1, 3}}) {
          auto plain = RunCandidates("MatMulInteger", {a, b}, {}, constants);
          ASSERT_TRUE(plain.ok()) << plain.status();
          EXPECT_TRUE((*plain)[0].outputs[0] == IntegerProduct(a, b, {0}, {0}));
          auto zeros = RunCandidates("MatMulInteger", {a, b, az, bz}, {}, constants);
          ASSERT_TRUE(zeros.ok()) << zeros.status();
          EXPECT_TRUE((*zeros)[0].outputs[0] == IntegerProduct(a, b, ints(az), ints(bz)));
        }
      }
    }
  }
}

TEST(MatMulInteger, ExtremesDoNotOverflowThePairs) {
  const Tensor a = Converted(MakeTensor<int32_t>({1, 4}, {255, 255, 255, 255}), DType::kU8);
  const Tensor b = Converted(MakeTensor<int32_t>({4, 1}, {-128, -128, -128, -128}), DType::kI8);
  const Tensor bz = MakeTensor<int8_t>({}, {127});
  auto y = RunOp("MatMulInteger", {a, b, Tensor(), bz});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0].data<int32_t>()[0], 4 * 255 * -255);
}

TEST(QLinearMatMul, QuantizesTheProductByRowsAndColumns) {
  const Tensor a = MakeTensor<uint8_t>({2, 2}, {1, 2, 3, 4});
  const Tensor b = MakeTensor<int8_t>({2, 2}, {1, -1, 2, 1});
  const Tensor one = MakeTensor<float>({}, {1}), half = MakeTensor<float>({2}, {0.5f, 1});
  const Tensor az = MakeTensor<uint8_t>({}, {0}), bz = MakeTensor<int8_t>({}, {0});
  const Tensor yz = MakeTensor<uint8_t>({}, {3});
  // A B = [[5, 1], [11, 1]]; rows scaled by 0.5 and 1, ties to even, plus 3.
  auto rows = RunOp("QLinearMatMul", {a, half, az, b, one, bz, one, yz});
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_TRUE((*rows)[0] == MakeTensor<uint8_t>({2, 2}, {5, 3, 14, 4})) << (*rows)[0].ToString();
  auto columns = RunOp("QLinearMatMul", {a, one, az, b, half, bz, one, yz});
  ASSERT_TRUE(columns.ok()) << columns.status();
  EXPECT_TRUE((*columns)[0] == MakeTensor<uint8_t>({2, 2}, {5, 4, 9, 4}))
      << (*columns)[0].ToString();
}

}  // namespace
}  // namespace sluice
