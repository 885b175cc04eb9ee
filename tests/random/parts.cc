#include "tests/random/parts.h"

#include <algorithm>

namespace sluice::random {

std::vector<std::string> NamesIn(const Graph& graph) {
  std::vector<std::string> names;
  for (const auto& node : graph.nodes()) {
    for (size_t i = 0; i < node->num_outputs(); ++i) names.push_back(node->output(i)->name());
    for (const auto& [name, body] : node->bodies()) {
      const std::vector<std::string> inside = NamesIn(*body);
      names.insert(names.end(), inside.begin(), inside.end());
    }
  }
  return names;
}

Value* Image(Maker& m, DTypeSet dtypes, int64_t multiple_of) {
  Random& r = m.random();
  if (r.Chance(60)) {
    Value* v = m.Pick([&](const Value* v) {
      if (v->type().rank() < 3 || v->type().rank() > 5 || !dtypes.Contains(v->type().dtype()))
        return false;
      const Dim& c = v->type().dim(1);
      if (!c.is_number() || c.number() < 1 || c.number() % multiple_of != 0) return false;
      return std::all_of(v->type().shape().begin(), v->type().shape().end(),
                         [&](const Dim& d) { return m.Least(d).value_or(0) > 0; });
    });
    if (v != nullptr) return v;
  }
  const int64_t spatial = r.Of<int64_t>({1, 1, 2, 2, 2, 2, 3});
  const int64_t channels = multiple_of * r.Of<int64_t>({1, 1, 2, 3, 4, 8, 16});
  Shape shape = {r.Chance(30) ? m.AnyDim() : Dim(r.Of<int64_t>({1, 1, 2})), channels};
  for (int64_t i = 0; i < spatial; ++i) {
    shape.push_back(r.Chance(25)
                        ? m.AnyDim()
                        : Dim(r.Of<int64_t>({1, 1, 2, 2, 3, 4, 5, 7, 8, spatial == 3 ? 4 : 12})));
  }
  if (spatial == 2 && r.Chance(12))
    shape = {shape[0], Dim(16 * r.Between(1, 2)), Dim(12), Dim(r.Of<int64_t>({10, 12, 14}))};
  std::erase_if(shape, [&](const Dim& d) { return m.Least(d).value_or(0) == 0; });
  if (shape.size() < 3) return nullptr;
  if (!shape[1].is_number()) return nullptr;
  Value* v = m.Input(m.AnyDType(dtypes), shape);
  m.Add(v);
  return v;
}

std::vector<int64_t> Kernel(Maker& m, const Value* x) {
  std::vector<int64_t> kernel;
  const bool threes = m.random().Chance(35), ones = m.random().Chance(15);
  for (int64_t axis = 2; axis < RankOf(x); ++axis) {
    kernel.push_back(ones ? 1 : threes ? 3 : m.random().Of<int64_t>({1, 2, 3, 3, 4, 5}));
  }
  return kernel;
}

AttrList Window(Maker& m, const Value* x, const std::vector<int64_t>& kernel, bool pool) {
  Random& r = m.random();
  const auto axes = static_cast<int64_t>(kernel.size());
  std::vector<int64_t> strides(kernel.size(), 1), dilations(kernel.size(), 1),
      pads(kernel.size() * 2, 0);
  const bool plain = r.Chance(35);
  const bool same = r.Chance(25);
  for (int64_t i = 0; i < axes; ++i) {
    const int64_t n = m.Least(DimOf(x, i + 2)).value_or(0);
    if (n < 1) return {};
    if (!plain) strides[i] = r.Of<int64_t>({1, 1, 2, 3});
    if (!plain && r.Chance(15)) dilations[i] = 2;
    const int64_t span = (kernel[i] - 1) * dilations[i] + 1;
    const int64_t most = pool ? kernel[i] - 1 : std::min<int64_t>(span, 4);
    for (int64_t side : {i, i + axes}) {
      if (r.Chance(50)) pads[side] = r.Between(0, most);
      if (same) pads[side] = std::min(most, (span - 1) / 2);
    }
    while (n + pads[i] + pads[i + axes] < span) {
      if (pads[i] < most)
        ++pads[i];
      else if (pads[i + axes] < most)
        ++pads[i + axes];
      else
        return {};
    }
  }
  AttrList attrs;
  if (pool || r.Chance(50)) attrs.push_back({"kernel_shape", kernel});
  if (!plain || r.Chance(20)) attrs.push_back({"strides", strides});
  if (std::any_of(dilations.begin(), dilations.end(), [](int64_t d) { return d > 1; }))
    attrs.push_back({"dilations", dilations});
  if (r.Chance(8)) {
    attrs.push_back({"auto_pad", r.Of<const char*>({"SAME_UPPER", "SAME_LOWER"})});
  } else {
    attrs.push_back({"pads", pads});
  }
  return attrs;
}

Value* ConvOf(Maker& m, Value* x, const std::string& op, const AttrList& more,
              const std::vector<Value*>& operands) {
  if (x == nullptr) return nullptr;
  Random& r = m.random();
  const std::vector<int64_t> kernel = Kernel(m, x);
  AttrList attrs = Window(m, x, kernel, false);
  if (attrs.empty()) return nullptr;
  const bool transposed = op == "ConvTranspose" || op == "FusedConvTranspose";
  const int64_t in = DimOf(x, 1).number();
  std::vector<int64_t> groups = {1, 1, 1, 1};
  for (int64_t g : {2, 3, 4, 8, 16}) {
    if (in % g == 0) groups.push_back(g);
  }
  const int64_t group = r.Chance(15) ? in : r.Of(groups);
  const int64_t out = group * r.Of<int64_t>({1, 1, 2, 3, group == 1 ? 8 : 4, group == 1 ? 16 : 1});
  if (group > 1 || r.Chance(20)) attrs.push_back({"group", group});
  Dims dims = transposed ? Dims{in, out / group} : Dims{out, in / group};
  dims.insert(dims.end(), kernel.begin(), kernel.end());
  attrs.insert(attrs.end(), more.begin(), more.end());
  const DType d = x->type().dtype();
  Value* bias = r.Chance(50) ? m.Weight(d, {out}) : nullptr;
  std::vector<Value*> inputs = {x, m.Weight(d, dims, r.Of({0.2, 1.0})), bias};
  inputs.insert(inputs.end(), operands.begin(), operands.end());
  return m.Op(op, inputs, attrs);
}

Value* PoolOf(Maker& m, Value* x, const std::string& op, const AttrList& more,
              const std::vector<Value*>& operands) {
  if (x == nullptr) return nullptr;
  AttrList attrs = Window(m, x, Kernel(m, x), true);
  if (attrs.empty()) return nullptr;
  if (m.random().Chance(20)) attrs.push_back({"ceil_mode", 1});
  attrs.insert(attrs.end(), more.begin(), more.end());
  std::vector<Value*> inputs = {x};
  inputs.insert(inputs.end(), operands.begin(), operands.end());
  return m.Op(op, inputs, attrs);
}

Value* MatMulOf(Maker& m, Value* x) {
  if (x == nullptr || RankOf(x) < 1) return nullptr;
  Random& r = m.random();
  const DType d = x->type().dtype();
  const Dim& k = DimOf(x, RankOf(x) - 1);
  if (!k.is_number()) return m.Op("MatMul", {x, m.Like(d, {k, m.AnyDim()})});
  const int64_t n = r.Of<int64_t>({1, 2, 3, 4, 5, 8, 16, 17});
  if (r.Chance(12)) {  // one matrix a batch
    Shape shape(x->type().shape().begin(), x->type().shape().end() - 1);
    if (!shape.empty()) shape.pop_back();
    shape.push_back(k);
    shape.push_back(n);
    return m.Op("MatMul", {x, m.Like(d, shape)});
  }
  return m.Op("MatMul", {x, m.Weight(d, {k.number(), n}, r.Of({0.3, 1.0}))});
}

Value* CheapStep(Maker& m, Value* x) {
  if (x == nullptr) return nullptr;
  Random& r = m.random();
  const DType d = x->type().dtype();
  const int64_t kind = r.Below(22);
  static constexpr const char* kUnary[] = {"Relu",      "Relu", "Relu",     "Sigmoid",   "Tanh",
                                           "HardSwish", "Abs",  "Softplus", "LeakyRelu", "Elu",
                                           "Gelu",      "Exp",  "Neg",      "Sqrt"};
  if (kind < 14) return m.Op(kUnary[kind], {x});
  if (kind == 14) {
    const auto [low, high] = r.Of<std::pair<double, double>>({{0, 6}, {0, 6}, {-1, 1}, {0.1, 0.7}});
    return m.Op("Clip", {x, m.Scalar(d, low), m.Scalar(d, high)});
  }
  if (kind == 15) return m.Op("Mul", {x, m.Op("Sigmoid", {x})});
  const std::string op =
      r.Of<const char*>({"Add", "Add", "Add", "Mul", "Mul", "Sub", "Div", "Max", "Min"});
  // A number, one a channel or column, or a whole residual.
  Value* y = nullptr;
  switch (r.Below(4)) {
    case 0:
      y = m.Scalar(d, r.Of({0.5, 2.0, 1.0, 0.0, -1.0, 0.125, 0.1}));
      break;
    case 1:
      if (RankOf(x) > 2 && DimOf(x, 1).is_number() && m.Least(DimOf(x, 1)).value_or(0) > 0) {
        Dims dims(static_cast<size_t>(RankOf(x) - 1), 1);
        dims[0] = DimOf(x, 1).number();
        y = m.Weight(d, dims);
        break;
      }
      [[fallthrough]];
    case 2:
      if (RankOf(x) > 0 && DimOf(x, RankOf(x) - 1).is_number()) {
        y = m.Weight(d, {DimOf(x, RankOf(x) - 1).number()});
        break;
      }
      [[fallthrough]];
    default:
      y = m.Broadcasting(x, /*stretches=*/false);
  }
  const bool swapped = r.Chance(25);
  return m.Op(op, {swapped ? y : x, swapped ? x : y});
}

Value* Cheap(Maker& m, Value* x, int most) {
  for (int64_t i = m.random().Between(1, most); i > 0 && x != nullptr; --i) {
    if (m.random().Chance(12)) m.Add(x);  // somebody else may read it
    x = CheapStep(m, x);
  }
  return x;
}

Value* ThereAndBack(Maker& m, Value* x) {
  Value* y = m.Op("Mul", {x, m.Scalar(DType::kF16, 60000)});
  return m.Op("Mul", {y, m.Scalar(DType::kF16, 0.001)});
}

Quantizer AnyQuantizer(Maker& m, bool with_zero) {
  Random& r = m.random();
  Quantizer q;
  q.scale = m.Scalar(DType::kF32, r.Of({0.25, 0.125, 0.1, 0.02, 0.5}));
  const DType dtype = r.Of({DType::kU8, DType::kI8});
  if (with_zero || r.Chance(70))
    q.zero = m.Scalar(dtype, r.Chance(50) ? 0 : r.Of({3.0, 64.0, 100.0}));
  return q;
}

Value* Quantize(Maker& m, Value* x, const Quantizer& q) {
  if (x == nullptr || x->type().dtype() != DType::kF32) return nullptr;
  if (m.program().regime != Regime::kTame) x = m.Tamed(x, -1000, 1000);
  return m.Op("QuantizeLinear", {x, q.scale, q.zero});
}

Value* Dequantize(Maker& m, Value* x, const Quantizer& q) {
  return m.Op("DequantizeLinear", {x, q.scale, q.zero});
}

Value* QuantizedWeight(Maker& m, const Dims& dims, int64_t axis) {
  Random& r = m.random();
  const DType dtype = r.Chance(75) ? DType::kI8 : DType::kU8;
  const double low = dtype == DType::kI8 ? -100 : 0;
  Value* w = m.Constant(*Tensor::Random(
      dtype, dims, {.seed = static_cast<uint64_t>(r.Below(1000)), .scale = 200, .offset = low}));
  if (r.Chance(50)) {
    Tensor scales = *Tensor::Random(
        DType::kF32, {dims[static_cast<size_t>(axis)]},
        {.seed = static_cast<uint64_t>(r.Below(1000)), .scale = 0.01, .offset = 0.02});
    return m.Op("DequantizeLinear", {w, m.Constant(scales)}, {{"axis", axis}});
  }
  Value* zero =
      r.Chance(40) ? m.Scalar(dtype, dtype == DType::kU8 ? 100 : r.Of({0.0, 2.0})) : nullptr;
  return m.Op("DequantizeLinear", {w, m.Scalar(DType::kF32, 0.02), zero});
}

}  // namespace sluice::random
