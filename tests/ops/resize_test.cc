#include <algorithm>
#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

Tensor Wave(absl::Span<const int64_t> dims) {
  Tensor t = *Tensor::Allocate(DType::kF32, dims);
  for (int64_t i = 0; i < t.elements(); ++i) {
    t.mutable_data<float>()[i] = static_cast<float>((i * 37) % 101) / 7;
  }
  return t;
}
Tensor Sizes(const std::vector<int64_t>& v) {
  return MakeTensor<int64_t>({static_cast<int64_t>(v.size())}, v);
}
Tensor Scales(const std::vector<float>& v) {
  return MakeTensor<float>({static_cast<int64_t>(v.size())}, v);
}

// Bilinear half-pixel interpolation of the last two axes, pixel by pixel.
float Bilinear(const float* plane, int64_t h, int64_t w, int64_t oh, int64_t ow, int64_t y,
               int64_t x) {
  auto at = [](int64_t i, int64_t in, int64_t out) {
    return (static_cast<double>(i) + 0.5) * static_cast<double>(in) / static_cast<double>(out) -
           0.5;
  };
  const double fy = at(y, h, oh), fx = at(x, w, ow);
  const double y0 = std::floor(fy), x0 = std::floor(fx);
  double sum = 0;
  for (int dy = 0; dy < 2; ++dy) {
    for (int dx = 0; dx < 2; ++dx) {
      const int64_t sy = std::clamp<int64_t>(static_cast<int64_t>(y0) + dy, 0, h - 1);
      const int64_t sx = std::clamp<int64_t>(static_cast<int64_t>(x0) + dx, 0, w - 1);
      sum += plane[sy * w + sx] * (dy ? fy - y0 : 1 - fy + y0) * (dx ? fx - x0 : 1 - fx + x0);
    }
  }
  return static_cast<float>(sum);
}

TEST(ResizeTest, LinearEqualsPixelByPixelUpAndDown) {
  for (auto [oh, ow] :
       std::vector<std::pair<int64_t, int64_t>>{{40, 62}, {7, 9}, {31, 5}, {1, 1}}) {
    for (int threads : {1, 3}) {
      const Tensor x = Wave({2, 3, 20, 31});
      absl::StatusOr<std::vector<Tensor>> y =
          RunOp("Resize", {x, Tensor(), Tensor(), Sizes({2, 3, oh, ow})}, {{"mode", "linear"}}, 1,
                threads);
      ASSERT_TRUE(y.ok()) << y.status();
      for (int64_t i = 0; i < (*y)[0].elements(); ++i) {
        const int64_t plane = i / (oh * ow), r = i % (oh * ow);
        ASSERT_NEAR((*y)[0].data<float>()[i],
                    Bilinear(x.data<float>() + plane * 620, 20, 31, oh, ow, r / ow, r % ow), 1e-4)
            << oh << "x" << ow << " at " << i;
      }
    }
  }
}

TEST(ResizeTest, EveryDtypeAndAxisOrderAgreesWithFloat) {
  const AttrList attrs = {{"mode", "cubic"}};
  const Tensor x = Wave({1, 2, 9, 6});
  const Tensor sizes = Sizes({1, 2, 13, 17});
  absl::StatusOr<std::vector<Tensor>> f32 = RunOp("Resize", {x, Tensor(), Tensor(), sizes}, attrs);
  ASSERT_TRUE(f32.ok()) << f32.status();
  for (DType dtype : {DType::kF64, DType::kF16, DType::kBF16, DType::kI32, DType::kU8}) {
    absl::StatusOr<std::vector<Tensor>> cast = RunOp("Cast", {x}, {{"to", dtype}});
    ASSERT_TRUE(cast.ok()) << cast.status();
    absl::StatusOr<std::vector<Tensor>> y =
        RunOp("Resize", {(*cast)[0], Tensor(), Tensor(), sizes}, attrs, 1, 2);
    ASSERT_TRUE(y.ok()) << ToString(dtype) << y.status();
    absl::StatusOr<std::vector<Tensor>> back = RunOp("Cast", {(*y)[0]}, {{"to", DType::kF32}});
    ASSERT_TRUE(back.ok());
    const float tolerance = dtype == DType::kF64 ? 1e-5f : IsFloat(dtype) ? 0.2f : 2.0f;
    for (int64_t i = 0; i < (*back)[0].elements(); ++i) {
      const float want = (*f32)[0].data<float>()[i];
      ASSERT_NEAR((*back)[0].data<float>()[i], dtype == DType::kU8 ? std::max(want, 0.0f) : want,
                  tolerance)
          << ToString(dtype);
    }
  }
  // Channels last: the same numbers, resized along the two inner axes.
  const AttrList last = {{"perm", std::vector<int64_t>{0, 2, 3, 1}}};
  Tensor nhwc = (*RunOp("Transpose", {x}, last))[0];
  absl::StatusOr<std::vector<Tensor>> y =
      RunOp("Resize", {nhwc, Tensor(), Tensor(), Sizes({17, 13})},
            {{"mode", "cubic"}, {"axes", std::vector<int64_t>{2, -3}}});
  ASSERT_TRUE(y.ok()) << y.status();
  const Tensor want = (*RunOp("Transpose", {(*f32)[0]}, last))[0];
  for (int64_t i = 0; i < want.elements(); ++i) {
    ASSERT_NEAR((*y)[0].data<float>()[i], want.data<float>()[i], 1e-4);
  }
}

TEST(ResizeTest, IntegersRoundAndSaturate) {
  const Tensor x = MakeTensor<uint8_t>({1, 4}, {0, 255, 255, 0});
  absl::StatusOr<std::vector<Tensor>> y =
      RunOp("Resize", {x, Tensor(), Scales({1, 2})}, {{"mode", "cubic"}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0].data<uint8_t>()[0], 0);    // an undershoot
  EXPECT_EQ((*y)[0].data<uint8_t>()[3], 255);  // an overshoot
}

TEST(ResizeTest, CropsAndExtrapolates) {
  const Tensor x = MakeTensor<float>({1, 3}, {1, 2, 3});
  const Tensor roi = Scales({0, -0.5f, 1, 1.5f});
  const AttrList attrs = {{"mode", "linear"},
                          {"coordinate_transformation_mode", "tf_crop_and_resize"},
                          {"extrapolation_value", -7.0f}};
  absl::StatusOr<std::vector<Tensor>> y = RunOp("Resize", {x, roi, Tensor(), Sizes({1, 5})}, attrs);
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_TRUE((*y)[0] == MakeTensor<float>({1, 5}, {-7, 1, 2, 3, -7})) << (*y)[0].ToString();
  // A region that is no region lies outside.
  y = RunOp("Resize", {x, Scales({0, NAN, 1, INFINITY}), Tensor(), Sizes({1, 2})}, attrs);
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_TRUE((*y)[0] == MakeTensor<float>({1, 2}, {-7, -7})) << (*y)[0].ToString();
  y = RunOp("Resize", {x, Tensor(), Tensor(), Sizes({1, 2})}, attrs);
  EXPECT_EQ(y.status().code(), absl::StatusCode::kInvalidArgument) << y.status();
}

// Each position reads its neighbours alone: an infinity further off does not reach it as 0 times
// infinity, neither at the ends, where the filter hangs over, nor where it ends early.
TEST(ResizeTest, WhatLiesBesideTheFilterDoesNotCount) {
  const float inf = std::numeric_limits<float>::infinity();
  // Axis 0 of [6,2] goes by rows, axis 1 of [2,6] element by element.
  for (const bool by_rows : {true, false}) {
    const auto resized = [&](std::vector<float> line, int64_t to, const AttrList& attrs) {
      const auto n = static_cast<int64_t>(line.size());
      std::vector<float> both;
      for (int64_t i = 0; i < 2 * n; ++i) both.push_back(line[by_rows ? i / 2 : i % n]);
      auto y = by_rows ? RunOp("Resize",
                               {MakeTensor<float>({n, 2}, both),
                                Tensor::Vector<float>({0.5f, 0, 1, 1}), Tensor(), Sizes({to, 2})},
                               attrs)
                       : RunOp("Resize",
                               {MakeTensor<float>({2, n}, both),
                                Tensor::Vector<float>({0, 0.5f, 1, 1}), Tensor(), Sizes({2, to})},
                               attrs);
      EXPECT_TRUE(y.ok()) << y.status();
      std::vector<float> result;
      for (int64_t i = 0; y.ok() && i < to; ++i)
        result.push_back((*y)[0].data<float>()[by_rows ? 2 * i : i]);
      return result;
    };
    const std::vector<float> up = resized({1, inf, 1, 1, inf, 2}, 12, {{"mode", "linear"}});
    EXPECT_EQ(up[0], 1);
    EXPECT_EQ(up[1], inf);
    EXPECT_EQ(up[11], 2);
    const std::vector<float> cubic =
        resized({1, 1, 1, inf, 1, 1, 1, 1}, 15,
                {{"mode", "cubic"}, {"coordinate_transformation_mode", "align_corners"}});
    EXPECT_EQ(cubic[0], 1);
    EXPECT_EQ(cubic[14], 1);
    const std::vector<float> less =
        resized({1, 1, 1, 1, 1, 1, inf, 1, 1}, 3, {{"mode", "linear"}, {"antialias", 1}});
    EXPECT_EQ(less[0], 1);
    EXPECT_EQ(less[2], inf);
    const std::vector<float> crop =
        resized({inf, 1, 1, 1, 1}, 3,
                {{"mode", "linear"}, {"coordinate_transformation_mode", "tf_crop_and_resize"}});
    EXPECT_EQ(crop[2], 1);
  }
}

TEST(ResizeTest, EmptyResultsAndImpossibleSources) {
  absl::StatusOr<std::vector<Tensor>> y =
      RunOp("Resize", {Wave({2, 3}), Tensor(), Scales({1, 0.1f})}, {{"mode", "linear"}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0].TypeString(), "f32[2,0]");
  y = RunOp("Resize", {Wave({2, 0}), Tensor(), Tensor(), Sizes({2, 3})}, {{"mode", "linear"}});
  EXPECT_EQ(y.status().code(), absl::StatusCode::kInvalidArgument) << y.status();
  y = RunOp("Resize", {Wave({2, 3}), Tensor(), Tensor(), Sizes({2, 3})}, {{"mode", "linear"}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_TRUE((*y)[0] == Wave({2, 3}));  // nothing to do
}

}  // namespace
}  // namespace sluice
