#include <gtest/gtest.h>

#include <cmath>

#include "tests/testing/run_op.h"

namespace sluice {
namespace {

struct Options {
  int64_t batch = 2, heads = 3, sequence = 4, size = 10, rotary = 0;
  bool packed = false, interleaved = false, ids = true;
  DType dtype = DType::kF32;
  int threads = 1;
};

Tensor Convert(DType dtype, absl::Span<const int64_t> dims, const std::vector<float>& values) {
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
std::vector<float> Random(DType dtype, int64_t n, uint64_t seed) {
  const Tensor t = *Tensor::Random(DType::kF32, {n}, {.seed = seed});
  std::vector<float> v;
  const Tensor rounded =
      Convert(dtype, {n}, std::vector<float>(t.values<float>().begin(), t.values<float>().end()));
  VisitDType(
      dtype,
      [&]<typename T>() {
        for (const T& x : rounded.values<T>()) v.push_back(static_cast<float>(x));
      },
      [] {});
  return v;
}

void Check(const Options& o) {
  const int64_t rotary = o.rotary == 0 ? o.size : o.rotary, half = rotary / 2, positions = 9;
  const std::vector<float> x = Random(o.dtype, o.batch * o.heads * o.sequence * o.size, 1);
  const int64_t rows = o.ids ? positions : o.batch * o.sequence;
  const std::vector<float> c = Random(o.dtype, rows * half, 2), s = Random(o.dtype, rows * half, 3);
  std::vector<int64_t> ids(o.batch * o.sequence);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = i * 5 % positions;
  std::vector<float> expected = x;
  for (int64_t b = 0; b < o.batch; ++b) {
    for (int64_t h = 0; h < o.heads; ++h) {
      for (int64_t t = 0; t < o.sequence; ++t) {
        const int64_t token = b * o.sequence + t, angle = (o.ids ? ids[token] : token) * half;
        const int64_t row =
            (o.packed ? token * o.heads + h : (b * o.heads + h) * o.sequence + t) * o.size;
        for (int64_t i = 0; i < half; ++i) {
          const int64_t first = row + (o.interleaved ? 2 * i : i),
                        second = row + (o.interleaved ? 2 * i + 1 : half + i);
          expected[first] = c[angle + i] * x[first] - s[angle + i] * x[second];
          expected[second] = s[angle + i] * x[first] + c[angle + i] * x[second];
        }
      }
    }
  }
  const Dims cache = o.ids ? Dims{positions, half} : Dims{o.batch, o.sequence, half};
  const auto y = RunOp("RotaryEmbedding",
                       {Convert(o.dtype,
                                o.packed ? Dims{o.batch, o.sequence, o.heads * o.size}
                                         : Dims{o.batch, o.heads, o.sequence, o.size},
                                x),
                        Convert(o.dtype, cache, c), Convert(o.dtype, cache, s),
                        o.ids ? MakeTensor<int64_t>({o.batch, o.sequence}, ids) : Tensor()},
                       {{"interleaved", o.interleaved ? 1 : 0},
                        {"num_heads", o.packed ? o.heads : 0},
                        {"rotary_embedding_dim", o.rotary}},
                       1, o.threads);
  ASSERT_TRUE(y.ok()) << y.status();
  const double tolerance = o.dtype == DType::kF32 ? 1e-6 : o.dtype == DType::kF16 ? 2e-3 : 1.6e-2;
  VisitDType(
      o.dtype,
      [&]<typename T>() {
        const auto got = (*y)[0].values<T>();
        ASSERT_EQ(got.size(), expected.size());
        for (size_t i = 0; i < got.size(); ++i)
          ASSERT_NEAR(static_cast<float>(got[i]), expected[i], tolerance) << i;
      },
      [] {});
}

TEST(RotaryEmbedding, RotatesInBothFormsAndPairings) {
  for (bool packed : {false, true}) {
    for (bool interleaved : {false, true}) {
      for (bool ids : {false, true})
        Check({.packed = packed, .interleaved = interleaved, .ids = ids});
    }
  }
}
TEST(RotaryEmbedding, LeavesTheRestOfAHeadAlone) {
  for (bool interleaved : {false, true}) Check({.rotary = 4, .interleaved = interleaved});
}
TEST(RotaryEmbedding, ComputesInHalfPrecision) {
  for (DType dtype : {DType::kF16, DType::kBF16})
    Check({.rotary = 6, .dtype = dtype, .threads = 3});
}
TEST(RotaryEmbedding, RunsOverLongRowsOnManyThreads) {
  Check({.heads = 8, .sequence = 200, .size = 128, .packed = true, .threads = 3});
}
TEST(RotaryEmbedding, RefusesPositionsBeyondTheCache) {
  const Tensor x = Convert(DType::kF32, {1, 1, 1, 4}, {1, 2, 3, 4}),
               cache = Convert(DType::kF32, {3, 2}, std::vector<float>(6));
  for (int64_t id : {3, -1}) {
    const auto y = RunOp("RotaryEmbedding", {x, cache, cache, MakeTensor<int64_t>({1, 1}, {id})});
    EXPECT_NE(y.status().message().find("position_ids"), std::string::npos) << y.status();
  }
}

}  // namespace
}  // namespace sluice
