#include "kernels/cpu/gemm/packed_gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "graph/tensor.h"

namespace sluice::cpu {
namespace {

std::vector<float> Numbers(int64_t n, int seed) {
  std::vector<float> v(n);
  for (int64_t i = 0; i < n; ++i) v[i] = static_cast<float>((i * 37 + seed * 11) % 17 - 8);
  return v;
}

struct Case {
  int64_t m, n, k;
  bool transposed = false, accumulate = false, bias = false, addend = false, bounded = false;
  float scale = 1;
};

// Small integers: sums are exact, so results are equal to the last bit.
void Check(const Case& c, ThreadPool* pool) {
  SCOPED_TRACE(testing::Message() << c.m << "x" << c.n << "x" << c.k << (c.transposed ? " B'" : "")
                                  << (c.accumulate ? " +=" : "") << (c.bias ? " bias" : "")
                                  << (c.addend ? " addend" : "") << (c.bounded ? " bounds" : ""));
  const int64_t a_row = c.k + 3, c_row = c.n + 5, addend_row = c.n + 2;
  const int64_t row = c.transposed ? 1 : c.n + 1, col = c.transposed ? c.k + 1 : 1;
  const auto a = Numbers(c.m * a_row, 1), b = Numbers((c.k + 1) * (c.n + 1), 2),
             bias = Numbers(c.n, 3), addend = Numbers(c.m * addend_row, 4);
  std::vector<float> out = Numbers(c.m * c_row, 5), expected = out;
  for (int64_t i = 0; i < c.m; ++i) {
    for (int64_t j = 0; j < c.n; ++j) {
      float sum = c.accumulate ? out[i * c_row + j] : 0;
      for (int64_t k = 0; k < c.k; ++k) sum += a[i * a_row + k] * c.scale * b[k * row + j * col];
      if (c.bias) sum += bias[j];
      if (c.addend) sum += addend[i * addend_row + j];
      if (c.bounded) sum = std::min(std::max(sum, -20.0f), 50.0f);
      expected[i * c_row + j] = sum;
    }
  }
  Tensor panels = *Tensor::Allocate(DType::kF32, {PackedFloats(c.k, c.n)});
  PackPanels(b.data(), row, col, c.k, c.n, c.scale, panels.mutable_data<float>());
  PackedGemmArgs g{.m = c.m, .n = c.n, .k = c.k, .a = a.data(), .a_row = a_row};
  g.panels = panels.data<float>();
  g.c = out.data();
  g.c_row = c_row;
  g.accumulate = c.accumulate;
  if (c.bias) g.bias = bias.data();
  if (c.addend) {
    g.addend = addend.data();
    g.addend_row = addend_row;
  }
  if (c.bounded) {
    g.low = -20;
    g.high = 50;
  }
  PackedGemm(g, pool, nullptr);
  EXPECT_EQ(out, expected);
}

TEST(PackedGemmTest, AgreesWithTheDefinitionOnEveryTail) {
  ThreadPool pool(3);
  for (int64_t m : {1, 2, 5, 6, 8, 9, 13, 50}) {
    for (int64_t n : {1, 7, 8, 15, 16, 17, 33, 48, 50, 97, 144}) {
      for (int64_t k : {0, 1, 3, 4, 19}) {
        Check({m, n, k}, &pool);
        Check({m, n, k, true, true, true, true, true, 2}, nullptr);
        Check({m, n, k, false, false, true, false, true}, nullptr);
      }
    }
  }
}

TEST(PackedGemmTest, AddsUpPartsOfALongSum) {
  ThreadPool pool(2);
  for (bool accumulate : {false, true}) {
    Check({9, 50, 2500, false, accumulate, true, true, true}, &pool);
    Check({300, 49, 1100, true, accumulate}, &pool);
    Check({6, 20, 3000, false, accumulate, true}, &pool);
  }
}

// A sum's order is that of k, however the work is cut.
TEST(PackedGemmTest, IsEqualToTheLastBitForEveryNumberOfThreadsAndRows) {
  const int64_t m = 67, n = 200, k = 1300;
  std::vector<float> a(m * k), b(k * n), c[4];
  for (size_t i = 0; i < a.size(); ++i) a[i] = std::sin(0.1f * static_cast<float>(i));
  for (size_t i = 0; i < b.size(); ++i) b[i] = std::cos(0.3f * static_cast<float>(i));
  Tensor panels = *Tensor::Allocate(DType::kF32, {PackedFloats(k, n)});
  PackPanels(b.data(), n, 1, k, n, 1, panels.mutable_data<float>());
  PackedGemmArgs g{.m = m, .n = n, .k = k, .a = a.data(), .a_row = k};
  g.panels = panels.data<float>();
  g.c_row = n;
  for (int threads = 1; threads <= 3; ++threads) {
    ThreadPool pool(threads);
    c[threads].resize(m * n);
    g.c = c[threads].data();
    PackedGemm(g, &pool, nullptr);
  }
  EXPECT_EQ(c[1], c[2]);
  EXPECT_EQ(c[1], c[3]);
  std::vector<float> row(n);
  g.m = 1;
  g.c = row.data();
  PackedGemm(g);
  EXPECT_EQ(row, std::vector<float>(c[1].begin(), c[1].begin() + n));
  for (int64_t i = 0; i < m; ++i) {
    double sum = 0, size = 0;
    for (int64_t x = 0; x < k; ++x) {
      sum += double{a[i * k + x]} * b[x * n + 7];
      size += std::abs(double{a[i * k + x]} * b[x * n + 7]);
    }
    EXPECT_NEAR(c[1][i * n + 7], sum, 1e-6 * size);
  }
}

TEST(PackedGemmTest, ShowsEachFinishedTileOnce) {
  ThreadPool pool(2);
  const int64_t m = 101, n = 130, k = 1500;
  const auto a = Numbers(m * k, 1), b = Numbers(k * n, 2);
  std::vector<float> c(m * n), plain(m * n);
  Tensor panels = *Tensor::Allocate(DType::kF32, {PackedFloats(k, n)});
  PackPanels(b.data(), n, 1, k, n, 1, panels.mutable_data<float>());
  PackedGemmArgs g{.m = m, .n = n, .k = k, .a = a.data(), .a_row = k};
  g.panels = panels.data<float>();
  g.c = plain.data();
  g.c_row = n;
  PackedGemm(g);
  g.c = c.data();
  const auto negate = [&](const FinishedTile& t) {
    for (int64_t i = 0; i < t.rows; ++i) {
      for (int64_t j = 0; j < t.columns; ++j) {
        float& x = t.data[i * t.stride + j];
        EXPECT_EQ(x, plain[(t.row + i) * n + t.column + j]);
        x = 1 - x;
      }
    }
  };
  const TileDone done = negate;
  PackedGemm(g, &pool, &done);
  for (int64_t i = 0; i < m * n; ++i) EXPECT_EQ(c[i], 1 - plain[i]);
}

TEST(PackedGemmTest, BoundsKeepNaN) {
  const float a = std::nanf(""), b = 1;
  Tensor panels = *Tensor::Allocate(DType::kF32, {PackedFloats(1, 1)});
  PackPanels(&b, 1, 1, 1, 1, 1, panels.mutable_data<float>());
  float c = 0;
  PackedGemmArgs g{.m = 1, .n = 1, .k = 1, .a = &a, .a_row = 1};
  g.panels = panels.data<float>();
  g.c = &c;
  g.c_row = 1;
  g.low = 0;
  g.high = 6;
  PackedGemm(g);
  EXPECT_TRUE(std::isnan(c));
}

}  // namespace
}  // namespace sluice::cpu
