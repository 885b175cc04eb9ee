#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/candidates.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename To, typename From>
std::vector<To> Cast(const std::vector<From>& values) {
  auto result = RunOp("Cast", {MakeTensor<From>({static_cast<int64_t>(values.size())}, values)},
                      {{"to", kDTypeOf<To>}});
  if (!result.ok()) {
    ADD_FAILURE() << result.status();
    return {};
  }
  EXPECT_EQ((*result)[0].dtype(), kDTypeOf<To>);
  const Tensor& out = (*result)[0];
  const To* data = out.data<To>();
  return std::vector<To>(data, data + out.elements());
}

TEST(Cast, FloatsToIntegersTruncateAndSaturate) {
  EXPECT_THAT((Cast<int32_t, float>({1.9f, -1.9f, 3e9f, -3e9f, NAN, INFINITY, 2147483648.0f})),
              ElementsAre(1, -1, INT32_MAX, INT32_MIN, 0, INT32_MAX, INT32_MAX));
  EXPECT_THAT((Cast<uint8_t, float>({255.9f, 256, -1, 300, NAN, 0.5f})),
              ElementsAre(255, 255, 0, 255, 0, 0));
  EXPECT_THAT((Cast<int64_t, double>({1e19, -1e19, 9.0e15 + 1})),
              ElementsAre(INT64_MAX, INT64_MIN, 9000000000000001));
  EXPECT_THAT((Cast<uint64_t, float>({2e19f, 1e19f, -5})),
              ElementsAre(UINT64_MAX, 9999999980506447872u, 0u));
  EXPECT_THAT((Cast<int8_t, float>({-129, 127.5f, 1e30f})), ElementsAre(-128, 127, 127));
}

TEST(Cast, IntegersWrap) {
  EXPECT_THAT((Cast<int8_t, int32_t>({300, -129, 5})), ElementsAre(44, 127, 5));
  EXPECT_THAT((Cast<uint32_t, int64_t>({-1, int64_t{1} << 33})), ElementsAre(UINT32_MAX, 0u));
  EXPECT_THAT((Cast<int64_t, uint64_t>({UINT64_MAX})), ElementsAre(-1));
}

TEST(Cast, EveryPairOfNumberTypesKeepsSmallNumbers) {
  const DType all[] = {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kI64,
                       DType::kI32, DType::kI16, DType::kI8,  DType::kU64,  DType::kU32,
                       DType::kU16, DType::kU8,  DType::kBool};
  // 37 elements: whole vectors and a rest on every target.
  std::vector<double> values;
  for (int i = 0; i < 37; ++i) values.push_back(i % 2);
  const Tensor x = MakeTensor<double>({37}, values);
  for (DType from : all) {
    for (DType to : all) {
      auto result = RunOp("Cast", {Converted(x, from)}, {{"to", to}});
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ((*result)[0].dtype(), to);
      EXPECT_EQ(RelativeError(Converted((*result)[0], DType::kF64), x), 0)
          << ToString(from) << " to " << ToString(to);
    }
  }
}

// All 65,536 halves there and back, through the vector code of this machine.
TEST(Cast, HalvesSurviveTheWayThroughF32AndBack) {
  for (DType half : {DType::kF16, DType::kBF16}) {
    Tensor x = *Tensor::Allocate(half, {65536});
    for (int i = 0; i < 65536; ++i) x.mutable_data<uint16_t>()[i] = static_cast<uint16_t>(i);
    auto wide = RunOp("Cast", {x}, {{"to", DType::kF32}});
    ASSERT_TRUE(wide.ok()) << wide.status();
    auto back = RunOp("Cast", {(*wide)[0]}, {{"to", half}});
    ASSERT_TRUE(back.ok()) << back.status();
    for (int i = 0; i < 65536; ++i) {
      const float value = (*wide)[0].data<float>()[i];
      const uint16_t bits = (*back)[0].data<uint16_t>()[i];
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(half == DType::kF16 ? float{Float16::FromBits(bits)}
                                                   : float{BFloat16::FromBits(bits)}));
      } else {
        ASSERT_EQ(bits, i);
      }
    }
  }
}

// A number just above the middle between two halves, by less than f32 would keep, goes up.
TEST(Cast, HalvesAreRoundedOnce) {
  const double f16 = 1 + 0x1p-11, bf16 = 1 + 0x1p-8;
  const Tensor x = MakeTensor<double>({4}, {f16, f16 + 0x1p-40, -f16 - 0x1p-40, 0x1p-60});
  auto y = RunOp("Cast", {x}, {{"to", DType::kF16}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ(float{(*y)[0].data<Float16>()[0]}, 1);
  EXPECT_EQ(float{(*y)[0].data<Float16>()[1]}, 1 + 0x1p-10);
  EXPECT_EQ(float{(*y)[0].data<Float16>()[2]}, -1 - 0x1p-10);
  EXPECT_EQ(float{(*y)[0].data<Float16>()[3]}, 0);
  const auto bits = [](const Tensor& t) {
    auto made = RunOp("Cast", {t}, {{"to", DType::kBF16}});
    EXPECT_TRUE(made.ok()) << made.status();
    return float{(*made)[0].data<BFloat16>()[0]};
  };
  EXPECT_EQ(bits(MakeTensor<double>({1}, {bf16})), 1);
  EXPECT_EQ(bits(MakeTensor<double>({1}, {bf16 + 0x1p-40})), 1 + 0x1p-7);
  EXPECT_EQ(bits(MakeTensor<double>({1}, {1e300})), INFINITY);
  EXPECT_TRUE(std::isnan(bits(MakeTensor<double>({1}, {NAN}))));
  EXPECT_EQ(bits(MakeTensor<int32_t>({1}, {(1 << 30) + (1 << 22)})), 0x1p30f);
  EXPECT_EQ(bits(MakeTensor<int32_t>({1}, {(1 << 30) + (1 << 22) + 1})), 0x1p30f + 0x1p23f);
  EXPECT_EQ(bits(MakeTensor<int64_t>({1}, {(int64_t{1} << 62) + (int64_t{1} << 54) + 1})),
            0x1p62f + 0x1p55f);
}

TEST(Cast, F32RoundsToHalvesAsTheScalarConversionDoes) {
  std::vector<float> values;
  for (uint32_t i = 0; i < 200000; ++i) values.push_back(std::bit_cast<float>(i * 21470u + 7));
  const Tensor x = MakeTensor<float>({static_cast<int64_t>(values.size())}, values);
  auto f16 = RunOp("Cast", {x}, {{"to", DType::kF16}});
  auto bf16 = RunOp("Cast", {x}, {{"to", DType::kBF16}});
  ASSERT_TRUE(f16.ok() && bf16.ok());
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) continue;
    ASSERT_EQ((*f16)[0].data<uint16_t>()[i], Float16(values[i]).bits) << values[i];
    ASSERT_EQ((*bf16)[0].data<uint16_t>()[i], BFloat16(values[i]).bits) << values[i];
  }
}

TEST(Cast, StringsAreReadAndPrinted) {
  EXPECT_THAT((Cast<float, std::string>({"3.14", "1e-5", "1E8", "+INF", "-inf", " 2 "})),
              ElementsAre(3.14f, 1e-5f, 1e8f, INFINITY, -INFINITY, 2));
  EXPECT_TRUE(std::isnan(Cast<double, std::string>({"NaN"})[0]));
  EXPECT_THAT((Cast<int64_t, std::string>({"9223372036854775807", "-3", "100.5"})),
              ElementsAre(INT64_MAX, -3, 100));
  EXPECT_THAT((Cast<std::string, float>({3.5f, NAN, INFINITY, -INFINITY, 0.1f})),
              ElementsAre("3.5", "NaN", "INF", "-INF", "0.1"));
  EXPECT_THAT((Cast<std::string, int8_t>({-5, 65})), ElementsAre("-5", "65"));
  auto bad = RunOp("Cast", {MakeTensor<std::string>({1}, {"Hello\n"})}, {{"to", DType::kF32}});
  EXPECT_THAT(bad.status().message(), HasSubstr("cannot read 'Hello\\n' as a number"));
}

TEST(Cast, CastLikeTakesTheTypeOfItsSecondInput) {
  auto result =
      RunOp("CastLike", {MakeTensor<float>({2}, {1.5f, -2.5f}), MakeTensor<int32_t>({0}, {})});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((*result)[0].TypeString(), "i32[2]");
}

}  // namespace
}  // namespace sluice
