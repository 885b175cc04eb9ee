// Type: what is known of a value: a tensor, a sequence, an optional or a map.
#ifndef SLUICE_GRAPH_TYPE_H_
#define SLUICE_GRAPH_TYPE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "graph/dim.h"
#include "graph/dtype.h"
#include "graph/tensor.h"

namespace sluice {

enum class TypeKind : uint8_t { kUnknown, kTensor, kSequence, kOptional, kMap };

// How a tensor's elements lie in memory. Plain is row-major; the others are chosen by the layout
// pass for [N,C,...] tensors; padding lanes of blocked forms are zero.
enum class Layout : uint8_t { kPlain, kChannelsLast, kBlocked8, kBlocked16 };

class Type {
 public:
  Type() = default;                 // nothing is known yet
  static Type Tensor(DType dtype);  // rank unknown
  static Type Tensor(DType dtype, Shape shape, Layout layout = Layout::kPlain);
  static Type Tensor(DType dtype, absl::Span<const int64_t> dims);
  static Type Of(const sluice::Tensor& tensor) { return Tensor(tensor.dtype(), tensor.dims()); }
  static Type Sequence(Type element);
  static Type Optional(Type element);
  static Type Map(DType key, Type element);

  TypeKind kind() const { return kind_; }
  bool is_unknown() const { return kind_ == TypeKind::kUnknown; }
  bool is_tensor() const { return kind_ == TypeKind::kTensor; }

  DType dtype() const { return dtype_; }  // of a tensor; the key's of a map
  bool has_shape() const { return shape_.has_value(); }
  // Of a tensor whose has_shape(): without one, no extents. dim(i) is for 0 <= i < rank();
  // others are unknown.
  const Shape& shape() const { return shape_.has_value() ? *shape_ : NoShape(); }
  int rank() const { return static_cast<int>(shape().size()); }
  const Dim& dim(int i) const { return i >= 0 && i < rank() ? (*shape_)[i] : NoDim(); }
  Layout layout() const { return layout_; }
  // Of a sequence, optional or map; an unknown type of others.
  const Type& element() const { return element_ != nullptr ? *element_ : NoType(); }

  bool has_static_shape() const;  // a tensor whose every extent is a number
  std::optional<Dims> StaticDims() const;
  std::optional<Dim> Elements() const;  // product of extents where the shape is known

  // Equal as descriptions: an Unknown extent equals itself here.
  friend bool operator==(const Type& a, const Type& b);

  // "f32[batch,784]", "f32[*]" (rank unknown), "f32[8,64]@channels_last", "sequence<f32[?]>",
  // "optional<...>", "map<i64,f32[*]>", "?[2,3]" (dtype unknown), "?" (nothing known).
  std::string ToString() const;
  static absl::StatusOr<Type> Parse(absl::string_view text);

 private:
  static const Shape& NoShape();
  static const Dim& NoDim();
  static const Type& NoType();

  TypeKind kind_ = TypeKind::kUnknown;
  DType dtype_ = DType::kInvalid;
  Layout layout_ = Layout::kPlain;
  std::optional<Shape> shape_;
  std::shared_ptr<const Type> element_;
};

// What is known from either of two descriptions of one value (a declared and an inferred type,
// say). InvalidArgument where they contradict each other. A number wins over an expression; else
// `a` wins.
absl::StatusOr<Type> MergeTypes(const Type& a, const Type& b);

// What holds for both: the type of a value that is one or the other (If's results).
Type JoinTypes(const Type& a, const Type& b, const std::function<Dim()>& fresh_dim);

}  // namespace sluice

#endif  // SLUICE_GRAPH_TYPE_H_
