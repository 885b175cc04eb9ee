#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

namespace sluice {
namespace {

// The value of a binary16 pattern, by its definition.
double ValueOfHalf(uint16_t bits) {
  const double sign = bits & 0x8000 ? -1 : 1;
  const int exponent = (bits >> 10) & 31, mantissa = bits & 0x3ff;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

bool IsNanHalf(uint16_t bits) { return (bits & 0x7fff) > 0x7c00; }

TEST(Float16, EveryPatternHasItsValueAndComesBack) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const uint16_t bits = static_cast<uint16_t>(i);
    const float f = Float16::FromBits(bits);
    if (IsNanHalf(bits)) {
      ASSERT_TRUE(std::isnan(f));
      ASSERT_EQ(Float16(f).bits, bits | 0x200);  // quiet, payload kept
    } else {
      if ((bits & 0x7fff) == 0x7c00) {
        ASSERT_TRUE(std::isinf(f));
        ASSERT_EQ(std::signbit(f), (bits & 0x8000) != 0);
      } else {
        ASSERT_EQ(static_cast<double>(f), ValueOfHalf(bits)) << i;
      }
      ASSERT_EQ(Float16(f).bits, bits);
    }
  }
}

TEST(Float16, RoundsToNearestTiesToEvenBetweenAllNeighbours) {
  for (uint32_t i = 0; i < 0x7c00; ++i) {
    const uint16_t low = static_cast<uint16_t>(i), high = static_cast<uint16_t>(i + 1);
    const double a = ValueOfHalf(low);
    const double b = high == 0x7c00 ? 65536.0 : ValueOfHalf(high);
    const float middle = static_cast<float>((a + b) / 2);  // exact
    const uint16_t even = low % 2 == 0 ? low : high;
    ASSERT_EQ(Float16(middle).bits, even) << i;
    ASSERT_EQ(Float16(std::nextafter(middle, 0.0f)).bits, low) << i;
    ASSERT_EQ(Float16(std::nextafter(middle, 1e9f)).bits, high) << i;
    ASSERT_EQ(Float16(-middle).bits, even | 0x8000) << i;
  }
}

TEST(Float16, ExtremesGoToInfinityAndZero) {
  EXPECT_EQ(Float16(65504.0f).bits, 0x7bff);
  EXPECT_EQ(Float16(65519.99f).bits, 0x7bff);
  EXPECT_EQ(Float16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(Float16(std::numeric_limits<float>::max()).bits, 0x7c00);
  EXPECT_EQ(Float16(-std::numeric_limits<float>::infinity()).bits, 0xfc00);
  EXPECT_EQ(Float16(std::numeric_limits<float>::denorm_min()).bits, 0);
  EXPECT_EQ(Float16(-0.0f).bits, 0x8000);
  EXPECT_EQ(Float16(0x1p-25f).bits, 0);  // the tie between 0 and 2^-24
  EXPECT_EQ(Float16(std::nextafter(0x1p-25f, 1.0f)).bits, 1);
  EXPECT_TRUE(
      IsNanHalf(Float16(std::bit_cast<float>(0x7f800001u)).bits));  // signalling, low payload
}

TEST(BFloat16, EveryPatternComesBack) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const uint16_t bits = static_cast<uint16_t>(i);
    const float f = BFloat16::FromBits(bits);
    const bool nan = (bits & 0x7fff) > 0x7f80;
    ASSERT_EQ(std::isnan(f), nan);
    ASSERT_EQ(BFloat16(f).bits, nan ? bits | 0x40 : bits);
  }
}

TEST(BFloat16, RoundsToNearestTiesToEven) {
  for (uint32_t i = 0; i < 0x7f80; ++i) {
    const uint32_t middle = (i << 16) | 0x8000;
    const uint16_t even = static_cast<uint16_t>(i + (i & 1));
    ASSERT_EQ(BFloat16(std::bit_cast<float>(middle)).bits, even) << i;
    ASSERT_EQ(BFloat16(std::bit_cast<float>(middle - 1)).bits, i);
    ASSERT_EQ(BFloat16(std::bit_cast<float>(middle + 1)).bits, i + 1);
  }
}

}  // namespace
}  // namespace sluice
