#include "exchange/npy_format.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/text.h"

namespace sluice {
namespace {

constexpr absl::string_view kMagic("\x93NUMPY", 6);
constexpr size_t kMaxHeader = 1 << 20;
constexpr int kMaxRank = 32;

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

// The header is a Python literal, {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), };
// exactly these three keys, and nothing is evaluated.
class HeaderReader {
 public:
  explicit HeaderReader(absl::string_view text) : rest_(text) {}

  absl::Status Read(std::string* descr, bool* fortran_order, Dims* dims) {
    int seen = 0;
    if (!Eat('{')) return Bad();
    while (!Eat('}')) {
      std::string key;
      if (!String(&key) || !Eat(':')) return Bad();
      if (key == "descr" && !(seen & 1)) {
        if (Peek('[')) {
          return absl::UnimplementedError(
              "structured arrays are not supported; save each field as an array of its own");
        }
        if (!String(descr)) return Bad();
        seen |= 1;
      } else if (key == "fortran_order" && !(seen & 2)) {
        if (Word("True")) {
          *fortran_order = true;
        } else if (!Word("False")) {
          return Bad();
        }
        seen |= 2;
      } else if (key == "shape" && !(seen & 4)) {
        if (!Tuple(dims)) return Bad();
        seen |= 4;
      } else {
        return Invalid("the npy header has an unexpected or repeated key ", Shown(key));
      }
      if (!Eat(',') && !Peek('}')) return Bad();
    }
    rest_ = absl::StripAsciiWhitespace(rest_);
    return seen == 7 && rest_.empty() ? absl::OkStatus() : Bad();
  }

 private:
  absl::Status Bad() const { return Invalid("the npy header is malformed at ", Shown(rest_)); }
  void Blanks() { rest_ = absl::StripLeadingAsciiWhitespace(rest_); }
  bool Peek(char c) {
    Blanks();
    return !rest_.empty() && rest_[0] == c;
  }
  bool Eat(char c) {
    if (!Peek(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool Word(absl::string_view word) {
    Blanks();
    if (rest_.substr(0, word.size()) != word) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  bool String(std::string* out) {
    Blanks();
    if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) return false;
    const size_t end = rest_.find(rest_[0], 1);
    if (end == absl::string_view::npos) return false;
    *out = std::string(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return true;
  }
  bool Tuple(Dims* dims) {
    if (!Eat('(')) return false;
    while (!Eat(')')) {
      Blanks();
      size_t n = 0;
      while (n < rest_.size() && absl::ascii_isdigit(rest_[n])) ++n;
      int64_t extent = 0;
      if (n == 0 || !absl::SimpleAtoi(rest_.substr(0, n), &extent)) return false;
      rest_.remove_prefix(n);
      if (Peek('L')) Eat('L');  // Python 2
      dims->push_back(extent);
      if (dims->size() > kMaxRank || (!Eat(',') && !Peek(')'))) return false;
    }
    return true;
  }
  absl::string_view rest_;
};

struct TypeCode {
  DType dtype;
  const char* code;
};
constexpr TypeCode kCodes[] = {
    {DType::kF64, "f8"}, {DType::kF32, "f4"}, {DType::kF16, "f2"}, {DType::kI64, "i8"},
    {DType::kI32, "i4"}, {DType::kI16, "i2"}, {DType::kI8, "i1"},  {DType::kU64, "u8"},
    {DType::kU32, "u4"}, {DType::kU16, "u2"}, {DType::kU8, "u1"},  {DType::kBool, "b1"},
};

absl::Status ReadDescr(const std::string& descr, NpyHeader* h) {
  if (descr.empty()) return Invalid("the npy header has an empty element type");
  const char order = descr[0];
  const bool has_order = order == '<' || order == '>' || order == '|' || order == '=';
  const absl::string_view code = absl::string_view(descr).substr(has_order ? 1 : 0);
  h->swapped = order == '>';
  for (const TypeCode& t : kCodes) {
    if (code != t.code && !(code == "?" && t.dtype == DType::kBool)) continue;
    h->dtype = t.dtype;
    h->width = static_cast<int64_t>(ByteSize(t.dtype));
    return absl::OkStatus();
  }
  int64_t width = 0;
  if (code.size() > 1 && (code[0] == 'U' || code[0] == 'S') &&
      absl::SimpleAtoi(code.substr(1), &width) && width >= 0 && width < (int64_t{1} << 28)) {
    h->dtype = DType::kString;
    h->utf32 = code[0] == 'U';
    h->width = h->utf32 ? 4 * width : width;
    return absl::OkStatus();
  }
  if (code.substr(0, 1) == "O") {
    return absl::PermissionDeniedError(
        "the npy file holds Python objects, which only Python can read, by running them; save it "
        "with a number or string dtype");
  }
  return absl::UnimplementedError(
      absl::StrCat("npy's element type ", Shown(descr), " is not supported"));
}

void AppendUtf8(uint32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
    return;
  }
  const int extra = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  out->push_back(static_cast<char>(((0xff00 >> (extra + 1)) & 0xff) | (c >> (6 * extra))));
  for (int i = extra - 1; i >= 0; --i)
    out->push_back(static_cast<char>(0x80 | ((c >> (6 * i)) & 0x3f)));
}

// False where `text` is not UTF-8.
bool DecodeUtf8(absl::string_view text, std::vector<uint32_t>* out) {
  for (size_t i = 0; i < text.size();) {
    const uint8_t first = static_cast<uint8_t>(text[i++]);
    const int extra = first < 0x80   ? 0
                      : first < 0xc2 ? -1
                      : first < 0xe0 ? 1
                      : first < 0xf0 ? 2
                      : first < 0xf5 ? 3
                                     : -1;
    if (extra < 0 || i + static_cast<size_t>(extra) > text.size()) return false;
    uint32_t c = extra == 0 ? first : first & (0x3f >> extra);
    for (int k = 0; k < extra; ++k) {
      const uint8_t next = static_cast<uint8_t>(text[i++]);
      if ((next & 0xc0) != 0x80) return false;
      c = c << 6 | (next & 0x3f);
    }
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return false;
    out->push_back(c);
  }
  return true;
}

absl::StatusOr<Tensor> StringTensor(const NpyHeader& h, absl::string_view data) {
  absl::StatusOr<Tensor> t = Tensor::Allocate(DType::kString, h.dims);
  if (!t.ok()) return t.status();
  for (int64_t i = 0; i < h.elements; ++i) {
    const absl::string_view cell =
        data.substr(static_cast<size_t>(i * h.width), static_cast<size_t>(h.width));
    std::string& out = t->mutable_data<std::string>()[i];
    if (!h.utf32) {
      out.assign(cell.data(), cell.size());
      while (!out.empty() && out.back() == '\0') out.pop_back();
      continue;
    }
    std::vector<uint32_t> points(cell.size() / 4);
    std::memcpy(points.data(), cell.data(), cell.size());
    if (h.swapped) {
      for (uint32_t& c : points) c = __builtin_bswap32(c);
    }
    while (!points.empty() && points.back() == 0) points.pop_back();
    for (uint32_t c : points) {
      if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return Invalid("element ", i, " holds ", c, ", which is no character");
      AppendUtf8(c, &out);
    }
  }
  return t;
}

// From column-major to row-major order.
template <typename Unit>
void TransposeAll(const NpyHeader& h, const Unit* from, Unit* to) {
  std::vector<int64_t> index(h.dims.size(), 0), stride(h.dims.size());
  int64_t step = 1;
  for (size_t k = 0; k < h.dims.size(); ++k) {
    stride[k] = step;
    step *= h.dims[k];
  }
  int64_t at = 0;
  for (int64_t i = 0; i < h.elements; ++i) {
    to[i] = from[at];
    for (size_t k = h.dims.size(); k-- > 0;) {
      at += stride[k];
      if (++index[k] < h.dims[k]) break;
      at -= stride[k] * h.dims[k];
      index[k] = 0;
    }
  }
}

template <typename Unit>
void Decode(const NpyHeader& h, absl::string_view data, void* out) {
  std::vector<Unit> copy;
  Unit* to = static_cast<Unit*>(out);
  if (h.fortran_order) {
    copy.resize(static_cast<size_t>(h.elements));
    std::memcpy(copy.data(), data.data(), data.size());
    TransposeAll(h, copy.data(), to);
  } else {
    std::memcpy(to, data.data(), data.size());
  }
  if (!h.swapped || sizeof(Unit) == 1) return;
  for (int64_t i = 0; i < h.elements; ++i) {
    char* bytes = reinterpret_cast<char*>(to + i);
    std::reverse(bytes, bytes + sizeof(Unit));
  }
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view bytes) {
  if (bytes.substr(0, kMagic.size()) != kMagic.substr(0, bytes.size()))
    return Invalid("it is not an npy file (it does not begin with \\x93NUMPY)");
  if (bytes.size() < 12) return absl::OutOfRangeError("the npy header is truncated");
  const int version = static_cast<unsigned char>(bytes[6]);
  if (version < 1 || version > 3)
    return absl::UnimplementedError(absl::StrCat("npy format version ", version));
  auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(bytes[i])); };
  const size_t begin = version == 1 ? 10 : 12;
  const size_t length = version == 1 ? byte(8) | byte(9) << 8
                                     : byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24;
  if (length > kMaxHeader)
    return Invalid("the npy header claims ", length, " bytes; the limit is 1 MiB");
  if (bytes.size() < begin + length) return absl::OutOfRangeError("the npy header is truncated");
  NpyHeader h;
  h.data_offset = begin + length;
  std::string descr;
  absl::Status s =
      HeaderReader(bytes.substr(begin, length)).Read(&descr, &h.fortran_order, &h.dims);
  if (!s.ok()) return s;
  if (s = ReadDescr(descr, &h); !s.ok()) return s;
  absl::StatusOr<int64_t> count =
      ElementCount(h.dims, std::max<size_t>(static_cast<size_t>(h.width), ByteSize(h.dtype)));
  if (!count.ok()) return count.status();
  h.elements = *count;
  return h;
}

absl::StatusOr<Tensor> NpyTensor(const NpyHeader& h, absl::string_view data) {
  if (data.size() != static_cast<size_t>(h.data_bytes())) {
    return Invalid("the npy file has ", data.size(), " bytes of data, but ", ToString(h.dtype),
                   DimsToString(h.dims), " needs ", h.data_bytes());
  }
  if (h.dtype == DType::kString) {
    if (h.fortran_order && h.dims.size() > 1)
      return absl::UnimplementedError("npy strings in column-major order");
    if (h.width == 0 && h.elements > (1 << 24))
      return absl::ResourceExhaustedError("npy: too many empty strings");
    return StringTensor(h, data);
  }
  absl::StatusOr<Tensor> t = Tensor::Allocate(h.dtype, h.dims);
  if (!t.ok() || h.elements == 0) return t;
  switch (h.width) {
    case 1:
      Decode<uint8_t>(h, data, t->mutable_raw());
      break;
    case 2:
      Decode<uint16_t>(h, data, t->mutable_raw());
      break;
    case 4:
      Decode<uint32_t>(h, data, t->mutable_raw());
      break;
    default:
      Decode<uint64_t>(h, data, t->mutable_raw());
  }
  if (h.dtype == DType::kBool) {
    uint8_t* b = static_cast<uint8_t*>(t->mutable_raw());
    for (int64_t i = 0; i < h.elements; ++i) b[i] = b[i] != 0;
  }
  return t;
}

absl::StatusOr<std::string> NpyHeaderFor(const Tensor& tensor, int64_t* string_width) {
  std::string descr;
  if (tensor.dtype() == DType::kString) {
    *string_width = 1;
    for (const std::string& s : tensor.values<std::string>()) {
      std::vector<uint32_t> points;
      if (!DecodeUtf8(s, &points) || (!points.empty() && points.back() == 0)) {
        return absl::UnimplementedError(
            "npy cannot hold a string that is not UTF-8 or ends in NUL; write .pb");
      }
      *string_width = std::max(*string_width, static_cast<int64_t>(points.size()));
    }
    descr = absl::StrCat("<U", *string_width);
  }
  for (const TypeCode& t : kCodes) {
    if (t.dtype == tensor.dtype()) descr = absl::StrCat(ByteSize(t.dtype) == 1 ? "|" : "<", t.code);
  }
  if (descr.empty()) {
    return absl::UnimplementedError(
        absl::StrCat("npy has no element type for ", ToString(tensor.dtype()), "; write .pb"));
  }
  std::string text =
      absl::StrCat("{'descr': '", descr, "', 'fortran_order': False, 'shape': (",
                   absl::StrJoin(tensor.dims(), ", "), tensor.rank() == 1 ? ",), }" : "), }");
  // Blanks up to a multiple of 64, so that the elements can be mapped.
  text.append(63 - (10 + text.size()) % 64, ' ');
  text.push_back('\n');
  std::string header(kMagic);
  header += '\x01';
  header += '\0';
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

std::string NpyStringData(const Tensor& tensor, int64_t string_width) {
  std::string data;
  for (const std::string& s : tensor.values<std::string>()) {
    std::vector<uint32_t> points;
    DecodeUtf8(s, &points);
    points.resize(static_cast<size_t>(string_width), 0);
    data.append(reinterpret_cast<const char*>(points.data()), 4 * points.size());
  }
  return data;
}

}  // namespace sluice
