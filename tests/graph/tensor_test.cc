#include "graph/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/hash.h"
#include "graph/scalar_text.h"

namespace sluice {
namespace {

using testing::HasSubstr;

TEST(Tensor, ElementCountsAreChecked) {
  EXPECT_EQ(*ElementCount({2, 3}), 6);
  EXPECT_EQ(*ElementCount({}), 1);
  EXPECT_EQ(*ElementCount({0, INT64_MAX, 7}), 0);  // nothing to hold
  EXPECT_FALSE(ElementCount({-1, 3}).ok());
  EXPECT_FALSE(ElementCount({-1, 0}).ok());
  EXPECT_FALSE(ElementCount({INT64_MAX, 2}).ok());
  EXPECT_FALSE(ElementCount({INT64_MAX / 2}, 4).ok());
  EXPECT_THAT(ElementCount({1 << 30, 1 << 30, 1 << 30}).status().ToString(),
              HasSubstr("[1073741824,1073741824,1073741824]"));
}

TEST(Tensor, AllocationIsAlignedAndFailsWithAStatus) {
  const Tensor t = *Tensor::Allocate(DType::kF32, {3});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(t.raw()) % 64, 0u);
  EXPECT_NE(Tensor::Allocate(DType::kF32, {0})->raw(), nullptr);
  EXPECT_FALSE(Tensor::Allocate(DType::kInvalid, {1}).ok());
  EXPECT_EQ(Tensor::Allocate(DType::kF64, {int64_t{1} << 59}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Tensor::Allocate(DType::kString, {int64_t{1} << 57}).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(Tensor, StringsLiveAndDie) {
  Tensor t = *Tensor::Allocate(DType::kString, {2});
  t.mutable_data<std::string>()[1] = std::string(100, 'x');
  const Tensor copy = t;
  EXPECT_EQ(copy.data<std::string>()[0], "");
  EXPECT_EQ(copy.data<std::string>()[1].size(), 100u);
  EXPECT_EQ(copy, t);
}

TEST(Tensor, EqualityIsByBitsAndBoolsByTruth) {
  EXPECT_EQ(Tensor::Scalar(NAN), Tensor::Scalar(NAN));
  EXPECT_FALSE(Tensor::Scalar(0.0f) == Tensor::Scalar(-0.0f));
  EXPECT_FALSE(Tensor::Scalar(1.0f) == Tensor::Vector<float>({1.0f}));
  EXPECT_FALSE(Tensor::Scalar<int32_t>(1) == Tensor::Scalar<uint32_t>(1));
  const uint8_t a[] = {0, 1, 1}, b[] = {0, 255, 2};
  const Tensor x = Tensor::Wrap(DType::kBool, {3}, a, nullptr);
  const Tensor y = Tensor::Wrap(DType::kBool, {3}, b, nullptr);
  EXPECT_EQ(x, y);
  EXPECT_EQ(x.ContentHash(), y.ContentHash());
  EXPECT_EQ(y.ToString(), "bool[3] [false, true, true]");
}

TEST(Tensor, GeneratedNumbersAreFixedForever) {
  // Written files depend on these.
  EXPECT_EQ(Tensor::Random(DType::kU64, {2}, {.seed = 7, .scale = 1000})->ToString(),
            "u64[2] [389, 16]");
  const Tensor f = *Tensor::Random(DType::kF32, {4}, {.seed = 7, .scale = 0.5, .offset = 1});
  EXPECT_EQ(f.ToString(), "f32[4] [0.88982975, 0.5167883, 1.4007607, 1.0829303]");
  for (float v : f.values<float>()) EXPECT_TRUE(v >= 0.5f && v < 1.5f);
  EXPECT_EQ(f.ContentHash(), f.Reshaped({2, 2}).Reshaped({4}).ContentHash());
  EXPECT_TRUE(f.Reshaped({2, 2}).random().has_value());
  EXPECT_FALSE(Tensor::Random(DType::kString, {1}, {}).ok());
  const Tensor wide = *Tensor::Random(DType::kI8, {100}, {.seed = 1, .scale = 1e30});
  for (int8_t v : wide.values<int8_t>()) EXPECT_EQ(v, 127);
  EXPECT_EQ(Tensor::Random(DType::kI32, {1}, {.seed = 1, .scale = NAN})->data<int32_t>()[0], 0);
}

TEST(Tensor, WritingIntoAGeneratedTensorForgetsTheSeed) {
  Tensor t = *Tensor::Random(DType::kF32, {4}, {.seed = 7});
  EXPECT_TRUE(t.random().has_value());
  t.mutable_data<float>()[0] = 3;
  EXPECT_FALSE(t.random().has_value());
}

TEST(Tensor, ContentHashesTellApart) {
  std::set<std::string> hashes;
  int made = 0;
  auto add = [&](const Tensor& t) {
    hashes.insert(t.ContentHash());
    ++made;
  };
  for (int64_t n = 0; n < 200; ++n) add(Tensor::Vector<uint8_t>(std::vector<uint8_t>(n, 0)));
  for (int bit = 0; bit < 1000; ++bit) {
    std::vector<uint8_t> bytes(125, 0);
    bytes[bit / 8] = static_cast<uint8_t>(1 << (bit % 8));
    add(Tensor::Vector<uint8_t>(bytes));
  }
  add(Tensor::Vector<int8_t>(std::vector<int8_t>(100, 0)));
  add(Tensor::Vector<uint8_t>(std::vector<uint8_t>(100, 0)).Reshaped({10, 10}));
  add(Tensor::Vector<std::string>({"a", "bc"}));
  add(Tensor::Vector<std::string>({"ab", "c"}));
  EXPECT_EQ(hashes.size(), static_cast<size_t>(made));
  for (const std::string& h : hashes) EXPECT_EQ(h.size(), 32u);
}

TEST(Hash, IsFixedForever) {
  Hasher h;
  h.AddBytes("sluice", 6);
  h.AddWord(7);
  const std::string once = h.Hex();
  EXPECT_EQ(once, h.Hex());
  EXPECT_EQ(once, "d3ba9a51eef216caef23d7a7afe182f3");
}

TEST(Tensor, AsIntsReadsIntegersOnly) {
  EXPECT_THAT(*Tensor::Vector<int8_t>({-1, 2}).AsInts(), testing::ElementsAre(-1, 2));
  EXPECT_THAT(*Tensor::Scalar<uint64_t>(~uint64_t{0}).AsInts(), testing::ElementsAre(-1));
  EXPECT_FALSE(Tensor::Scalar(1.0f).AsInts().has_value());
  EXPECT_FALSE(Tensor::Scalar(true).AsInts().has_value());
}

TEST(Tensor, ToStringIsShort) {
  EXPECT_EQ(Tensor::Vector<float>(std::vector<float>(100, 0.5f)).ToString(2),
            "f32[100] [0.5, 0.5, ...]");
  EXPECT_EQ(Tensor::Scalar(std::string("a\nb")).ToString(), "string[] [\"a\\nb\"]");
}

template <typename T, typename Bits>
void FloatReadsBack(Bits bits) {
  const T value = std::bit_cast<T>(bits);
  std::string text;
  AppendFloat(&text, value);
  T back;
  ASSERT_TRUE(ParseFloat(text, &back)) << text;
  ASSERT_EQ(std::bit_cast<Bits>(back), bits) << text;
}

TEST(ScalarText, EveryHalfReadsBack) {
  for (uint32_t i = 0; i < 65536; ++i) {
    FloatReadsBack<Float16>(static_cast<uint16_t>(i));
    FloatReadsBack<BFloat16>(static_cast<uint16_t>(i));
  }
}

TEST(ScalarText, FloatsOfAllKindsReadBack) {
  uint64_t state = 1;
  for (int i = 0; i < 100000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    FloatReadsBack<float>(static_cast<uint32_t>(state >> 32));
    FloatReadsBack<double>(state ^ (state >> 29));
    FloatReadsBack<double>((state ^ (state >> 29)) & 0x800fffffffffffffu);  // subnormal
  }
  for (uint32_t bits : {0x80000000u, 0x7f800000u, 0xff800000u, 0x7fc00000u, 0xffc00000u,
                        0x7f800001u, 1u, 0x7f7fffffu}) {
    FloatReadsBack<float>(bits);
  }
}

TEST(ScalarText, FloatsAreShortAndLookLikeFloats) {
  auto text = [](auto v) {
    std::string s;
    AppendFloat(&s, v);
    return s;
  };
  EXPECT_EQ(text(1.0f), "1.0");
  EXPECT_EQ(text(0.1f), "0.1");
  EXPECT_EQ(text(-0.0), "-0.0");
  EXPECT_EQ(text(1e30f), "1e+30");
  EXPECT_EQ(text(Float16(0.1f)), "0.1");
  EXPECT_EQ(text(BFloat16(3.14159f)), "3.14");
  EXPECT_EQ(text(std::bit_cast<float>(0x7fc00000u)), "nan");
  EXPECT_EQ(text(std::bit_cast<float>(0x7f800001u)), "nan(0x7f800001)");
  EXPECT_EQ(text(-std::numeric_limits<double>::infinity()), "-inf");
}

TEST(ScalarText, WhatIsNoFloatIsRefused) {
  float f;
  for (const char* text :
       {"", "-", "abc", "1.0x", "1e99", "nan(0x0)", "nan(0x7f800000)", "-nan(0x7fc00001)",
        "nan(0x1ffffffff)", "+1", "0x10", "infinity", "1 "}) {
    EXPECT_FALSE(ParseFloat(text, &f)) << text;
  }
  EXPECT_TRUE(ParseFloat("1e-99", &f));
  EXPECT_EQ(f, 0.0f);
  EXPECT_TRUE(ParseFloat("-1e-99", &f));
  EXPECT_TRUE(std::signbit(f));
}

}  // namespace
}  // namespace sluice
