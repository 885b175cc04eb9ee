// Ops of our own domain, as passes make them, and the attention family.
#include <algorithm>

#include "ops/op.h"
#include "tests/random/lines.h"
#include "tests/random/parts.h"

namespace sluice::random {
namespace {

// Steps of a fused op: names, their parameters, and operands of `shape` for the binary ones.
struct Steps {
  AttrList attrs;
  std::vector<Value*> operands;
};

Steps AnySteps(Maker& m, DType dtype, int64_t last) {
  std::vector<std::string> names;
  std::vector<float> params;
  Steps steps;
  for (int64_t i = m.random().Between(1, 3); i > 0; --i) {
    switch (m.random().Below(6)) {
      case 0:
        names.push_back("LeakyRelu");
        params.push_back(0.1f);
        break;
      case 1:
        names.push_back("Clip");
        params.insert(params.end(), {0.0f, 6.0f});
        break;
      case 2:
      case 3:
        names.push_back(m.random().Of<const char*>({"Add", "Mul", "Sub", "Max"}));
        steps.operands.push_back(last > 0 ? m.Weight(dtype, {last}) : m.Scalar(dtype, 0.5));
        break;
      default:
        names.push_back(m.random().Of<const char*>({"Relu", "Sigmoid", "Tanh", "Abs", "Exp"}));
    }
  }
  steps.attrs = {{"activations", names}, {"activation_params", params}};
  return steps;
}

Value* DrawFusedMatMul(Maker& m, const std::string& op) {
  Value* a = m.Operand(DTypeSet{DType::kF32}, 2, 3);
  const bool trans_a = m.random().Chance(20), trans_b = m.random().Chance(30);
  const Dim& k = DimOf(a, RankOf(a) - (trans_a ? 2 : 1));
  if (!k.is_number()) return nullptr;
  const int64_t n = m.random().Of<int64_t>({1, 3, 8, 16});
  Steps steps = AnySteps(m, DType::kF32, n);
  std::vector<Value*> inputs = {
      a, m.Weight(DType::kF32, trans_b ? Dims{n, k.number()} : Dims{k.number(), n}),
      m.random().Chance(50) ? m.Weight(DType::kF32, {n}) : nullptr};
  inputs.insert(inputs.end(), steps.operands.begin(), steps.operands.end());
  steps.attrs.push_back({"transpose_a", trans_a});
  steps.attrs.push_back({"transpose_b", trans_b});
  if (m.random().Chance(30)) steps.attrs.push_back({"alpha", 0.5f});
  return m.Op(op, inputs, steps.attrs);
}

Value* DrawFusedConv(Maker& m, const std::string& op) {
  const Steps steps = AnySteps(m, DType::kF32, 0);
  return ConvOf(m, Image(m, DTypeSet{DType::kF32}), op, steps.attrs, steps.operands);
}

Value* DrawFusedPool(Maker& m, const std::string& op) {
  const Steps steps = AnySteps(m, DType::kF32, 0);
  return PoolOf(m, Image(m, DTypeSet{DType::kF32}), op, steps.attrs, steps.operands);
}

Value* DrawQuantizedMatMul(Maker& m, const std::string& op) {
  Value* x = m.Operand(DTypeSet{DType::kI8, DType::kU8}, 2, 3);
  const Dim& k = DimOf(x, RankOf(x) - 1);
  if (!k.is_number()) return nullptr;
  const int64_t n = m.random().Between(1, 8);
  Steps steps = AnySteps(m, DType::kF32, n);
  Value* scale = m.Scalar(DType::kF32, 0.05);
  std::vector<Value*> inputs = {
      x,       scale,   nullptr, m.Weight(DType::kI8, {k.number(), n}, 100), scale, nullptr,
      nullptr, nullptr, nullptr};
  if (m.random().Chance(60))
    inputs[6] = m.Scalar(DType::kF32, 0.25), inputs[7] = m.Scalar(DType::kU8, 3);
  inputs.insert(inputs.end(), steps.operands.begin(), steps.operands.end());
  return m.Op(op, inputs, steps.attrs);
}

Value* DrawQuantizedConv(Maker& m, const std::string& op) {
  Value* x = Image(m, DTypeSet{DType::kI8, DType::kU8});
  if (x == nullptr) return nullptr;
  const std::vector<int64_t> kernel = Kernel(m, x);
  AttrList attrs = Window(m, x, kernel, false);
  if (attrs.empty()) return nullptr;
  Dims dims = {m.random().Of<int64_t>({1, 4, 8}), DimOf(x, 1).number()};
  dims.insert(dims.end(), kernel.begin(), kernel.end());
  Steps steps = AnySteps(m, DType::kF32, 0);
  Value* scale = m.Scalar(DType::kF32, 0.05);
  std::vector<Value*> inputs = {x,      scale,   nullptr, m.Weight(DType::kI8, dims, 100),
                                scale,  nullptr, nullptr, nullptr,
                                nullptr};
  if (m.random().Chance(60))
    inputs[6] = m.Scalar(DType::kF32, 0.25), inputs[7] = m.Scalar(DType::kU8, 3);
  inputs.insert(inputs.end(), steps.operands.begin(), steps.operands.end());
  attrs.insert(attrs.end(), steps.attrs.begin(), steps.attrs.end());
  return m.Op(op, inputs, attrs);
}

// A body of cheap ops over inputs of one shape.
Value* DrawFusedLoop(Maker& m, const std::string& op) {
  Value* x = m.Operand(DTypeSet{DType::kF32}, 1, 4);
  Value* y = m.Broadcasting(x, /*stretches=*/false);
  if (y == nullptr) return nullptr;
  GraphBuilder b(m.graph());
  Node* node = b.RawOp(op, std::vector<Value*>{x, y}, 1);
  if (node == nullptr) return nullptr;
  Graph* body = node->AddBody("body");
  GraphBuilder inner(body);
  Value* p = body->AddInput(m.FreshName("p"), x->type());
  Value* q = body->AddInput(m.FreshName("q"), y->type());
  Value* z = inner.Op(m.random().Of<const char*>({"Add", "Mul", "Sub"}), {p, q});
  for (int64_t i = m.random().Between(0, 3); i > 0; --i)
    z = inner.Op(m.random().Of<const char*>({"Relu", "Tanh", "Exp", "Abs", "Sigmoid", "Neg"}), {z});
  if (m.random().Chance(40)) z = inner.Op("Softmax", {z});
  inner.Output(z);
  b.Finish(node);
  if (inner.status().ok() && b.status().ok()) return node->output();
  m.graph()->EraseNode(node);
  return nullptr;
}

// Channels last between two reorders.
Value* DrawReorder(Maker& m, const std::string& op) {
  Value* x = m.KnownOperand(DTypeSet{DType::kF32}, 3, 5);
  Value* y = m.Op(op, {x}, {{"layout", "channels_last"}});
  if (y == nullptr) return nullptr;
  for (int64_t i = m.random().Below(3); i > 0 && y != nullptr; --i)
    y = m.Op(m.random().Of<const char*>({"Relu", "Tanh", "Abs"}), {y});
  return m.Op(op, {y}, {{"layout", "plain"}});
}

Value* DrawFusedAttention(Maker& m, const std::string& op) {
  Random& r = m.random();
  const Dim batch = m.AnyDim(), queries = m.AnyDim(), keys = m.AnyDim();
  if (m.Least(keys).value_or(0) == 0) return nullptr;
  const int64_t kv = r.Of<int64_t>({1, 2}), heads = kv * r.Of<int64_t>({1, 2}),
                size = r.Of<int64_t>({1, 2, 4, 8});
  const DType d = r.Chance(85) ? DType::kF32 : DType::kF16;
  Value* mask = r.Chance(50) ? nullptr
                             : m.Broadcasting(r.Chance(50) ? DType::kBool : d,
                                              {batch, heads, queries, keys}, false);
  if (mask != nullptr && RankOf(mask) < 2) mask = nullptr;
  return m.Op(op,
              {m.Like(d, {batch, heads, queries, size}), m.Like(d, {batch, kv, keys, size}),
               m.Like(d, {batch, kv, keys, size}), mask},
              {{"is_causal", r.Chance(25)}, {"scale", r.Of({0.5f, 1.0f})}});
}

Value* DrawAttention(Maker& m, const std::string& op) {
  Random& r = m.random();
  const Dim batch = m.AnyDim(), queries = m.AnyDim(), keys = r.Chance(50) ? queries : m.AnyDim();
  if (m.Least(keys).value_or(0) == 0) return nullptr;
  const int64_t kv = r.Of<int64_t>({1, 2}), heads = kv * r.Of<int64_t>({1, 2}),
                size = r.Of<int64_t>({2, 4, 8});
  const DType d = r.Chance(80) ? DType::kF32 : r.Of({DType::kF16, DType::kF64});
  AttrList attrs = {{"is_causal", r.Chance(30)}};
  if (r.Chance(30)) attrs.push_back({"scale", 0.5f});
  if (r.Chance(15)) attrs.push_back({"softcap", 2.0f});
  Value *q, *k, *v;
  if (r.Chance(40)) {
    q = m.Like(d, {batch, queries, heads * size});
    k = m.Like(d, {batch, keys, kv * size});
    v = m.Like(d, {batch, keys, kv * size});
    attrs.push_back({"q_num_heads", heads});
    attrs.push_back({"kv_num_heads", kv});
  } else {
    q = m.Like(d, {batch, heads, queries, size});
    k = m.Like(d, {batch, kv, keys, size});
    v = m.Like(d, {batch, kv, keys, size});
  }
  Value* mask = r.Chance(50) ? nullptr
                             : m.Broadcasting(r.Chance(50) ? DType::kBool : d,
                                              {batch, heads, queries, keys}, false);
  if (mask != nullptr && RankOf(mask) < 2) mask = nullptr;
  return m.Op(op, {q, k, v, mask}, attrs);
}

Value* DrawRotary(Maker& m, const std::string& op) {
  Random& r = m.random();
  const int64_t heads = r.Between(1, 3), size = 2 * r.Between(1, 4);
  const Dim batch = m.AnyDim(), length = m.AnyDim();
  if (m.Least(length).value_or(0) == 0) return nullptr;
  const DType d = r.Chance(85) ? DType::kF32 : DType::kF16;
  AttrList attrs = {{"interleaved", r.Of({0, 1})}};
  const bool flat = r.Chance(40);
  if (flat) attrs.push_back({"num_heads", heads});
  Value* x =
      flat ? m.Like(d, {batch, length, heads * size}) : m.Like(d, {batch, heads, length, size});
  if (r.Chance(50))
    return m.Op(op, {x, m.Like(d, {batch, length, size / 2}), m.Like(d, {batch, length, size / 2})},
                attrs);
  return m.Op(op,
              {x, m.Like(d, {8, size / 2}), m.Like(d, {8, size / 2}),
               m.Input(DType::kI64, {batch, length}, 0, 8)},
              attrs);
}

constexpr Line kLines[] = {
    {"FusedMatMul", 3, DrawFusedMatMul},
    {"FusedConv", 3, DrawFusedConv},
    {"FusedConvTranspose", 2, DrawFusedConv},
    {"FusedMaxPool", 2, DrawFusedPool},
    {"FusedAveragePool", 2, DrawFusedPool},
    {"QuantizedMatMul", 2, DrawQuantizedMatMul},
    {"QuantizedConv", 2, DrawQuantizedConv},
    {"FusedLoop", 3, DrawFusedLoop},
    {"Reorder", 2, DrawReorder},
    {"FusedAttention", 3, DrawFusedAttention},
    {"Attention", 4, DrawAttention},
    {"RotaryEmbedding", 2, DrawRotary},
};

}  // namespace

absl::Span<const Line> FusedLines() { return kLines; }

}  // namespace sluice::random
