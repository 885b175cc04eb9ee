// Quantizers around products, and around what only moves elements.
#include <algorithm>

#include "tests/random/lines.h"
#include "tests/random/parts.h"

namespace sluice::random {
namespace {

constexpr DTypeSet kF32 = {DType::kF32};

Value* QuantizedThere(Maker& m, Value* x) {
  if (x == nullptr) return nullptr;
  const Quantizer q = AnyQuantizer(m);
  Value* eight = Quantize(m, x, q);
  return eight == nullptr ? nullptr : Dequantize(m, eight, q);
}

// Steps that make NaN of numbers, for which 8 bits have no place.
Value* WithNaN(Maker& m, Value* y) {
  Random& r = m.random();
  if (r.Chance(50)) {
    Value* other = m.Op(r.Of<const char*>({"Sqrt", "Log"}), {m.Broadcasting(y, false)});
    return m.Op(r.Of<const char*>({"Add", "Max", "Min"}), {y, other});
  }
  const Dim& columns = DimOf(y, RankOf(y) - 1);
  if (!columns.is_number() || columns.number() < 1) return y;
  Tensor divisors = *Tensor::Random(DType::kF32, {columns.number()}, {.seed = 6});
  divisors.mutable_data<float>()[0] = 0;
  y = m.Op("Div", {y, m.Constant(divisors)});
  return r.Chance(70) ? m.Op("HardSwish", {y}) : y;
}

Value* Product(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* y = nullptr;
  if (r.Chance(50)) {
    Value* x = QuantizedThere(m, m.Operand(kF32, 2, 3));
    if (x == nullptr || !DimOf(x, RankOf(x) - 1).is_number()) return nullptr;
    y = m.Op("MatMul",
             {x, QuantizedWeight(
                     m, {DimOf(x, RankOf(x) - 1).number(), r.Of<int64_t>({1, 4, 8, 16})}, 1)});
    if (y != nullptr && r.Chance(50))
      y = m.Op("Add", {y, m.Weight(DType::kF32, {DimOf(y, RankOf(y) - 1).number()})});
  } else {
    Value* image = Image(m, kF32);
    if (image != nullptr && r.Chance(15)) {  // a batch that only the data knows
      Value* end = m.Fed(DType::kI64, {1},
                         std::vector<Tensor>(m.runs(), Tensor::Vector<int64_t>({r.Below(3)})));
      image = m.Op("Slice", {image, m.Ints({0}, 0), end, m.Ints({0}, 0)});
    }
    Value* x = QuantizedThere(m, image);
    if (x == nullptr) return nullptr;
    const std::vector<int64_t> kernel = Kernel(m, x);
    const AttrList attrs = Window(m, x, kernel, false);
    if (attrs.empty()) return nullptr;
    Dims dims = {r.Of<int64_t>({1, 4, 8}), DimOf(x, 1).number()};
    dims.insert(dims.end(), kernel.begin(), kernel.end());
    y = m.Op(
        "Conv",
        {x, QuantizedWeight(m, dims, 0), r.Chance(50) ? m.Weight(DType::kF32, {dims[0]}) : nullptr},
        attrs);
  }
  if (y == nullptr) return nullptr;
  if (r.Chance(40)) y = Cheap(m, y, 2);
  if (y != nullptr && r.Chance(30))
    y = m.Op("Add", {y, QuantizedThere(m, m.Like(DType::kF32, y->type().shape()))});
  if (y != nullptr && r.Chance(20)) y = WithNaN(m, y);
  if (y != nullptr && r.Chance(40)) y = m.Op("Relu", {y});
  return r.Chance(70) ? QuantizedThere(m, y) : y;
}

// Windows of two elements with one between them, which see nothing of a single one.
Value* WithGaps(Maker& m, Value* x) {
  const auto axes = static_cast<size_t>(RankOf(x) - 2);
  return m.Op("MaxPool", {x},
              {{"kernel_shape", std::vector<int64_t>(axes, 2)},
               {"dilations", std::vector<int64_t>(axes, 2)},
               {"pads", std::vector<int64_t>(2 * axes, 1)}});
}

// What moves or picks elements between a dequantizer and a quantizer.
Value* Moved(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = r.Chance(25) ? Image(m, kF32) : m.KnownOperand(kF32, 1, 4);
  if (x == nullptr) return nullptr;
  const Quantizer q = AnyQuantizer(m);
  Value* eight = Quantize(m, x, q);
  Value* y = eight == nullptr ? nullptr : Dequantize(m, eight, q);
  if (y == nullptr) return nullptr;
  for (int64_t i = r.Between(1, 3); i > 0 && y != nullptr; --i) {
    switch (r.Below(7)) {
      case 0:
        y = m.Op("Transpose", {y});
        break;
      case 1:
        y = m.Op("Flatten", {y});
        break;
      case 2:
        y = m.Op("Unsqueeze", {y, m.Ints({0}, 0)});
        break;
      case 3:
        y = m.Op("Concat", {y, y}, {{"axis", 0}});
        break;
      case 4:
        y = m.Op("Slice", {y, m.Ints({0}, 0), m.Ints({2}, 0)});
        break;
      case 5:
        if (RankOf(y) >= 3 && RankOf(y) <= 5) {
          Value* pooled = r.Chance(70) ? PoolOf(m, y, "MaxPool") : WithGaps(m, y);
          if (pooled != nullptr) y = pooled;
        }
        break;
      default:
        if (r.Chance(50)) y = m.Op("Add", {y, m.Constant(m.Contents(DType::kF32, {}))});
    }
  }
  if (y == nullptr || r.Chance(20)) return y;
  const Quantizer p = r.Chance(60) ? q : AnyQuantizer(m);
  Value* again = Quantize(m, y, p);
  return r.Chance(40) || again == nullptr ? again : Dequantize(m, again, p);
}

// The integers' own ops, scaled to f32 behind.
Value* IntegerProduct(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = m.KnownOperand(kF32, 2, 3);
  if (x == nullptr || !DimOf(x, RankOf(x) - 1).is_number()) return nullptr;
  const std::vector<Value*> q = m.OpN("DynamicQuantizeLinear", {m.Tamed(x, -1000, 1000)}, 3);
  const int64_t n = r.Of<int64_t>({1, 4, 8});
  Value* w = m.Weight(DType::kI8, {DimOf(x, RankOf(x) - 1).number(), n}, 100);
  Value* y =
      m.Op("MatMulInteger", {q[0], w, q[2], r.Chance(30) ? m.Scalar(DType::kI8, 2) : nullptr});
  if (y == nullptr) return nullptr;
  y = m.Op("Cast", {y}, {{"to", DType::kF32}});
  y = m.Op("Mul", {y, r.Chance(60) ? m.Op("Mul", {q[1], m.Scalar(DType::kF32, 0.02)}) : q[1]});
  if (y != nullptr && r.Chance(50)) y = m.Op("Add", {y, m.Weight(DType::kF32, {n})});
  return y;
}

// Quantized, added, rounded: ties on the grid.
Value* Ties(Maker& m, const std::string&) {
  Value* x = QuantizedThere(m, m.Operand(kF32, 1, 4));
  if (x == nullptr) return nullptr;
  Value* y = m.Op(m.random().Of<const char*>({"Add", "Mul"}),
                  {x, QuantizedThere(m, m.Broadcasting(x, false))});
  return QuantizedThere(m, y);
}

constexpr Line kLines[] = {{"quantized product", 12, Product},
                           {"quantized movement", 8, Moved},
                           {"integer product", 4, IntegerProduct},
                           {"quantized sum", 4, Ties}};

}  // namespace

absl::Span<const Line> QuantizedPatterns() { return kLines; }

}  // namespace sluice::random
