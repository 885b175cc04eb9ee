// Element types of tensors.
#ifndef SLUICE_GRAPH_DTYPE_H_
#define SLUICE_GRAPH_DTYPE_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "base/float16.h"

namespace sluice {

// The numbers are part of the wire format (proto/graph.proto): never reuse one. Room is left for
// complex and for 8-, 4- and 2-bit types.
enum class DType : uint8_t {
  kInvalid = 0,
  kF64 = 1,
  kF32 = 2,
  kF16 = 3,
  kBF16 = 4,
  kI64 = 8,
  kI32 = 9,
  kI16 = 10,
  kI8 = 11,
  kU64 = 16,
  kU32 = 17,
  kU16 = 18,
  kU8 = 19,
  kBool = 24,
  kString = 25,
};

// Bytes of one element; of a std::string object for kString; 0 for kInvalid.
constexpr size_t ByteSize(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
    case DType::kU64:
      return 8;
    case DType::kF32:
    case DType::kI32:
    case DType::kU32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16:
    case DType::kU16:
      return 2;
    case DType::kI8:
    case DType::kU8:
    case DType::kBool:
      return 1;
    case DType::kString:
      return sizeof(std::string);
    default:
      return 0;
  }
}

// "f32", "i64", "bool", "string", ...: the names of the text form.
absl::string_view ToString(DType dtype);
std::optional<DType> ParseDType(absl::string_view name);

constexpr bool IsFloat(DType d) { return d >= DType::kF64 && d <= DType::kBF16; }
constexpr bool IsSignedInt(DType d) { return d >= DType::kI64 && d <= DType::kI8; }
constexpr bool IsUnsignedInt(DType d) { return d >= DType::kU64 && d <= DType::kU8; }
constexpr bool IsInt(DType d) { return IsSignedInt(d) || IsUnsignedInt(d); }
constexpr bool IsNumeric(DType d) { return IsFloat(d) || IsInt(d); }

// A set of dtypes: the constraint of an op's type variable.
class DTypeSet {
 public:
  constexpr DTypeSet() = default;
  constexpr DTypeSet(std::initializer_list<DType> dtypes) {
    for (DType d : dtypes) bits_ |= Bit(d);
  }
  constexpr bool Contains(DType d) const { return (bits_ & Bit(d)) != 0; }
  constexpr DTypeSet operator|(DTypeSet other) const {
    other.bits_ |= bits_;
    return other;
  }
  constexpr bool empty() const { return bits_ == 0; }
  std::string ToString() const;  // "f32, f16"

 private:
  static constexpr uint64_t Bit(DType d) { return uint64_t{1} << static_cast<int>(d); }
  uint64_t bits_ = 0;
};

inline constexpr DTypeSet kFloatTypes = {DType::kF64, DType::kF32, DType::kF16, DType::kBF16};
inline constexpr DTypeSet kSignedTypes = {DType::kI64, DType::kI32, DType::kI16, DType::kI8};
inline constexpr DTypeSet kUnsignedTypes = {DType::kU64, DType::kU32, DType::kU16, DType::kU8};
inline constexpr DTypeSet kIntTypes = kSignedTypes | kUnsignedTypes;
inline constexpr DTypeSet kNumericTypes = kFloatTypes | kIntTypes;
inline constexpr DTypeSet kIndexTypes = {DType::kI64, DType::kI32};
inline constexpr DTypeSet kBoolType = {DType::kBool};
inline constexpr DTypeSet kStringType = {DType::kString};
inline constexpr DTypeSet kAllTypes = kNumericTypes | kBoolType | kStringType;

// The C++ type of a dtype's elements.
template <DType>
struct CppTypeOf;
template <typename T>
struct DTypeOfImpl;

#define SLUICE_DTYPE(dtype_, cpp)          \
  template <>                              \
  struct CppTypeOf<dtype_> {               \
    using type = cpp;                      \
  };                                       \
  template <>                              \
  struct DTypeOfImpl<cpp> {                \
    static constexpr DType value = dtype_; \
  };
SLUICE_DTYPE(DType::kF64, double)
SLUICE_DTYPE(DType::kF32, float)
SLUICE_DTYPE(DType::kF16, Float16)
SLUICE_DTYPE(DType::kBF16, BFloat16)
SLUICE_DTYPE(DType::kI64, int64_t)
SLUICE_DTYPE(DType::kI32, int32_t)
SLUICE_DTYPE(DType::kI16, int16_t)
SLUICE_DTYPE(DType::kI8, int8_t)
SLUICE_DTYPE(DType::kU64, uint64_t)
SLUICE_DTYPE(DType::kU32, uint32_t)
SLUICE_DTYPE(DType::kU16, uint16_t)
SLUICE_DTYPE(DType::kU8, uint8_t)
SLUICE_DTYPE(DType::kBool, bool)
SLUICE_DTYPE(DType::kString, std::string)
#undef SLUICE_DTYPE

template <DType D>
using CppType = typename CppTypeOf<D>::type;
template <typename T>
inline constexpr DType kDTypeOf = DTypeOfImpl<T>::value;

// Calls f.template operator()<T>() with the C++ type of a numeric or bool dtype; `otherwise` for
// the rest: VisitDType(d, [&]<typename T>() { ... }, [&] { ... }).
template <typename F, typename G>
auto VisitDType(DType dtype, F&& f, G&& otherwise) {
  switch (dtype) {
    case DType::kF64:
      return f.template operator()<double>();
    case DType::kF32:
      return f.template operator()<float>();
    case DType::kF16:
      return f.template operator()<Float16>();
    case DType::kBF16:
      return f.template operator()<BFloat16>();
    case DType::kI64:
      return f.template operator()<int64_t>();
    case DType::kI32:
      return f.template operator()<int32_t>();
    case DType::kI16:
      return f.template operator()<int16_t>();
    case DType::kI8:
      return f.template operator()<int8_t>();
    case DType::kU64:
      return f.template operator()<uint64_t>();
    case DType::kU32:
      return f.template operator()<uint32_t>();
    case DType::kU16:
      return f.template operator()<uint16_t>();
    case DType::kU8:
      return f.template operator()<uint8_t>();
    case DType::kBool:
      return f.template operator()<bool>();
    default:
      return otherwise();
  }
}

}  // namespace sluice

#endif  // SLUICE_GRAPH_DTYPE_H_
