#include "runtime/json_text.h"

#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

std::string Dump(const nlohmann::json& scalar) {
  return scalar.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

JsonText::JsonText(absl::string_view string) : text(Dump(nlohmann::json(string))) {}
JsonText::JsonText(double number) : text(Dump(nlohmann::json(number))) {}

JsonText JsonArray(absl::Span<const JsonText> values) {
  return JsonText(
      JsonText::Written{},
      absl::StrCat("[",
                   absl::StrJoin(values, ",\n",
                                 [](std::string* out, const JsonText& v) { out->append(v.text); }),
                   "]"));
}

JsonText JsonObject(absl::Span<const JsonMember> members) {
  return JsonText(JsonText::Written{},
                  absl::StrCat("{",
                               absl::StrJoin(members, ", ",
                                             [](std::string* out, const JsonMember& m) {
                                               absl::StrAppend(out, "\"", m.name,
                                                               "\": ", m.value.text);
                                             }),
                               "}"));
}

}  // namespace sluice
