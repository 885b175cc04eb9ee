#include <gtest/gtest.h>

#include <cmath>

#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using Vec = std::vector<double>;

Tensor As(DType dtype, absl::Span<const int64_t> dims, const Vec& values) {
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
Vec Read(const Tensor& t) {
  Vec v;
  VisitDType(
      t.dtype(),
      [&]<typename T>() {
        for (const T& x : t.values<T>()) v.push_back(static_cast<double>(x));
      },
      [] {});
  return v;
}
Vec Numbers(DType dtype, int64_t n, uint64_t seed) {
  return Read(As(dtype, {n}, Read(*Tensor::Random(DType::kF64, {n}, {.seed = seed}))));
}

enum class Mask { kNone, kBool, kFloat };
struct Options {
  int64_t batch = 2, heads = 3, kv_heads = 3, queries = 5, keys = 7, past = 0, size = 8,
          value_size = 8;
  bool packed = false;  // three dimensions
  bool causal = false, lengths = false, present = false;
  Mask mask = Mask::kNone;
  int mask_rank = 2;
  int64_t mask_columns = -1;  // all
  double scale = 0, softcap = 0;
  int qk_mode = -1;  // not asked for
  DType dtype = DType::kF32;
  int threads = 1;
};

// [batch, heads, sequence, size] to [batch, sequence, heads * size].
Vec Pack(const Vec& v, int64_t batch, int64_t heads, int64_t sequence, int64_t size) {
  Vec out(v.size());
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t s = 0; s < sequence; ++s)
        for (int64_t d = 0; d < size; ++d)
          out[((b * sequence + s) * heads + h) * size + d] =
              v[((b * heads + h) * sequence + s) * size + d];
  return out;
}

void Check(const Options& o) {
  const int64_t total = o.past + o.keys, group = o.heads / o.kv_heads;
  const double infinity = std::numeric_limits<double>::infinity();
  const Vec q = Numbers(o.dtype, o.batch * o.heads * o.queries * o.size, 1);
  const Vec k = Numbers(o.dtype, o.batch * o.kv_heads * o.keys * o.size, 2);
  const Vec v = Numbers(o.dtype, o.batch * o.kv_heads * o.keys * o.value_size, 3);
  const Vec past_k = Numbers(o.dtype, o.batch * o.kv_heads * o.past * o.size, 4);
  const Vec past_v = Numbers(o.dtype, o.batch * o.kv_heads * o.past * o.value_size, 5);
  const int64_t columns = o.mask_columns < 0 ? total : o.mask_columns;
  Dims mask_dims = {o.batch, o.heads, o.queries, columns};
  mask_dims.erase(mask_dims.begin(), mask_dims.end() - o.mask_rank);
  int64_t mask_size = 1;
  for (int64_t d : mask_dims) mask_size *= d;
  Vec mask = Numbers(o.dtype, mask_size, 6);
  for (size_t i = 0; o.mask == Mask::kBool && i < mask.size(); ++i) mask[i] = i % 3 != 1;
  std::vector<int64_t> lengths(o.batch, total);
  for (int64_t b = 0; o.lengths && b < o.batch; ++b) lengths[b] = total - 2 - b;

  auto cached = [&](const Vec& past, const Vec& now, int64_t head, int64_t t, int64_t size) {
    return t < o.past ? &past[(head * o.past + t) * size]
                      : &now[(head * o.keys + t - o.past) * size];
  };
  Vec y(o.batch * o.heads * o.queries * o.value_size, 0.0),
      qk(o.batch * o.heads * o.queries * total);
  for (int64_t b = 0; b < o.batch; ++b) {
    for (int64_t h = 0; h < o.heads; ++h) {
      const int64_t kv = b * o.kv_heads + h / group;
      for (int64_t s = 0; s < o.queries; ++s) {
        const int64_t row = (b * o.heads + h) * o.queries + s;
        Vec p(total);
        double maximum = -infinity, sum = 0;
        for (int64_t t = 0; t < total; ++t) {
          double x = 0;
          const double* key = cached(past_k, k, kv, t, o.size);
          for (int64_t d = 0; d < o.size; ++d) x += q[row * o.size + d] * key[d];
          x *= o.scale != 0 ? o.scale : 1 / std::sqrt(static_cast<double>(o.size));
          if (o.qk_mode == 0) qk[row * total + t] = x;
          if (o.softcap > 0) x = o.softcap * std::tanh(x / o.softcap);
          if (o.qk_mode == 1) qk[row * total + t] = x;
          if (o.mask != Mask::kNone) {
            const int64_t at = (o.mask_rank == 4   ? row
                                : o.mask_rank == 3 ? h * o.queries + s
                                                   : s) *
                                   columns +
                               t;
            if (t >= columns)
              x = -infinity;
            else if (o.mask == Mask::kFloat)
              x += mask[at];
            else if (mask[at] == 0)
              x = -infinity;
          }
          if ((o.causal && t > s + o.past) || t >= lengths[b]) x = -infinity;
          if (o.qk_mode == 2) qk[row * total + t] = x;
          p[t] = x;
          maximum = std::max(maximum, x);
        }
        for (double& x : p) sum += x = std::exp(x - maximum);
        for (int64_t t = 0; t < total; ++t) {
          if (o.qk_mode == 3) qk[row * total + t] = p[t] / sum;
          const double* value = cached(past_v, v, kv, t, o.value_size);
          for (int64_t d = 0; d < o.value_size; ++d)
            y[row * o.value_size + d] += p[t] / sum * value[d];
        }
      }
    }
  }

  auto input = [&](const Vec& values, int64_t heads, int64_t sequence, int64_t size) {
    if (!o.packed) return As(o.dtype, {o.batch, heads, sequence, size}, values);
    return As(o.dtype, {o.batch, sequence, heads * size},
              Pack(values, o.batch, heads, sequence, size));
  };
  Tensor mask_tensor;
  if (o.mask != Mask::kNone)
    mask_tensor = As(o.mask == Mask::kBool ? DType::kBool : o.dtype, mask_dims, mask);
  const bool has_past = o.past > 0 || o.present;
  const std::vector<Tensor> inputs = {
      input(q, o.heads, o.queries, o.size),
      input(k, o.kv_heads, o.keys, o.size),
      input(v, o.kv_heads, o.keys, o.value_size),
      mask_tensor,
      has_past ? As(o.dtype, {o.batch, o.kv_heads, o.past, o.size}, past_k) : Tensor(),
      has_past ? As(o.dtype, {o.batch, o.kv_heads, o.past, o.value_size}, past_v) : Tensor(),
      o.lengths ? MakeTensor<int64_t>({o.batch}, lengths) : Tensor()};
  AttrList attrs = {{"is_causal", o.causal ? 1 : 0}, {"softcap", o.softcap}};
  if (o.packed) attrs.insert(attrs.end(), {{"q_num_heads", o.heads}, {"kv_num_heads", o.kv_heads}});
  if (o.scale != 0) attrs.push_back({"scale", o.scale});
  if (o.qk_mode >= 0) attrs.push_back({"qk_matmul_output_mode", o.qk_mode});
  const size_t outputs = o.qk_mode >= 0 ? 4 : o.present ? 3 : 1;
  const auto results = RunOp("Attention", inputs, attrs, outputs, o.threads);
  ASSERT_TRUE(results.ok()) << results.status();
  const double tolerance = o.dtype == DType::kF64   ? 1e-12
                           : o.dtype == DType::kF32 ? 2e-6
                           : o.dtype == DType::kF16 ? 2e-3
                                                    : 1.6e-2;
  auto compare = [&](const char* what, const Vec& got, const Vec& expected) {
    ASSERT_EQ(got.size(), expected.size()) << what;
    for (size_t i = 0; i < got.size(); ++i) {
      if (got[i] == expected[i]) continue;  // infinities
      ASSERT_NEAR(got[i], expected[i], tolerance) << what << " element " << i;
    }
  };
  compare("Y", Read((*results)[0]),
          o.packed ? Pack(y, o.batch, o.heads, o.queries, o.value_size) : y);
  if (outputs > 1) {
    Vec present_k, present_v;
    for (int64_t head = 0; head < o.batch * o.kv_heads; ++head) {
      for (int64_t t = 0; t < total; ++t)
        present_k.insert(present_k.end(), cached(past_k, k, head, t, o.size),
                         cached(past_k, k, head, t, o.size) + o.size);
      for (int64_t t = 0; t < total; ++t)
        present_v.insert(present_v.end(), cached(past_v, v, head, t, o.value_size),
                         cached(past_v, v, head, t, o.value_size) + o.value_size);
    }
    compare("present_key", Read((*results)[1]), present_k);
    compare("present_value", Read((*results)[2]), present_v);
  }
  if (o.qk_mode >= 0) compare("qk_matmul_output", Read((*results)[3]), qk);
}

TEST(Attention, FollowsTheDefinitionInBothForms) {
  for (bool packed : {false, true}) {
    for (int threads : {1, 2, 16}) Check({.packed = packed, .threads = threads});
  }
}
TEST(Attention, ComputesInEveryFloatType) {
  for (DType dtype : {DType::kF64, DType::kF16, DType::kBF16}) {
    Check({.dtype = dtype});
    Check({.queries = 40, .keys = 70, .mask = Mask::kFloat, .dtype = dtype});
  }
}
TEST(Attention, RunsOverManyTilesAndBlocks) {
  for (bool packed : {false, true}) {
    for (bool causal : {false, true}) {
      for (int threads : {1, 3, 9}) {
        Check({.batch = 1,
               .heads = 2,
               .kv_heads = 2,
               .queries = 130,
               .keys = 700,
               .size = 20,
               .value_size = 12,
               .packed = packed,
               .causal = causal,
               .threads = threads});
      }
    }
  }
}
TEST(Attention, SharesKeysByGroups) {
  for (int64_t queries : {1, 5, 40}) {
    for (bool packed : {false, true}) {
      Check({.heads = 6, .kv_heads = 2, .queries = queries, .packed = packed});
      Check({.heads = 6,
             .kv_heads = 1,
             .queries = queries,
             .past = 3,
             .packed = packed,
             .causal = true,
             .threads = 4});
    }
  }
}
TEST(Attention, AddsMasksOfEveryRank) {
  for (Mask mask : {Mask::kBool, Mask::kFloat}) {
    for (int rank : {2, 3, 4}) {
      Check({.mask = mask, .mask_rank = rank});
      Check({.queries = 33,
             .keys = 300,
             .causal = true,
             .mask = mask,
             .mask_rank = rank,
             .threads = 2});
    }
  }
}
TEST(Attention, PadsAShortMask) { Check({.mask = Mask::kFloat, .mask_columns = 4}); }
TEST(Attention, ContinuesThePast) {
  for (int64_t queries : {1, 3, 40}) {
    for (DType dtype : {DType::kF32, DType::kF16}) {
      Check({.queries = queries,
             .keys = queries,
             .past = 100,
             .causal = true,
             .present = true,
             .dtype = dtype});
    }
  }
  Check({.past = 0, .present = true});
  Check({.past = 64, .packed = true, .mask = Mask::kFloat});
}
TEST(Attention, StopsAtEachSamplesLength) {
  Check({.lengths = true});
  Check({.queries = 40, .keys = 200, .lengths = true, .mask = Mask::kBool, .threads = 2});
}
TEST(Attention, ScalesAndCaps) { Check({.scale = 0.3, .softcap = 0.7}); }
TEST(Attention, ShowsItsScoresAtEveryStage) {
  for (int mode : {0, 1, 2, 3}) {
    Check({.softcap = 2, .qk_mode = mode});
    Check({.queries = 40,
           .keys = 600,
           .past = 5,
           .causal = true,
           .mask = Mask::kFloat,
           .softcap = 2,
           .qk_mode = mode,
           .threads = 2});
  }
}
TEST(Attention, IgnoresWhatLiesBehindTheLengthEvenNaN) {
  const Tensor q = As(DType::kF32, {1, 1, 1, 4}, Vec(4, 1.0)),
               k = As(DType::kF32, {1, 1, 3, 4}, Vec(12, 1.0));
  Vec values(12, 2.0);
  values[8] = NAN;
  const auto y = RunOp("Attention", {q, k, As(DType::kF32, {1, 1, 3, 4}, values), Tensor(),
                                     Tensor(), Tensor(), MakeTensor<int64_t>({1}, {2})});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ(Read((*y)[0]), Vec(4, 2.0));
}
TEST(Attention, RefusesShapesThatDoNotFit) {
  auto message = [](absl::Span<const Tensor> inputs, const AttrList& attrs = {}) {
    return std::string(RunOp("Attention", inputs, attrs).status().message());
  };
  const Tensor x = As(DType::kF32, {1, 2, 3, 4}, Vec(24)),
               three = As(DType::kF32, {1, 3, 8}, Vec(24));
  EXPECT_NE(message({three, three, three}).find("q_num_heads"), std::string::npos);
  EXPECT_NE(
      message({three, three, three}, {{"q_num_heads", 3}, {"kv_num_heads", 3}}).find("no multiple"),
      std::string::npos);
  EXPECT_NE(message({x, As(DType::kF32, {1, 2, 3, 5}, Vec(30)), x}).find("must agree"),
            std::string::npos);
  EXPECT_NE(message({x, x, x, As(DType::kF32, {4, 3}, Vec(12))}).find("does not broadcast"),
            std::string::npos);
  EXPECT_NE(message({x, x, x, Tensor(), x}).find("go together"), std::string::npos);
  EXPECT_NE(message({x, x, x, Tensor(), Tensor(), Tensor(), MakeTensor<int64_t>({1}, {4})})
                .find("nonpad_kv_seqlen[0] is 4"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice
