// Questions about quantized values that passes ask.
#ifndef SLUICE_PASSES_QUANTIZATION_H_
#define SLUICE_PASSES_QUANTIZATION_H_

#include <optional>

#include "graph/graph.h"

namespace sluice {

// A float tensor and the 8-bit one that it stands for: a DequantizeLinear to f32, or a
// QuantizeLinear of f32, without blocks.
struct QuantizedValue {
  Node* node = nullptr;  // the DequantizeLinear or QuantizeLinear
  Value* x = nullptr;    // the node's input
  Value* scale = nullptr;
  Value* zero = nullptr;  // null: 0
  int64_t axis = 0;       // of the scales where there are several, as written
  bool per_tensor = false;
};

std::optional<QuantizedValue> ReadDequantize(const Value* value);
std::optional<QuantizedValue> ReadQuantize(Node* node);

// One constant positive scale and a constant zero point: what the rounding of such a tensor is.
struct QuantizedRange {
  float scale = 1;
  int64_t zero = 0, low = 0, high = 0;  // the 8-bit type's bounds
  friend bool operator==(const QuantizedRange&, const QuantizedRange&) = default;
};
std::optional<QuantizedRange> RangeOf(const QuantizedValue& value);

}  // namespace sluice

#endif  // SLUICE_PASSES_QUANTIZATION_H_
