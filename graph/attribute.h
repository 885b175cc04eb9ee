// Attribute: a compile-time parameter of a node. Subgraphs are no attributes: see Node::body().
#ifndef SLUICE_GRAPH_ATTRIBUTE_H_
#define SLUICE_GRAPH_ATTRIBUTE_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "graph/tensor.h"
#include "graph/type.h"

namespace sluice {

enum class AttrKind : uint8_t {
  kInt,
  kFloat,
  kString,
  kInts,
  kFloats,
  kStrings,
  kDType,
  kTensor,
  kType
};
absl::string_view ToString(AttrKind kind);

class Attribute {
 public:
  Attribute() : value_(int64_t{0}) {}
  Attribute(int v) : value_(int64_t{v}) {}                         // NOLINT: values are attributes
  Attribute(int64_t v) : value_(v) {}                              // NOLINT
  Attribute(float v) : value_(v) {}                                // NOLINT
  Attribute(double v) : value_(static_cast<float>(v)) {}           // NOLINT
  Attribute(const char* v) : value_(std::string(v ? v : "")) {}    // NOLINT
  Attribute(absl::string_view v) : value_(std::string(v)) {}       // NOLINT
  Attribute(std::string v) : value_(std::move(v)) {}               // NOLINT
  Attribute(std::vector<int64_t> v) : value_(std::move(v)) {}      // NOLINT
  Attribute(std::vector<float> v) : value_(std::move(v)) {}        // NOLINT
  Attribute(std::vector<std::string> v) : value_(std::move(v)) {}  // NOLINT
  Attribute(DType v) : value_(v) {}                                // NOLINT
  Attribute(Tensor v) : value_(std::move(v)) {}                    // NOLINT
  Attribute(Type v) : value_(std::move(v)) {}                      // NOLINT

  AttrKind kind() const { return static_cast<AttrKind>(value_.index()); }

  // The value where it is of that kind (the verifier has compared it with the op's declaration);
  // else 0, "", an empty list, kInvalid, no tensor, an unknown type.
  int64_t as_int() const { return Get<int64_t>(); }
  float as_float() const { return Get<float>(); }
  const std::string& as_string() const { return Get<std::string>(); }
  const std::vector<int64_t>& as_ints() const { return Get<std::vector<int64_t>>(); }
  const std::vector<float>& as_floats() const { return Get<std::vector<float>>(); }
  const std::vector<std::string>& as_strings() const { return Get<std::vector<std::string>>(); }
  DType as_dtype() const { return Get<DType>(); }
  const Tensor& as_tensor() const { return Get<Tensor>(); }
  const Type& as_type() const { return Get<Type>(); }

  // Floats compare by bits, so that NaN equals itself and 0 differs from -0.
  friend bool operator==(const Attribute& a, const Attribute& b);

 private:
  template <typename T>
  const T& Get() const {
    static const T* const none = new T();
    const T* value = std::get_if<T>(&value_);
    return value == nullptr ? *none : *value;
  }

  // In the order of AttrKind.
  std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
               std::vector<std::string>, DType, Tensor, Type>
      value_;
};

}  // namespace sluice

#endif  // SLUICE_GRAPH_ATTRIBUTE_H_
