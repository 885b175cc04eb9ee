#include "kernels/cpu/gemm/brgemm.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::cpu {
namespace {

template <typename T>
std::vector<T> Numbers(int64_t n, int seed) {
  std::vector<T> v(n);
  for (int64_t i = 0; i < n; ++i) v[i] = static_cast<T>((i * 37 + seed * 11) % 17 - 8);
  return v;
}

// Small integers: every order of additions gives the same numbers.
template <typename T>
void CheckGemm(TileShape s) {
  SCOPED_TRACE(testing::Message() << s.m << "x" << s.n << "x" << s.k);
  s.lda = s.k + 3;
  s.ldb = s.n + 5;
  s.ldc = s.n + 1;
  const auto a = Numbers<T>(s.m * s.lda + 1, 1), b = Numbers<T>(s.k * s.ldb + 1, 2);
  auto c = Numbers<T>(s.m * s.ldc + 1, 3);
  auto expected = c, simd = c;
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      T sum = s.accumulate ? c[i * s.ldc + j] : T(0);
      for (int64_t k = 0; k < s.k; ++k) sum += a[i * s.lda + k] * b[k * s.ldb + j];
      expected[i * s.ldc + j] = sum;
    }
  }
  TileGemm<T>(s).Run(a.data(), b.data(), c.data());
  SimdGemm<T>(s, a.data(), b.data(), simd.data());
  EXPECT_EQ(c, expected);
  EXPECT_EQ(simd, expected);
}

template <typename T>
class Brgemm : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(Brgemm, Types);

TYPED_TEST(Brgemm, AgreesWithTheDefinitionOnEveryTail) {
  for (int64_t m : {0, 1, 3, 6, 13, 32}) {
    for (int64_t n : {0, 1, 7, 64, 70}) {
      for (int64_t k : {0, 1, 5, 64}) {
        for (bool accumulate : {false, true}) CheckGemm<TypeParam>({m, n, k, 0, 0, 0, accumulate});
      }
    }
  }
}

TYPED_TEST(Brgemm, DotRowsMultipliesWithATransposedMatrix) {
  for (int64_t n : {1, 4, 6}) {
    const int64_t m = 3, size = 37, ldx = 40, ldy = 41, ld_out = 9;
    const auto x = Numbers<TypeParam>(m * ldx, 1), y = Numbers<TypeParam>(n * ldy, 2);
    std::vector<TypeParam> out(m * ld_out, 5), expected = out;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        expected[i * ld_out + j] = 0;
        for (int64_t k = 0; k < size; ++k)
          expected[i * ld_out + j] += x[i * ldx + k] * y[j * ldy + k];
      }
    }
    DotRows<TypeParam>(x.data(), m, ldx, y.data(), n, ldy, size, out.data(), ld_out);
    EXPECT_EQ(out, expected);
  }
}

TYPED_TEST(Brgemm, TransposeTileMovesEveryElement) {
  for (int64_t rows : {1, 4, 11}) {
    for (int64_t columns : {1, 8, 13}) {
      const auto in = Numbers<TypeParam>(rows * 20, 1);
      std::vector<TypeParam> out(columns * 16, 99), expected = out;
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < columns; ++c) expected[c * 16 + r] = in[r * 20 + c];
      }
      TransposeTile<TypeParam>(in.data(), rows, columns, 20, out.data(), 16);
      EXPECT_EQ(out, expected);
    }
  }
}

}  // namespace
}  // namespace sluice::cpu
