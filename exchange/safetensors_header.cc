#include "exchange/safetensors_header.h"

#include <nlohmann/json.hpp>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/text.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

// Fills a header from the parser's events, so that repeated keys are seen and depth is bounded.
class HeaderSax : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderSax(SafetensorsHeader* header) : header_(*header) {}
  const std::string& error() const { return error_; }

  bool start_object(std::size_t) override {
    if (depth_ == 2 || array_) return Fail("an object where none belongs");
    return ++depth_ > 0;
  }
  bool end_object() override {
    if (depth_-- == 2 && !in_metadata_ && fields_.size() != 3)
      return Fail("it has not dtype, shape and data_offsets");
    return true;
  }
  bool key(string_t& key) override {
    if (depth_ == 1) {
      if (!names_.insert(key).second) return Fail(absl::StrCat("it stands twice: ", Shown(key)));
      in_metadata_ = key == "__metadata__";
      fields_.clear();
      if (!in_metadata_) header_.entries.emplace_back().name = key;
      return true;
    }
    field_ = key;
    if (!fields_.insert(key).second) return Fail(absl::StrCat("key twice: ", Shown(key)));
    return in_metadata_ || key == "dtype" || key == "shape" || key == "data_offsets" ||
           Fail(absl::StrCat("unknown key ", Shown(key)));
  }
  bool string(string_t& value) override {
    if (depth_ != 2 || array_) return Fail("a string where none belongs");
    if (in_metadata_) {
      header_.metadata[field_] = value;
      return true;
    }
    if (field_ != "dtype") return Fail(absl::StrCat(field_, " is a string"));
    header_.entries.back().dtype = value;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || array_ || in_metadata_ || field_ == "dtype")
      return Fail("an array where none belongs");
    array_ = true;
    offsets_ = 0;
    return true;
  }
  bool end_array() override {
    array_ = false;
    return field_ == "shape" || offsets_ == 2 || Fail("data_offsets has not two numbers");
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (!array_) return Fail("a number where none belongs");
    SafetensorsEntry& e = header_.entries.back();
    if (field_ == "shape") {
      if (value > INT64_MAX || e.shape.size() >= 32) return Fail("its shape is too large");
      e.shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (offsets_ == 2) return Fail("data_offsets has more than two numbers");
    (offsets_++ == 0 ? e.begin : e.end) = value;
    return true;
  }
  bool number_integer(number_integer_t) override { return Fail("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return Fail("a fraction"); }
  bool null() override { return Fail("null"); }
  bool boolean(bool) override { return Fail("a boolean"); }
  bool binary(binary_t&) override { return Fail("binary"); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return Fail(absl::StrCat("no JSON at byte ", position));
  }

 private:
  bool Fail(absl::string_view what) {
    if (error_.empty()) {
      error_ = std::string(what);
      if (!in_metadata_ && !header_.entries.empty())
        absl::StrAppend(&error_, " (at tensor ", Shown(header_.entries.back().name), ")");
    }
    return false;
  }
  SafetensorsHeader& header_;
  std::string error_, field_;
  absl::flat_hash_set<std::string> names_, fields_;
  int depth_ = 0, offsets_ = 0;
  bool array_ = false, in_metadata_ = false;
};

// In quotes; empty where the text is not UTF-8.
std::string JsonString(const std::string& text) {
  const std::string json = Json(text).dump(-1, ' ', false, Json::error_handler_t::ignore);
  const Json back = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  return back.is_string() && back.get_ref<const std::string&>() == text ? json : "";
}

}  // namespace

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view json) {
  SafetensorsHeader header;
  HeaderSax sax(&header);
  if (json.empty() || json[0] != '{')
    return absl::InvalidArgumentError("the safetensors header is no JSON object");
  if (!Json::sax_parse(json.begin(), json.end(), &sax) || !sax.error().empty())
    return absl::InvalidArgumentError(absl::StrCat("the safetensors header: ", sax.error()));
  return header;
}

absl::StatusOr<std::string> PrintSafetensorsHeader(const SafetensorsHeader& header) {
  std::string out = "{";
  absl::flat_hash_set<std::string> names = {"__metadata__"};
  auto string = [&](const std::string& text) -> absl::Status {
    const std::string json = JsonString(text);
    if (json.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("safetensors: ", Shown(text), " is not UTF-8, which its header must be"));
    }
    absl::StrAppend(&out, json);
    return absl::OkStatus();
  };
  if (!header.metadata.empty()) {
    absl::StrAppend(&out, "\"__metadata__\":{");
    bool first = true;
    for (const auto& [key, value] : header.metadata) {
      if (!std::exchange(first, false)) out += ',';
      if (absl::Status s = string(key); !s.ok()) return s;
      out += ':';
      if (absl::Status s = string(value); !s.ok()) return s;
    }
    out += '}';
  }
  for (const SafetensorsEntry& e : header.entries) {
    if (!names.insert(e.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("safetensors: two tensors are called ", Shown(e.name)));
    }
    if (out.size() > 1) out += ',';
    if (absl::Status s = string(e.name); !s.ok()) return s;
    absl::StrAppend(&out, ":{\"dtype\":\"", e.dtype, "\",\"shape\":[", absl::StrJoin(e.shape, ","),
                    "],\"data_offsets\":[", e.begin, ",", e.end, "]}");
  }
  return out + "}";
}

}  // namespace sluice
