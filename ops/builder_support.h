// What the generated functions of ops/ops.h are made of.
#ifndef SLUICE_OPS_BUILDER_SUPPORT_H_
#define SLUICE_OPS_BUILDER_SUPPORT_H_

#include <initializer_list>
#include <optional>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

#include "graph/builder.h"

namespace sluice::ops {

using Location = std::source_location;

// An attribute that must be given: leaving it out does not compile.
template <typename T>
struct Required {
  template <typename U>
    requires std::is_convertible_v<U, T>
  Required(U&& v) : value(std::forward<U>(v)) {}  // NOLINT: {.axis = 1} reads as intended
  T value;
};

template <typename T>
struct Required<std::vector<T>> {
  Required(std::initializer_list<T> v) : value(v) {}   // NOLINT: {.kernel_shape = {2, 2}}
  Required(std::vector<T> v) : value(std::move(v)) {}  // NOLINT
  std::vector<T> value;
};

// A list attribute: absent unless given, {2, 2} or a vector.
template <typename T>
struct List {
  List() = default;
  List(std::initializer_list<T> v) : value(std::vector<T>(v)) {}  // NOLINT
  List(std::vector<T> v) : value(std::move(v)) {}                 // NOLINT
  std::optional<std::vector<T>> value;
};

namespace internal {

template <typename T>
void Add(AttrList* attrs, const char* name, const Required<T>& attr) {
  attrs->emplace_back(name, attr.value);
}
template <typename T>
void Add(AttrList* attrs, const char* name, const List<T>& attr) {
  if (attr.value) attrs->emplace_back(name, *attr.value);
}
template <typename T>
void Add(AttrList* attrs, const char* name, const std::optional<T>& attr) {
  if (attr) attrs->emplace_back(name, *attr);
}
// With a default: written only where it differs.
template <typename T>
void Add(AttrList* attrs, const char* name, const T& attr, const T& default_value) {
  if (!(attr == default_value)) attrs->emplace_back(name, attr);
}

inline std::vector<Value*> Join(std::initializer_list<Value*> fixed,
                                absl::Span<Value* const> more) {
  std::vector<Value*> all(fixed);
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace internal
}  // namespace sluice::ops

#endif  // SLUICE_OPS_BUILDER_SUPPORT_H_
