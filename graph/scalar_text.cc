#include "graph/scalar_text.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace sluice {
namespace {

template <typename T>
struct FloatTraits;
template <>
struct FloatTraits<double> {
  using Bits = uint64_t;
  static constexpr Bits kInf = 0x7ff0000000000000, kNaN = 0x7ff8000000000000;
};
template <>
struct FloatTraits<float> {
  using Bits = uint32_t;
  static constexpr Bits kInf = 0x7f800000, kNaN = 0x7fc00000;
};
template <>
struct FloatTraits<Float16> {
  using Bits = uint16_t;
  static constexpr Bits kInf = 0x7c00, kNaN = 0x7e00;
};
template <>
struct FloatTraits<BFloat16> {
  using Bits = uint16_t;
  static constexpr Bits kInf = 0x7f80, kNaN = 0x7fc0;
};

template <typename T>
using BitsOf = typename FloatTraits<T>::Bits;

template <typename T>
constexpr bool kIsHalf = sizeof(T) == 2;

template <typename T>
BitsOf<T> ToBits(T value) {
  return std::bit_cast<BitsOf<T>>(value);
}

// A decimal to the nearest T; halves by way of float, which the printer checks.
template <typename T>
bool ParseDecimal(absl::string_view text, T* value) {
  using Parsed = std::conditional_t<kIsHalf<T>, float, T>;
  Parsed parsed;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, parsed);
  if (stop != end) return false;
  // Beyond the range: from_chars leaves the value alone. Tiny ones are 0, huge ones an error.
  if (error == std::errc::result_out_of_range) {
    const double wide = std::strtod(std::string(text).c_str(), nullptr);
    if (std::abs(wide) > 1) return false;
    parsed = static_cast<Parsed>(wide);
  } else if (error != std::errc()) {
    return false;
  }
  *value = static_cast<T>(parsed);
  return true;
}

template <typename T>
bool Parse(absl::string_view text, T* value) {
  using Bits = BitsOf<T>;
  absl::string_view magnitude = text;
  const bool negative = absl::ConsumePrefix(&magnitude, "-");
  if (magnitude.empty()) return false;
  Bits bits = 0;
  if (magnitude == "inf") {
    bits = FloatTraits<T>::kInf;
  } else if (magnitude == "nan") {
    bits = FloatTraits<T>::kNaN;
  } else if (absl::ConsumePrefix(&magnitude, "nan(0x")) {
    if (negative || !absl::ConsumeSuffix(&magnitude, ")") || magnitude.empty()) return false;
    const char* end = magnitude.data() + magnitude.size();
    auto [stop, error] = std::from_chars(magnitude.data(), end, bits, 16);
    if (stop != end || error != std::errc()) return false;
    const Bits payload = bits & static_cast<Bits>(~(Bits{1} << (sizeof(Bits) * 8 - 1)));
    if (payload <= FloatTraits<T>::kInf) return false;  // not a NaN at all
    *value = std::bit_cast<T>(bits);
    return true;
  } else {
    if (magnitude[0] != '.' && (magnitude[0] < '0' || magnitude[0] > '9')) return false;
    return ParseDecimal(text, value);
  }
  if (negative) bits |= static_cast<Bits>(Bits{1} << (sizeof(Bits) * 8 - 1));
  *value = std::bit_cast<T>(bits);
  return true;
}

template <typename T>
size_t ShortestDigits(T value, char* begin, char* end) {
  if constexpr (kIsHalf<T>) {
    for (int digits = 1; digits <= 6; ++digits) {
      auto [stop, error] =
          std::to_chars(begin, end, static_cast<float>(value), std::chars_format::general, digits);
      T back;
      if (ParseDecimal(absl::string_view(begin, stop - begin), &back) &&
          ToBits(back) == ToBits(value)) {
        return stop - begin;
      }
    }
    return std::to_chars(begin, end, static_cast<float>(value)).ptr - begin;
  } else {
    return std::to_chars(begin, end, value).ptr - begin;
  }
}

template <typename T>
void Append(std::string* out, T value) {
  using Bits = BitsOf<T>;
  const Bits bits = ToBits(value);
  constexpr Bits kSign = static_cast<Bits>(Bits{1} << (sizeof(Bits) * 8 - 1));
  const Bits magnitude = bits & static_cast<Bits>(~kSign);
  if (magnitude > FloatTraits<T>::kInf) {
    if (bits == FloatTraits<T>::kNaN) {
      out->append("nan");
      return;
    }
    char buffer[24];
    char* end = std::to_chars(buffer, buffer + sizeof(buffer), bits, 16).ptr;
    out->append("nan(0x").append(buffer, end - buffer).append(")");
    return;
  }
  if (magnitude == FloatTraits<T>::kInf) {
    out->append(bits & kSign ? "-inf" : "inf");
    return;
  }
  char buffer[64];
  const size_t length = ShortestDigits(value, buffer, buffer + sizeof(buffer));
  const absl::string_view text(buffer, length);
  out->append(buffer, length);
  if (text.find_first_of(".e") == absl::string_view::npos) out->append(".0");
}

template <typename T>
void AppendInteger(std::string* out, T value) {
  char buffer[24];
  char* end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  out->append(buffer, end - buffer);
}

}  // namespace

void AppendFloat(std::string* out, double value) { Append(out, value); }
void AppendFloat(std::string* out, float value) { Append(out, value); }
void AppendFloat(std::string* out, Float16 value) { Append(out, value); }
void AppendFloat(std::string* out, BFloat16 value) { Append(out, value); }

bool ParseFloat(absl::string_view text, double* value) { return Parse(text, value); }
bool ParseFloat(absl::string_view text, float* value) { return Parse(text, value); }
bool ParseFloat(absl::string_view text, Float16* value) { return Parse(text, value); }
bool ParseFloat(absl::string_view text, BFloat16* value) { return Parse(text, value); }

void AppendInt(std::string* out, int64_t value) { AppendInteger(out, value); }
void AppendInt(std::string* out, uint64_t value) { AppendInteger(out, value); }

size_t PrintableUtf8(absl::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  uint32_t code = lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
  if (code < 0xa0) return 0;                       // C1 controls: terminals obey some
  if (code >= 0x200b && code <= 0x200f) return 0;  // zero width, direction marks
  if (code >= 0x2028 && code <= 0x202e) return 0;  // line separators, direction overrides
  if (code >= 0x2060 && code <= 0x206f) return 0;  // invisible operators, isolates
  if (code == 0xfeff || (code & 0xfffe) == 0xfffe) return 0;  // byte-order mark, non-characters
  return length;
}

void AppendQuoted(std::string* out, absl::string_view text) {
  out->push_back('"');
  AppendEscaped(out, text, '"');
  out->push_back('"');
}

void AppendEscaped(std::string* out, absl::string_view text, char quote) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (size_t i = 0; i < text.size();) {
    const uint8_t c = static_cast<uint8_t>(text[i]);
    if (c >= 0x80) {
      if (const size_t length = PrintableUtf8(text.substr(i)); length > 0) {
        out->append(text.data() + i, length);
        i += length;
        continue;
      }
    }
    if (c == '\\' || (c == static_cast<uint8_t>(quote) && quote != '\0')) {
      out->push_back('\\');
      out->push_back(static_cast<char>(c));
    } else if (c == '\n') {
      out->append("\\n");
    } else if (c == '\t') {
      out->append("\\t");
    } else if (c < 0x20 || c >= 0x7f) {
      out->append("\\x");
      out->push_back(kHex[c >> 4]);
      out->push_back(kHex[c & 15]);
    } else {
      out->push_back(static_cast<char>(c));
    }
    ++i;
  }
}

void AppendElement(std::string* out, const Tensor& tensor, int64_t i) {
  if (tensor.dtype() == DType::kString) {
    AppendQuoted(out, tensor.data<std::string>()[i]);
    return;
  }
  VisitDType(
      tensor.dtype(),
      [&]<typename T>() {
        if constexpr (std::is_same_v<T, bool>) {
          out->append(static_cast<const uint8_t*>(tensor.raw())[i] != 0 ? "true" : "false");
        } else if constexpr (std::is_integral_v<T>) {
          using Wide = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
          AppendInteger<Wide>(out, tensor.At<T>(i));
        } else {
          Append(out, tensor.At<T>(i));
        }
      },
      [] {});
}

}  // namespace sluice
