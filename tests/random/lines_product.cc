// Products, windows, quantizers and recurrent nets.
#include <algorithm>

#include "ops/op.h"
#include "tests/random/lines.h"
#include "tests/random/parts.h"

namespace sluice::random {
namespace {

constexpr DTypeSet kEightBit = {DType::kI8, DType::kU8};

Value* DrawMatMul(Maker& m, const std::string&) {
  return MatMulOf(m, m.Operand(DTypeSet{DType::kF32, DType::kF64, DType::kF16, DType::kBF16,
                                        DType::kI32, DType::kI64},
                               1, 4));
}

Value* DrawGemm(Maker& m, const std::string& op) {
  Random& r = m.random();
  Value* a = m.Operand(kFloatTypes, 2, 2);
  const bool trans_a = r.Chance(25), trans_b = r.Chance(40);
  const Dim k = DimOf(a, trans_a ? 0 : 1), rows = DimOf(a, trans_a ? 1 : 0);
  const int64_t n = r.Of<int64_t>({1, 3, 4, 8, 17});
  const DType d = a->type().dtype();
  Value* b = k.is_number() ? m.Weight(d, trans_b ? Dims{n, k.number()} : Dims{k.number(), n})
                           : m.Like(d, trans_b ? Shape{n, k} : Shape{k, n});
  Value* c = r.Chance(25) ? nullptr : m.Broadcasting(d, {rows, n}, /*stretches=*/false);
  AttrList attrs = {{"transA", trans_a}, {"transB", trans_b}};
  if (r.Chance(25)) attrs.push_back({"alpha", r.Of({0.5f, 2.0f})});
  if (r.Chance(25)) attrs.push_back({"beta", r.Of({0.5f, 2.0f, 0.0f})});
  return m.Op(op, {a, b, c}, attrs);
}

Value* EightBit(Maker& m, int low, int high) { return m.Operand(kEightBit, low, high); }

Value* DrawMatMulInteger(Maker& m, const std::string& op) {
  Value* a = EightBit(m, 2, 3);
  const Dim& k = DimOf(a, RankOf(a) - 1);
  if (!k.is_number()) return nullptr;
  Value* b = m.Weight(m.random().Of({DType::kI8, DType::kU8}),
                      {k.number(), m.random().Between(1, 8)}, 100);
  if (b == nullptr) return nullptr;
  Value* az = m.random().Chance(40) ? m.Scalar(a->type().dtype(), 3) : nullptr;
  Value* bz = m.random().Chance(40) ? m.Scalar(b->type().dtype(), 2) : nullptr;
  return m.Op(op, {a, b, az, bz});
}

Value* SomeScale(Maker& m) { return m.Scalar(DType::kF32, m.random().Of({0.02, 0.1, 0.25})); }

Value* DrawQLinearMatMul(Maker& m, const std::string& op) {
  Value* a = EightBit(m, 2, 3);
  const Dim& k = DimOf(a, RankOf(a) - 1);
  if (!k.is_number()) return nullptr;
  const DType w = m.random().Of({DType::kI8, DType::kU8}),
              y = m.random().Of({DType::kI8, DType::kU8});
  return m.Op(op, {a, SomeScale(m), m.Scalar(a->type().dtype(), 1),
                   m.Weight(w, {k.number(), m.random().Between(1, 8)}, 100), SomeScale(m),
                   m.Scalar(w, 0), SomeScale(m), m.Scalar(y, 2)});
}

Value* DrawConv(Maker& m, const std::string& op) { return ConvOf(m, Image(m, kFloatTypes), op); }

Value* DrawConvTranspose(Maker& m, const std::string& op) {
  AttrList more;
  Value* x = Image(m, kFloatTypes);
  if (x == nullptr) return nullptr;
  if (m.random().Chance(15))
    more.push_back({"output_padding", std::vector<int64_t>(static_cast<size_t>(RankOf(x) - 2), 0)});
  return ConvOf(m, x, op, more);
}

// x and w of 8 bits; what else an op takes stands around them.
Value* IntegerConv(Maker& m, const std::string& op, bool quantized) {
  Value* x = Image(m, kEightBit);
  if (x == nullptr) return nullptr;
  const std::vector<int64_t> kernel = Kernel(m, x);
  const AttrList attrs = Window(m, x, kernel, false);
  if (attrs.empty()) return nullptr;
  const DType w = m.random().Of({DType::kI8, DType::kI8, DType::kU8}),
              y = m.random().Of({DType::kI8, DType::kU8});
  Dims dims = {m.random().Of<int64_t>({1, 4, 8}), DimOf(x, 1).number()};
  dims.insert(dims.end(), kernel.begin(), kernel.end());
  Value* weight = m.Weight(w, dims, 100);
  Value* xz = m.Scalar(x->type().dtype(), m.random().Of({0.0, 3.0}));
  if (!quantized) return m.Op(op, {x, weight, m.random().Chance(50) ? xz : nullptr}, attrs);
  return m.Op(
      op,
      {x, SomeScale(m), xz, weight, SomeScale(m), m.Scalar(w, 0), SomeScale(m), m.Scalar(y, 2),
       m.random().Chance(40) ? m.Weight(DType::kI32, {dims[0]}, 50) : nullptr},
      attrs);
}
Value* DrawConvInteger(Maker& m, const std::string& op) { return IntegerConv(m, op, false); }
Value* DrawQLinearConv(Maker& m, const std::string& op) { return IntegerConv(m, op, true); }

Value* DrawMaxPool(Maker& m, const std::string& op) {
  Value* x = Image(m, DTypeSet{DType::kF32, DType::kF16, DType::kF64, DType::kI8, DType::kU8});
  if (m.random().Chance(85)) return PoolOf(m, x, op);
  if (x == nullptr) return nullptr;
  const AttrList attrs = Window(m, x, Kernel(m, x), true);
  if (attrs.empty()) return nullptr;
  const std::vector<Value*> both = m.OpN(op, {x}, 2, attrs);
  m.Add(both[1]);
  return both[0];
}
Value* DrawAveragePool(Maker& m, const std::string& op) {
  return PoolOf(m, Image(m, kFloatTypes), op, {{"count_include_pad", m.random().Of({0, 1})}});
}
Value* DrawLpPool(Maker& m, const std::string& op) {
  return PoolOf(m, Image(m, kFloatTypes), op, {{"p", m.random().Of({1, 2, 3})}});
}
Value* Global(Maker& m, const std::string& op) { return m.Op(op, {Image(m, kFloatTypes)}); }

Value* DrawQuantize(Maker& m, const std::string& op) {
  Random& r = m.random();
  if (r.Chance(30)) {  // integers, by scales whose quotients come near ties
    Value* x = m.Operand(DTypeSet{DType::kI32}, 0, 3);
    const DType to = r.Of({DType::kI8, DType::kU8, DType::kI16});
    Value* scale = m.Scalar(DType::kF32, r.Of({0.4, 0.08, 2.0 / 7, 0.1}));
    return m.Op(op, {x, scale, m.Scalar(to, r.Below(4))});
  }
  Value* x = m.Operand(DTypeSet{DType::kF32}, 1, 4);
  if (r.Chance(70)) return Quantize(m, x, AnyQuantizer(m));
  const DType to = r.Of({DType::kI8, DType::kU8, DType::kI16, DType::kU16});
  const int64_t axis = r.Below(RankOf(x));
  if (!DimOf(x, axis).is_number()) return nullptr;
  const Dims one = {DimOf(x, axis).number()};
  Tensor scale = *Tensor::Random(DType::kF32, one, {.seed = 3, .scale = 0.05, .offset = 0.2});
  return m.Op(op,
              {m.Tamed(x, -1000, 1000), m.Constant(scale), m.Constant(m.Contents(to, one, 0, 5))},
              {{"axis", axis}});
}
Value* DrawDequantize(Maker& m, const std::string& op) {
  Value* x = m.Operand(DTypeSet{DType::kI8, DType::kU8, DType::kI32}, 0, 4);
  Value* zero = m.random().Chance(50) ? m.Scalar(x->type().dtype(), 2) : nullptr;
  return m.Op(op, {x, SomeScale(m), x->type().dtype() == DType::kI32 ? nullptr : zero});
}
Value* DrawDynamicQuantize(Maker& m, const std::string& op) {
  Value* x = m.KnownOperand(DTypeSet{DType::kF32}, 1, 3);
  if (x == nullptr) return nullptr;
  const std::vector<Value*> all = m.OpN(op, {m.Tamed(x, -1000, 1000)}, 3);
  if (all[0] == nullptr) return nullptr;
  if (m.random().Chance(60)) return m.Op("DequantizeLinear", {all[0], all[1], all[2]});
  m.Add(all[1]);
  m.Add(all[2]);
  return all[0];
}

Value* Recurrent(Maker& m, const std::string& op) {
  Random& r = m.random();
  Value* x = m.Pick([&](const Value* v) {
    return v->type().rank() == 3 && IsFloat(v->type().dtype()) && v->type().dim(2).is_number() &&
           m.Known(v);
  });
  if (x == nullptr || r.Chance(30))
    x = m.Input(m.AnyDType(DTypeSet{DType::kF32, DType::kF64, DType::kF16}),
                {m.AnyDim(), m.AnyDim(), r.Between(1, 6)});
  const DType d = x->type().dtype();
  const int64_t gates = op == "LSTM" ? 4 : op == "GRU" ? 3 : 1;
  const int64_t hidden = r.Of<int64_t>({1, 2, 3, 4, 8, 16});
  const char* direction = r.Of<const char*>({"forward", "forward", "reverse", "bidirectional"});
  const int64_t directions = std::string(direction) == "bidirectional" ? 2 : 1;
  const int64_t in = DimOf(x, 2).number();
  const Dim batch = DimOf(x, 1);
  AttrList attrs = {{"hidden_size", hidden}, {"direction", direction}};
  if (op == "GRU") attrs.push_back({"linear_before_reset", r.Of({0, 1})});
  Value* lengths = nullptr;
  if (const std::optional<int64_t> steps = m.Least(DimOf(x, 0));
      r.Chance(20) && steps && *steps > 0)
    lengths = m.Input(DType::kI32, {batch}, 1, *steps + 1);
  std::vector<Value*> inputs = {
      x,
      m.Weight(d, {directions, gates * hidden, in}, 0.5),
      m.Weight(d, {directions, gates * hidden, hidden}, 0.5),
      r.Chance(60) ? m.Weight(d, {directions, 2 * gates * hidden}, 0.5) : nullptr,
      lengths,
      r.Chance(35) ? m.Like(d, {directions, batch, hidden}) : nullptr};
  if (op == "LSTM") {
    inputs.push_back(r.Chance(30) ? m.Like(d, {directions, batch, hidden}) : nullptr);
    if (r.Chance(15)) inputs.push_back(m.Weight(d, {directions, 3 * hidden}, 0.5));
  }
  const std::vector<Value*> all = m.OpN(op, inputs, op == "LSTM" ? 3 : 2, attrs);
  for (size_t i = 1; i < all.size(); ++i) m.Add(all[i]);
  return all[0];
}

constexpr Line kLines[] = {
    {"MatMul", 14, DrawMatMul},
    {"Gemm", 8, DrawGemm},
    {"MatMulInteger", 3, DrawMatMulInteger},
    {"QLinearMatMul", 3, DrawQLinearMatMul},
    {"Conv", 22, DrawConv},
    {"ConvTranspose", 6, DrawConvTranspose},
    {"ConvInteger", 3, DrawConvInteger},
    {"QLinearConv", 3, DrawQLinearConv},
    {"MaxPool", 6, DrawMaxPool},
    {"AveragePool", 5, DrawAveragePool},
    {"LpPool", 2, DrawLpPool},
    {"GlobalAveragePool", 3, Global},
    {"GlobalMaxPool", 2, Global},
    {"GlobalLpPool", 2, Global},
    {"QuantizeLinear", 4, DrawQuantize},
    {"DequantizeLinear", 4, DrawDequantize},
    {"DynamicQuantizeLinear", 2, DrawDynamicQuantize},
    {"LSTM", 3, Recurrent},
    {"GRU", 3, Recurrent},
    {"RNN", 2, Recurrent},
};

}  // namespace

absl::Span<const Line> ProductLines() { return kLines; }

}  // namespace sluice::random
