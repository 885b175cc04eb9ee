#include "passes/quantization.h"

#include <algorithm>
#include <cmath>

#include "passes/match.h"

namespace sluice {
namespace {

bool IsEightBit(const Value* v) { return DTypeOf(v) == DType::kI8 || DTypeOf(v) == DType::kU8; }

std::optional<QuantizedValue> Read(Node* node) {
  if (node->Int("block_size") != 0 || DTypeOf(node->input(1)) != DType::kF32 ||
      !node->control_inputs().empty() || !node->control_uses().empty()) {
    return std::nullopt;
  }
  const Type& scale = node->input(1)->type();
  if (!scale.is_tensor() || !scale.has_shape()) return std::nullopt;
  QuantizedValue v{node, node->input(0), node->input(1), node->input(2), node->Int("axis")};
  const std::optional<Dim> count = scale.Elements();
  v.per_tensor = scale.rank() == 0 || (count.has_value() && *count == Dim(1));
  return v;
}

}  // namespace

std::optional<QuantizedValue> ReadDequantize(const Value* value) {
  Node* node = ProducedBy(value, "DequantizeLinear");
  if (node == nullptr || !IsEightBit(node->input(0)) || DTypeOf(value) != DType::kF32) {
    return std::nullopt;
  }
  return Read(node);
}

std::optional<QuantizedValue> ReadQuantize(Node* node) {
  if (node == nullptr || !node->Is("QuantizeLinear") || !IsEightBit(node->output()) ||
      DTypeOf(node->input(0)) != DType::kF32) {
    return std::nullopt;
  }
  const DType precision = node->GetDType("precision");
  if (precision != DType::kInvalid && precision != DType::kF32) return std::nullopt;
  return Read(node);
}

std::optional<QuantizedRange> RangeOf(const QuantizedValue& v) {
  const std::optional<double> scale = ConstantScalar(v.scale);
  const std::optional<double> zero = v.zero == nullptr ? 0 : ConstantScalar(v.zero);
  if (!scale.has_value() || !zero.has_value() || !std::isnormal(static_cast<float>(*scale)) ||
      *scale <= 0) {
    return std::nullopt;
  }
  const bool is_signed =
      DTypeOf(v.node->Is("QuantizeLinear") ? v.node->output() : v.x) == DType::kI8;
  return QuantizedRange{static_cast<float>(*scale), static_cast<int64_t>(*zero),
                        is_signed ? -128 : 0, is_signed ? 127 : 255};
}

}  // namespace sluice
