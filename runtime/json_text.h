// JSON written as text. A tree of JSON values asks for memory in its destructor, and a library may
// not end the process for the lack of it.
#ifndef SLUICE_RUNTIME_JSON_TEXT_H_
#define SLUICE_RUNTIME_JSON_TEXT_H_

#include <concepts>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace sluice {

// One value, written out.
struct JsonText {
  // Strings come from files: what is no UTF-8 is replaced, the rest is escaped to ASCII, which no
  // viewer or terminal obeys.
  JsonText(absl::string_view string);
  JsonText(const std::string& string) : JsonText(absl::string_view(string)) {}
  JsonText(const char* string) : JsonText(absl::string_view(string)) {}
  JsonText(bool value) : text(value ? "true" : "false") {}
  JsonText(double number);  // null where it is not finite
  template <std::integral T>
  JsonText(T number) : text(absl::StrCat(number)) {}

  std::string text;

 private:
  struct Written {};
  JsonText(Written, std::string all) : text(std::move(all)) {}
  friend JsonText JsonArray(absl::Span<const JsonText> values);
  friend JsonText JsonObject(absl::Span<const struct JsonMember> members);
};

struct JsonMember {
  const char* name;  // without anything to escape
  JsonText value;
};

JsonText JsonArray(absl::Span<const JsonText> values);
JsonText JsonObject(absl::Span<const JsonMember> members);
inline JsonText JsonObject(std::initializer_list<JsonMember> members) {
  return JsonObject(absl::MakeConstSpan(members.begin(), members.size()));
}

}  // namespace sluice

#endif  // SLUICE_RUNTIME_JSON_TEXT_H_
