// What lines and patterns share: windows, products, chains of cheap ops.
#ifndef SLUICE_TESTS_RANDOM_PARTS_H_
#define SLUICE_TESTS_RANDOM_PARTS_H_

#include <string>
#include <vector>

#include "tests/random/maker.h"

namespace sluice::random {

inline int64_t RankOf(const Value* v) { return v->type().rank(); }
inline const Dim& DimOf(const Value* v, int64_t axis) {
  return v->type().dim(static_cast<int>(axis));
}

// Of all values that nodes make, in bodies as well.
std::vector<std::string> NamesIn(const Graph& graph);

// An image [batch, channels, ...] of 1 to 3 spatial axes, its channels a number. Narrow ones are
// as likely as wide ones.
Value* Image(Maker& m, DTypeSet dtypes, int64_t multiple_of = 1);

// Kernel, strides, dilations and pads that fit `x`; empty where none does. Windows of a pool see at
// least one element.
AttrList Window(Maker& m, const Value* x, const std::vector<int64_t>& kernel, bool pool);
std::vector<int64_t> Kernel(Maker& m, const Value* x);

// A Conv or ConvTranspose of `x` with weights of its own; `op` may be one of the fused forms.
Value* ConvOf(Maker& m, Value* x, const std::string& op = "Conv", const AttrList& more = {},
              const std::vector<Value*>& operands = {});
Value* PoolOf(Maker& m, Value* x, const std::string& op, const AttrList& more = {},
              const std::vector<Value*>& operands = {});
// x times a weight of its own.
Value* MatMulOf(Maker& m, Value* x);

// One to `most` cheap ops behind x: activations, and arithmetic with operands that do not enlarge
// it.
Value* Cheap(Maker& m, Value* x, int most = 3);
Value* CheapStep(Maker& m, Value* x);

// f16 x by a factor that takes it out of range, and by one that takes it back.
Value* ThereAndBack(Maker& m, Value* x);

// f32 x as 8-bit integers and back, with one scale and zero point.
struct Quantizer {
  Value *scale = nullptr, *zero = nullptr;
};
Quantizer AnyQuantizer(Maker& m, bool with_zero = true);
Value* Quantize(Maker& m, Value* x, const Quantizer& q);
Value* Dequantize(Maker& m, Value* x, const Quantizer& q);
// Constant 8-bit weights, dequantized: one scale, or one along `axis`.
Value* QuantizedWeight(Maker& m, const Dims& dims, int64_t axis);

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_PARTS_H_
