// Products and what passes join with them.
#include <algorithm>
#include <array>
#include <numeric>

#include "tests/random/lines.h"
#include "tests/random/parts.h"

namespace sluice::random {
namespace {

constexpr DTypeSet kF32 = {DType::kF32};

Value* AnyProduct(Maker& m, DTypeSet dtypes = kF32) {
  Random& r = m.random();
  switch (r.Below(6)) {
    case 0:
    case 1:
      return MatMulOf(m, m.Operand(dtypes, 1, 4));
    case 2:
      return PoolOf(m, Image(m, dtypes), r.Of<const char*>({"MaxPool", "AveragePool"}));
    case 3:
      return ConvOf(m, Image(m, dtypes), "ConvTranspose");
    default:
      return ConvOf(m, Image(m, dtypes));
  }
}

// Of any float type. 16 bits may overflow on the way, and be in range again behind.
Value* WithSteps(Maker& m, const std::string&) {
  Random& r = m.random();
  const DType d = r.Chance(80) ? DType::kF32 : r.Of({DType::kF16, DType::kBF16, DType::kF64});
  Value* y = AnyProduct(m, {d});
  if (y != nullptr && d == DType::kF16 && r.Chance(40)) y = ThereAndBack(m, y);
  return Cheap(m, y, 4);
}

// Steps that end in a zero, whose sign shows behind them.
Value* ZeroSteps(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* y = AnyProduct(m);
  if (y == nullptr) return nullptr;
  const auto number = [&](double x) { return m.Scalar(DType::kF32, x); };
  switch (r.Below(4)) {
    case 0:  // far below, where a gate is closed
      y = m.Op("Add", {y, number(-400)});
      y = m.Op(r.Of<const char*>({"Gelu", "HardSwish", "Mish", "Swish"}), {y});
      break;
    case 1:
      y = m.Op("Neg", {m.Op("Relu", {y})});
      break;
    case 2:
      y = m.Op("Mul", {m.Op("Relu", {y}), number(r.Of({-1.0, 0.0, -0.0}))});
      break;
    default:
      y = m.Op("Max", {m.Op("Neg", {m.Op("Relu", {y})}), number(r.Of({0.0, -0.0}))});
  }
  return m.Op("Reciprocal", {y});
}

Value* WithBatchNorm(Maker& m, const std::string&) {
  Value* y = AnyProduct(m);
  if (y == nullptr || RankOf(y) < 2 || !DimOf(y, 1).is_number()) return nullptr;
  const Dims channels = {DimOf(y, 1).number()};
  Random& r = m.random();
  if (r.Chance(60)) {
    Tensor variance =
        *Tensor::Random(DType::kF32, channels, {.seed = 4, .scale = 0.4, .offset = 0.5});
    y = m.Op("BatchNormalization",
             {y, m.Weight(DType::kF32, channels), m.Weight(DType::kF32, channels),
              m.Weight(DType::kF32, channels), m.Constant(variance)});
  } else {
    Dims dims(static_cast<size_t>(RankOf(y)) - 1, 1);
    dims[0] = channels[0];
    y = m.Op(r.Of<const char*>({"Mul", "Div"}), {y, m.Weight(DType::kF32, dims)});
    y = m.Op(r.Of<const char*>({"Add", "Sub"}), {y, m.Weight(DType::kF32, dims)});
  }
  return r.Chance(60) ? Cheap(m, y, 2) : y;
}

Value* PaddedWindow(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = Image(m, kF32);
  if (x == nullptr) return nullptr;
  std::vector<int64_t> pads(static_cast<size_t>(2 * RankOf(x)), 0);
  for (int64_t i = 2; i < RankOf(x); ++i) {
    pads[i] = r.Between(0, 2);
    pads[i + RankOf(x)] = r.Between(0, 2);
  }
  if (r.Chance(8)) pads[1] = 1;
  Value* fill = r.Chance(70) ? nullptr : m.Scalar(DType::kF32, r.Of({0.0, 1.0}));
  Value* p =
      m.Op("Pad", {x, m.Ints(pads, 4), fill}, {{"mode", r.Chance(85) ? "constant" : "edge"}});
  if (p == nullptr) return nullptr;
  if (r.Chance(65)) return ConvOf(m, p);
  return PoolOf(m, p, r.Of<const char*>({"MaxPool", "AveragePool"}));
}

// One pixel: a matrix product.
Value* Pixel(Maker& m, const std::string&) {
  Random& r = m.random();
  const int64_t n = r.Chance(60) ? 1 : r.Between(1, 3);
  Value* x = m.Like(DType::kF32, {m.AnyDim(), r.Of<int64_t>({1, 3, 8}), n, n});
  if (x == nullptr || m.Least(DimOf(x, 0)).value_or(0) < 1) return nullptr;
  Value* w = m.Weight(DType::kF32, {r.Of<int64_t>({1, 4, 16}), DimOf(x, 1).number(), n, n});
  Value* y = m.Op(
      "Conv",
      {x, w,
       r.Chance(50) && w != nullptr ? m.Weight(DType::kF32, {DimOf(w, 0).number()}) : nullptr});
  return r.Chance(50) ? Cheap(m, y, 3) : y;
}

// Channels last around what wants them first, and the other way round.
Value* Sandwich(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = Image(m, kF32);
  if (x == nullptr) return nullptr;
  const int64_t rank = RankOf(x);
  std::vector<int64_t> to_last(static_cast<size_t>(rank)), to_first(static_cast<size_t>(rank));
  std::iota(to_last.begin() + 1, to_last.end(), 2);
  to_last[0] = 0;
  to_last.back() = 1;
  to_first[0] = 0;
  to_first[1] = rank - 1;
  std::iota(to_first.begin() + 2, to_first.end(), 1);
  Value* y = r.Chance(50) ? ConvOf(m, x) : x;
  if (y == nullptr) return nullptr;
  y = m.Op("Transpose", {y}, {{"perm", to_last}});
  y = Cheap(m, y, 3);
  if (y == nullptr || RankOf(y) != rank) return y;
  if (r.Chance(25)) y = m.Op("Concat", {y, y}, {{"axis", r.Of<int64_t>({rank - 1, 1})}});
  if (r.Chance(15) && y != nullptr) y = m.Op("ReduceMean", {y, m.Ints({1}, 0)}, {{"keepdims", 1}});
  if (y == nullptr) return nullptr;
  y = m.Op("Transpose", {y}, {{"perm", r.Chance(85) ? to_first : to_last}});
  return r.Chance(50) && y != nullptr && DimOf(y, 1).is_number() ? ConvOf(m, y) : y;
}

// Factors around a product, small and large: behind it, it may overflow.
Value* Scaled(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = m.Operand(kF32, 2, 3);
  const bool far = m.program().regime == Regime::kLarge || r.Chance(25);
  const double factor = far ? r.Of({1e-20, 1e20, 1e-30}) : r.Of({0.5, 0.25, 2.0, 0.1});
  // As large as weights may be where the factor makes numbers of their products.
  const double scale = !far ? 1 : factor == 1e-30 ? 3e38 : 1 / factor;
  x = m.Op(r.Of<const char*>({"Mul", "Mul", "Div"}), {x, m.Scalar(DType::kF32, factor)});
  if (x == nullptr) return nullptr;
  const Dim& k = DimOf(x, RankOf(x) - 1);
  Value* w = !k.is_number() ? m.Like(DType::kF32, {k, 3})
                            : m.Constant(*Tensor::Random(
                                  DType::kF32, {k.number(), 3},
                                  {.seed = static_cast<uint64_t>(r.Below(99)), .scale = scale}));
  Value* y = m.Op("MatMul", {x, w});
  if (y == nullptr || r.Chance(50)) return y;
  return m.Op("Mul", {y, m.Scalar(DType::kF32, r.Of({0.5, 2.0, 1e-3}))});
}

// A product between two scales that take back what its weights make large or small: joined with
// these, one of them would overflow, or vanish.
Value* ScaledBack(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = r.Chance(50) ? Image(m, kF32) : m.Operand(kF32, 2, 3);
  if (x == nullptr) return nullptr;
  const bool image = RankOf(x) > 3 && DimOf(x, 1).is_number();
  const Dim& depth = DimOf(x, image ? 1 : RankOf(x) - 1);
  if (!depth.is_number() || depth.number() < 1) return nullptr;
  const auto [before, weight, behind] = r.Of<std::array<double, 3>>(
      {{1e-30, 1e25, 1e20}, {1e30, 1e-25, 1e-20}, {1e-20, 1e30, 0.5}, {1, 3e38, 1e-30}});
  x = m.Op("Mul", {x, m.Scalar(DType::kF32, before)});
  if (x == nullptr) return nullptr;
  const int64_t n = r.Of<int64_t>({1, 4, 8});
  Dims dims = image ? Dims{n, depth.number()} : Dims{depth.number(), n};
  if (image) dims.resize(static_cast<size_t>(RankOf(x)), 1);
  Value* w = m.Constant(*Tensor::Random(
      DType::kF32, dims, {.seed = static_cast<uint64_t>(r.Below(99)), .scale = weight}));
  Value* y = m.Op(image ? "Conv" : "MatMul", {x, w});
  return y == nullptr ? nullptr : m.Op("Mul", {y, m.Scalar(DType::kF32, behind)});
}

// A deep image, wide enough for Winograd.
Value* Threes(Maker& m, const std::string&) {
  Random& r = m.random();
  const int64_t channels = 16 * r.Between(1, 2);
  const Dim batch = r.Chance(40) ? m.AnyDim() : Dim(1);
  if (m.Most(batch).value_or(9) > 8 || m.Least(batch).value_or(0) < 1) return nullptr;
  const int64_t saved = m.program().max_elements;
  m.program().max_elements = 65536;
  Value* x = m.Input(DType::kF32,
                     {batch, channels, r.Of<int64_t>({8, 12, 14}), r.Of<int64_t>({8, 12, 13})});
  const int64_t group = r.Of<int64_t>({1, 1, channels});
  Value* w =
      m.Constant(*Tensor::Random(DType::kF32, {channels, channels / group, 3, 3},
                                 {.seed = static_cast<uint64_t>(r.Below(99)), .scale = 0.5}));
  Value* y = m.Op("Conv", {x, w, r.Chance(50) ? m.Weight(DType::kF32, {channels}) : nullptr},
                  {{"group", group}, {"pads", std::vector<int64_t>(4, r.Below(2))}});
  y = r.Chance(60) ? Cheap(m, y, 2) : y;
  m.program().max_elements = saved;
  return y;
}

Value* Transposed(Maker& m, const std::string&) {
  Random& r = m.random();
  const Dim i = m.AnyDim(), k = m.AnyDim();
  const bool identity = r.Chance(40);
  Value* x = m.Like(DType::kF32, r.Chance(50) ? Shape{i, k} : Shape{k, i});
  if (x == nullptr) return nullptr;
  Value* t = m.Op("Transpose", {x},
                  {{"perm", identity ? std::vector<int64_t>{0, 1} : std::vector<int64_t>{1, 0}}});
  if (t == nullptr) return nullptr;
  const bool trans = r.Chance(50);
  Value* w = m.Like(DType::kF32, {DimOf(t, trans ? 0 : 1), r.Between(1, 5)});
  if (r.Chance(60)) return m.Op("Gemm", {t, w}, {{"transA", trans}});
  return trans ? nullptr : m.Op("MatMul", {t, w});
}

constexpr Line kLines[] = {
    {"product with steps", 22, WithSteps}, {"product with scales", 10, WithBatchNorm},
    {"padded window", 8, PaddedWindow},    {"one pixel", 5, Pixel},
    {"transposed around", 9, Sandwich},    {"scaled product", 6, Scaled},
    {"three by three", 6, Threes},         {"transposed operand", 4, Transposed},
    {"scaled back", 5, ScaledBack},        {"zero steps", 5, ZeroSteps},
};

}  // namespace

absl::Span<const Line> ProductPatterns() { return kLines; }

}  // namespace sluice::random
