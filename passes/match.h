// Questions that rules ask about the values around a node. A rule reads as a row of early returns:
//
//   const Node* inner = ProducedBy(node.input(0), "Neg");
//   if (inner == nullptr) return nullptr;
#ifndef SLUICE_PASSES_MATCH_H_
#define SLUICE_PASSES_MATCH_H_

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "graph/graph.h"

namespace sluice {

// The producer where it is an `op`; null else (and for null).
Node* ProducedBy(const Value* value, absl::string_view op);

// The one node that reads `value`, once and in the same graph, where nothing else does and the
// value is not fetched; null else.
Node* OnlyUse(const Value& value);
// Why OnlyUse() is null, for reports: "its output is fetched", "3 nodes read its output".
std::string WhyNotOnlyUse(const Value& value);

// Both tensors of one dtype and equal extents, as far as inference can prove it.
bool SameType(const Value& a, const Value& b);
DType DTypeOf(const Value* value);  // kInvalid where absent, unknown or no tensor
std::optional<int> RankOf(const Value* value);

// The one element of a constant of numbers or bools, of any rank; empty else.
std::optional<double> ConstantScalar(const Value* value);
// All elements of such a constant; empty for other values and for none.
std::optional<std::vector<double>> ConstantDoubles(const Value* value);
std::optional<std::vector<double>> ToDoubles(const Tensor& tensor);
std::optional<std::vector<int64_t>> ConstantInts(const Value* value);
// A constant with at least one element, all equal to `x`.
bool IsFilledWith(const Value* value, double x);

// The numbers rounded to `dtype`, which is a float type.
absl::StatusOr<Tensor> FromDoubles(DType dtype, absl::Span<const int64_t> dims,
                                   absl::Span<const double> values);

// Reshape, Flatten, Squeeze or Unsqueeze: the same elements in the same order. False for null.
bool IsView(const Node* node);
// A shape for Reshape(from) that gives `to` whatever the symbols stand for: numbers, 0 where an
// extent is copied, at most one -1. Empty where there is none.
std::optional<std::vector<int64_t>> ShapeFor(const Value& from, const Type& to);
// Of a Transpose, its default written out. Empty where the rank is unknown.
std::optional<std::vector<int64_t>> Permutation(const Node& node);

// 2^-exponent <= |x| <= 2^exponent. What may go from one side of a product to the other must lie in
// such a range: the product could overflow without it.
bool IsModerate(double x, int exponent);
inline constexpr int kModerateScale = 12;   // of activations
inline constexpr int kModerateWeight = 40;  // into constant weights, where none may overflow

// Whether an attribute, which is an f32, holds the constant `x` of that type: an f64 may be
// rounded.
bool FitsAttribute(double x, DType dtype);

// A Mul or Div of a value by one constant of moderate size.
struct Scaling {
  Value* value;
  double factor;
};
std::optional<Scaling> ScalingOf(const Node& node);

}  // namespace sluice

#endif  // SLUICE_PASSES_MATCH_H_
