#include "kernels/cpu/philox.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "gtest/gtest.h"

namespace sluice::cpu {
namespace {

using Block = std::array<uint32_t, 4>;

// Random123 1.14's kat_vectors, "philox4x32 10".
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Block{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}));
  constexpr uint32_t kOnes = 0xffffffffu;
  EXPECT_EQ(Philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Block{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}));
  EXPECT_EQ(
      Philox4x32({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}),
      (Block{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}));
}

// The scheme of ops/random.h, spelled out with Random123's own philox.h: seed 42, run 7, stream
// 2^62 + 1. The blocks are 0, 1, 2, and 2^32 + 5.
constexpr RandomKey kRun = {42, 7};
constexpr uint64_t kStream = (uint64_t{1} << 62) + 1;
constexpr uint32_t kWords[] = {0xd86d3849u, 0x653db9dau, 0xb8cbde5cu, 0xa09736a6u,
                               0x40c0b3bcu, 0xbe43f9feu, 0xa89ba92au, 0x0b82ccd7u,
                               0xe56181acu, 0x0f56caebu, 0x39bc3600u, 0x87aba17eu};
constexpr uint32_t kFarWords[] = {0x6b87164cu, 0xc9cee164u, 0xf9e012eau, 0x01a3438fu};

TEST(Philox, FoldedKeysAreBlocks) {
  const RandomKey key = Fold(kRun, kStream);
  EXPECT_EQ(key.key, 0xfac288b7e5521357u);
  EXPECT_EQ(key.counter, 0x950c15b36b3557d7u);
}

TEST(Philox, UniformNumbersAreTheUpperBitsOfEachElementsWords) {
  const RandomKey key = Fold(kRun, kStream);
  float f32[12], far_f32[4];
  FillRandom(Distribution::kUniform, key, 0, 12, f32);
  for (size_t i = 0; i < 12; ++i)
    EXPECT_EQ(f32[i], static_cast<float>(kWords[i] >> 8) * 0x1p-24f) << i;
  FillRandom(Distribution::kUniform, key, ((uint64_t{1} << 32) + 5) * 4, 4, far_f32);
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(far_f32[i], static_cast<float>(kFarWords[i] >> 8) * 0x1p-24f) << i;
  double f64[6];
  FillRandom(Distribution::kUniform, key, 0, 6, f64);
  for (size_t i = 0; i < 6; ++i) {
    const uint64_t bits = kWords[2 * i] | uint64_t{kWords[2 * i + 1]} << 32;
    EXPECT_EQ(f64[i], static_cast<double>(bits >> 11) * 0x1p-53) << i;
  }
}

// The definition, with the library's functions, in f64.
TEST(Philox, NormalNumbersAreThoseOfBoxAndMuller) {
  const RandomKey key = Fold(kRun, 3);
  constexpr size_t kCount = 100000;
  constexpr uint32_t kQuarter = uint32_t{1} << 30;
  std::vector<float> f32(kCount);
  std::vector<double> f64(kCount);
  FillRandom(Distribution::kNormal, key, 0, kCount, f32.data());
  FillRandom(Distribution::kNormal, key, 0, kCount, f64.data());
  double worst_f32 = 0, worst_f64 = 0;
  for (uint64_t i = 0; i < kCount / 4; ++i) {
    const Block w =
        Philox4x32({static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32),
                    static_cast<uint32_t>(key.counter), static_cast<uint32_t>(key.counter >> 32)},
                   {static_cast<uint32_t>(key.key), static_cast<uint32_t>(key.key >> 32)});
    const auto expect = [&](double u, double quarter_turns, auto* at, double* worst) {
      const double radius = std::sqrt(-2 * std::log(u));
      const double angle = quarter_turns * std::numbers::pi / 2;
      *worst = std::max(*worst, std::abs(static_cast<double>(at[0]) - radius * std::cos(angle)));
      *worst = std::max(*worst, std::abs(static_cast<double>(at[1]) - radius * std::sin(angle)));
    };
    for (size_t k = 0; k < 4; k += 2) {
      const double turns = w[k + 1] >> 30;
      const double part = ((w[k + 1] & (kQuarter - 1)) >> 6) * 0x1p-24 - 0.5;
      expect(static_cast<double>(static_cast<float>(w[k] | 1u)) * 0x1p-32, turns + part,
             &f32[4 * i + k], &worst_f32);
    }
    if (2 * i + 1 >= kCount) continue;
    const uint64_t a = w[0] | uint64_t{w[1]} << 32, b = w[2] | uint64_t{w[3]} << 32;
    const double u = (static_cast<double>(a >> 11) + 1) * 0x1p-53;
    const double part = static_cast<double>((b << 2) >> 11) * 0x1p-53 - 0.5;
    expect(u, static_cast<double>(b >> 62) + part, &f64[2 * i], &worst_f64);
  }
  EXPECT_LT(worst_f32, 1e-6);
  EXPECT_LT(worst_f64, 4e-15);
}

// The ends of the radius: u is never 0, and 1 gives 0.
TEST(Philox, NormalNumbersAreFinite) {
  std::vector<float> x(1 << 22);
  FillRandom(Distribution::kNormal, Fold(kRun, 9), 0, x.size(), x.data());
  double largest = 0;
  for (float v : x) {
    ASSERT_TRUE(std::isfinite(v));
    largest = std::max(largest, std::abs(static_cast<double>(v)));
  }
  EXPECT_GT(largest, 4.5);
  EXPECT_LT(largest, std::sqrt(64 * std::numbers::ln2) + 1e-5);
}

template <typename T>
void ExpectPartsOfTheWhole(Distribution distribution) {
  const RandomKey key = Fold(kRun, 5);
  std::vector<T> whole(4096);
  FillRandom(distribution, key, 0, whole.size(), whole.data());
  for (size_t begin : {0, 1, 2, 3, 4, 5, 31, 63, 64, 100, 1023}) {
    for (size_t n : {0, 1, 2, 3, 4, 7, 31, 32, 33, 64, 129, 1000}) {
      std::vector<T> part(n + 1, T(-77));
      FillRandom(distribution, key, begin, n, part.data());
      EXPECT_EQ(std::memcmp(part.data(), whole.data() + begin, n * sizeof(T)), 0)
          << begin << ", " << n;
      EXPECT_EQ(part[n], T(-77)) << begin << ", " << n;
    }
  }
}

TEST(Philox, AnyPartIsThatOfTheWhole) {
  for (Distribution d : {Distribution::kUniform, Distribution::kNormal}) {
    ExpectPartsOfTheWhole<float>(d);
    ExpectPartsOfTheWhole<double>(d);
  }
}

// Of all bits, in order: the same constant for each instruction set that this test runs with.
template <typename T, typename Bits>
uint64_t HashOf(Distribution distribution) {
  std::vector<T> x(100001);
  FillRandom(distribution, Fold(kRun, 11), 3, x.size(), x.data());
  uint64_t hash = 0xcbf29ce484222325u;
  for (const T& v : x) hash = (hash ^ std::bit_cast<Bits>(v)) * 0x100000001b3u;
  return hash;
}

TEST(Philox, EveryInstructionSetGivesTheSameBits) {
  EXPECT_EQ((HashOf<float, uint32_t>(Distribution::kUniform)), 8752826432410636616u);
  EXPECT_EQ((HashOf<double, uint64_t>(Distribution::kUniform)), 8811774489094255381u);
  EXPECT_EQ((HashOf<float, uint32_t>(Distribution::kNormal)), 5626251367551760502u);
  EXPECT_EQ((HashOf<double, uint64_t>(Distribution::kNormal)), 9296555666838628664u);
}

}  // namespace
}  // namespace sluice::cpu
