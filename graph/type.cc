#include "graph/type.h"

#include "absl/strings/str_cat.h"

namespace sluice {

Type Type::Tensor(DType dtype) {
  Type t;
  t.kind_ = TypeKind::kTensor;
  t.dtype_ = dtype;
  return t;
}

Type Type::Tensor(DType dtype, Shape shape, Layout layout) {
  Type t = Tensor(dtype);
  t.shape_ = std::move(shape);
  t.layout_ = layout;
  return t;
}

Type Type::Tensor(DType dtype, absl::Span<const int64_t> dims) {
  return Tensor(dtype, Shape(dims.begin(), dims.end()));
}

Type Type::Sequence(Type element) {
  Type t;
  t.kind_ = TypeKind::kSequence;
  t.element_ = std::make_shared<const Type>(std::move(element));
  return t;
}

Type Type::Optional(Type element) {
  Type t = Sequence(std::move(element));
  t.kind_ = TypeKind::kOptional;
  return t;
}

Type Type::Map(DType key, Type element) {
  Type t = Sequence(std::move(element));
  t.kind_ = TypeKind::kMap;
  t.dtype_ = key;
  return t;
}

const Shape& Type::NoShape() {
  static const Shape* const none = new Shape();
  return *none;
}

const Dim& Type::NoDim() {
  static const Dim* const unknown = new Dim(Dim::Unknown());
  return *unknown;
}

const Type& Type::NoType() {
  static const Type* const unknown = new Type();
  return *unknown;
}

bool Type::has_static_shape() const { return StaticDims().has_value(); }

std::optional<Dims> Type::StaticDims() const {
  if (!is_tensor() || !has_shape()) return std::nullopt;
  Dims dims;
  for (const Dim& d : *shape_) {
    if (!d.is_number() || d.number() < 0) return std::nullopt;
    dims.push_back(d.number());
  }
  return dims;
}

std::optional<Dim> Type::Elements() const {
  if (!is_tensor() || !has_shape()) return std::nullopt;
  Dim product(1);
  for (const Dim& d : *shape_) product = product * d;
  if (product.is_unknown()) return std::nullopt;
  return product;
}

bool operator==(const Type& a, const Type& b) {
  if (a.kind_ != b.kind_ || a.dtype_ != b.dtype_ || a.layout_ != b.layout_) return false;
  if (a.shape_.has_value() != b.shape_.has_value()) return false;
  if (a.shape_.has_value()) {
    if (a.shape_->size() != b.shape_->size()) return false;
    for (size_t i = 0; i < a.shape_->size(); ++i) {
      const Dim &x = (*a.shape_)[i], &y = (*b.shape_)[i];
      if (x != y && !(x.is_unknown() && y.is_unknown())) return false;
    }
  }
  if (a.element_ == nullptr || b.element_ == nullptr) return a.element_ == b.element_;
  return a.element_ == b.element_ || *a.element_ == *b.element_;
}

std::string Type::ToString() const {
  switch (kind_) {
    case TypeKind::kUnknown:
      return "?";
    case TypeKind::kSequence:
      return absl::StrCat("sequence<", element_->ToString(), ">");
    case TypeKind::kOptional:
      return absl::StrCat("optional<", element_->ToString(), ">");
    case TypeKind::kMap:
      return absl::StrCat("map<", sluice::ToString(dtype_), ",", element_->ToString(), ">");
    case TypeKind::kTensor:
      break;
  }
  const absl::string_view dtype = dtype_ == DType::kInvalid ? "?" : sluice::ToString(dtype_);
  if (!shape_.has_value()) return absl::StrCat(dtype, "[*]");
  static constexpr const char* kLayouts[] = {"", "@channels_last", "@blocked8", "@blocked16"};
  return absl::StrCat(dtype, ShapeToString(*shape_), kLayouts[static_cast<int>(layout_)]);
}

namespace {

absl::Status Contradiction(const Type& a, const Type& b) {
  return absl::InvalidArgumentError(absl::StrCat(a.ToString(), " contradicts ", b.ToString()));
}

// False where the two can never be one extent.
bool MergeDims(const Dim& a, const Dim& b, Dim* merged) {
  *merged = a.is_unknown() || (b.is_number() && !a.is_number()) ? b : a;
  return !ProvablyDifferent(a, b);
}

}  // namespace

absl::StatusOr<Type> MergeTypes(const Type& a, const Type& b) {
  if (a.is_unknown()) return b;
  if (b.is_unknown()) return a;
  if (a.kind() != b.kind()) return Contradiction(a, b);
  if (a.dtype() != b.dtype() && a.dtype() != DType::kInvalid && b.dtype() != DType::kInvalid) {
    return Contradiction(a, b);
  }
  const DType dtype = a.dtype() != DType::kInvalid ? a.dtype() : b.dtype();
  if (!a.is_tensor()) {
    absl::StatusOr<Type> element = MergeTypes(a.element(), b.element());
    if (!element.ok()) return Contradiction(a, b);
    if (a.kind() == TypeKind::kMap) return Type::Map(dtype, *std::move(element));
    return a.kind() == TypeKind::kSequence ? Type::Sequence(*std::move(element))
                                           : Type::Optional(*std::move(element));
  }
  if (!a.has_shape() && !b.has_shape()) return Type::Tensor(dtype);
  if (!b.has_shape()) return Type::Tensor(dtype, a.shape(), a.layout());
  if (!a.has_shape()) return Type::Tensor(dtype, b.shape(), b.layout());
  if (a.rank() != b.rank()) return Contradiction(a, b);
  // Inference says plain unless an op knows better: a layout that a pass has chosen stays.
  if (a.layout() != b.layout() && a.layout() != Layout::kPlain && b.layout() != Layout::kPlain) {
    return Contradiction(a, b);
  }
  Shape shape(static_cast<size_t>(a.rank()));
  for (int i = 0; i < a.rank(); ++i) {
    if (!MergeDims(a.dim(i), b.dim(i), &shape[static_cast<size_t>(i)])) return Contradiction(a, b);
  }
  return Type::Tensor(dtype, std::move(shape),
                      a.layout() != Layout::kPlain ? a.layout() : b.layout());
}

Type JoinTypes(const Type& a, const Type& b, const std::function<Dim()>& fresh_dim) {
  if (a.kind() != b.kind() || a.is_unknown()) return Type();
  if (!a.is_tensor()) {
    if (a.dtype() != b.dtype()) return Type();
    Type element = JoinTypes(a.element(), b.element(), fresh_dim);
    if (a.kind() == TypeKind::kMap) return Type::Map(a.dtype(), std::move(element));
    return a.kind() == TypeKind::kSequence ? Type::Sequence(std::move(element))
                                           : Type::Optional(std::move(element));
  }
  const DType dtype = a.dtype() == b.dtype() ? a.dtype() : DType::kInvalid;
  if (!a.has_shape() || !b.has_shape() || a.rank() != b.rank() || a.layout() != b.layout()) {
    return Type::Tensor(dtype);
  }
  Shape shape = a.shape();
  for (int i = 0; i < a.rank(); ++i) {
    if (a.dim(i) != b.dim(i))
      shape[static_cast<size_t>(i)] = fresh_dim ? fresh_dim() : Dim::Unknown();
  }
  return Type::Tensor(dtype, std::move(shape), a.layout());
}

}  // namespace sluice
