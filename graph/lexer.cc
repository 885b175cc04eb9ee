#include "graph/lexer.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "graph/scalar_text.h"
#include "graph/text.h"
#include "graph/text_names.h"
#include "graph/type_text.h"

namespace sluice {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Appends what a terminal may show of `text` and returns how many columns it takes.
size_t AppendPrintable(std::string* out, absl::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    size_t length = 1;
    const uint8_t c = static_cast<uint8_t>(text[0]);
    if (c >= 0x80) length = PrintableUtf8(text);
    if (length == 0 || c < 0x20 || c == 0x7f) {
      out->push_back(c == '\t' ? ' ' : '?');
      length = 1;
    } else {
      out->append(text.data(), length);
    }
    text.remove_prefix(length);
    ++columns;
  }
  return columns;
}

}  // namespace

std::string WithExcerpt(absl::string_view file, absl::string_view text, size_t position,
                        absl::string_view message) {
  constexpr size_t kBefore = 80, kAfter = 40;
  position = std::min(position, text.size());
  const size_t line =
      1 + static_cast<size_t>(std::count(text.begin(), text.begin() + position, '\n'));
  size_t begin = position;
  while (begin > 0 && text[begin - 1] != '\n') --begin;
  size_t end = position;
  while (end < text.size() && text[end] != '\n' && text[end] != '\r') ++end;
  std::string result =
      absl::StrCat(file, ":", line, ":", position - begin + 1, ": ", message, "\n  ");
  size_t from = begin;
  if (position - begin > kBefore) {
    from = position - kBefore;
    result.append("...");
  }
  const size_t indent =
      (from > begin ? 3 : 0) + AppendPrintable(&result, text.substr(from, position - from));
  AppendPrintable(&result, text.substr(position, std::min(end - position, kAfter)));
  if (end - position > kAfter) result.append("...");
  absl::StrAppend(&result, "\n  ", std::string(indent, ' '), "^");
  return result;
}

Lexer::Lexer(absl::string_view file, absl::string_view text) : file_(file), text_(text) {
  if (absl::StartsWith(text_, "\xef\xbb\xbf")) position_ = 3;  // byte-order mark
}

bool Lexer::Fail(size_t position, absl::string_view message, absl::StatusCode code) {
  if (ok()) status_ = absl::Status(code, WithExcerpt(file_, text_, position, message));
  return false;
}

bool Lexer::FailExpected(absl::string_view what) {
  if (!ok()) return false;
  SkipSpace();
  if (position_ >= text_.size()) {
    return Fail(position_, absl::StrCat("expected ", what, ", found the end of the text"));
  }
  size_t length = 1;
  if (IsNameChar(text_[position_])) {
    while (length < 30 && position_ + length < text_.size() &&
           IsNameChar(text_[position_ + length]))
      ++length;
  }
  return Fail(position_,
              absl::StrCat("expected ", what, ", found ", Quote(text_.substr(position_, length))));
}

void Lexer::SkipSpace() {
  while (position_ < text_.size()) {
    const char c = text_[position_];
    if (c == '\n') ++line_;
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      ++position_;
    } else if (c == '/' && position_ + 1 < text_.size() && text_[position_ + 1] == '/') {
      const void* end = std::memchr(text_.data() + position_, '\n', remaining());
      position_ = end == nullptr
                      ? text_.size()
                      : static_cast<size_t>(static_cast<const char*>(end) - text_.data());
    } else {
      return;
    }
  }
}

size_t Lexer::position() {
  SkipSpace();
  return position_;
}

int Lexer::line() {
  SkipSpace();
  return line_;
}

char Lexer::Peek() {
  if (!ok()) return '\0';
  SkipSpace();
  return position_ < text_.size() ? text_[position_] : '\0';
}

bool Lexer::Consume(char c) {
  if (Peek() != c || position_ >= text_.size()) return false;
  ++position_;
  return true;
}

bool Lexer::Expect(char c) {
  if (Consume(c)) return true;
  return FailExpected(absl::StrCat("'", std::string(1, c), "'"));
}

bool Lexer::ExpectArrow() {
  if (Peek() == '-' && absl::StartsWith(text_.substr(position_), "->")) {
    position_ += 2;
    return true;
  }
  return FailExpected("'->'");
}

bool Lexer::PeekWord(absl::string_view word) {
  if (Peek() == '\0') return false;
  const size_t end = position_ + word.size();
  return absl::StartsWith(text_.substr(position_), word) &&
         (end >= text_.size() || !IsNameChar(text_[end]));
}

bool Lexer::ConsumeWord(absl::string_view word) {
  if (!PeekWord(word)) return false;
  position_ += word.size();
  return true;
}

bool Lexer::Word(absl::string_view what, absl::string_view* name, std::string* scratch) {
  const char c = Peek();
  if (c == '"') {
    if (!String(scratch)) return false;
    *name = *scratch;
    return true;
  }
  size_t end = position_;
  while (end < text_.size() && IsNameChar(text_[end])) {
    if (text_[end] == '/' &&
        (end + 1 >= text_.size() || !IsNameChar(text_[end + 1]) || text_[end + 1] == '/')) {
      break;  // "a/" is no name, "a//" one before a comment
    }
    ++end;
  }
  *name = text_.substr(position_, end - position_);
  if (!ok() || !IsPlainName(*name)) return FailExpected(what);
  position_ = end;
  return true;
}

bool Lexer::String(std::string* value) {
  if (!Consume('"')) return FailExpected("a string in double quotes");
  const size_t start = position_ - 1;
  value->clear();
  while (position_ < text_.size()) {
    size_t plain = position_;
    while (plain < text_.size() && text_[plain] != '"' && text_[plain] != '\\' &&
           text_[plain] != '\n')
      ++plain;
    value->append(text_.data() + position_, plain - position_);
    position_ = plain;
    if (plain >= text_.size() || text_[plain] == '\n') break;
    ++position_;
    if (text_[plain] == '"') return true;
    const char escape = position_ < text_.size() ? text_[position_++] : '\0';
    switch (escape) {
      case 'n':
        value->push_back('\n');
        break;
      case 't':
        value->push_back('\t');
        break;
      case '"':
      case '\\':
        value->push_back(escape);
        break;
      case 'x': {
        const int high = position_ < text_.size() ? HexValue(text_[position_]) : -1;
        const int low = position_ + 1 < text_.size() ? HexValue(text_[position_ + 1]) : -1;
        if (high < 0 || low < 0) return Fail(plain, "expected two hex digits after \\x");
        value->push_back(static_cast<char>(high * 16 + low));
        position_ += 2;
        break;
      }
      default:
        return Fail(plain, "unknown escape; expected \\\" \\\\ \\n \\t or \\xHH");
    }
  }
  return Fail(start, "the string has no closing quote on its line");
}

bool Lexer::Device(std::string* device) {
  if (Peek() == '"') return String(device);
  size_t end = position_;
  while (end < text_.size() && IsPlainDevice(text_.substr(end, 1))) ++end;
  if (!ok() || end == position_) return FailExpected("a device such as gpu:0");
  *device = std::string(text_.substr(position_, end - position_));
  position_ = end;
  return true;
}

bool Lexer::Number(absl::string_view* token) {
  const char first = Peek();
  size_t end = position_ + (first == '-' ? 1 : 0);
  const char c = ok() && end < text_.size() ? text_[end] : '\0';
  if (c == 'i' || c == 'n') {
    absl::string_view rest = text_.substr(end);
    if (!absl::StartsWith(rest, "inf") && !absl::StartsWith(rest, "nan")) return false;
    end += 3;
    if (absl::StartsWith(rest, "nan(")) {
      const size_t close = rest.substr(0, 32).find(')');
      if (close == absl::string_view::npos) return false;
      end += close - 2;
    }
    if (end < text_.size() && IsNameChar(text_[end]) && text_[end] != '/') return false;
  } else if (IsDigit(c) || c == '.') {
    for (; end < text_.size(); ++end) {
      const char d = text_[end];
      const bool sign = (d == '+' || d == '-') && (text_[end - 1] == 'e' || text_[end - 1] == 'E');
      if (!IsDigit(d) && d != '.' && d != 'e' && d != 'E' && !sign) break;
    }
  } else {
    return false;
  }
  *token = text_.substr(position_, end - position_);
  position_ = end;
  return true;
}

bool Lexer::ReadType(Type* type) {
  if (Peek() == '\0') return FailExpected("a type such as f32[batch,10]");
  absl::string_view rest = text_.substr(position_);
  absl::StatusOr<Type> parsed = ParseTypePrefix(&rest);
  position_ = text_.size() - rest.size();
  if (!parsed.ok()) return Fail(position_, parsed.status().message());
  *type = *std::move(parsed);
  return true;
}

bool Lexer::HexDigits(absl::string_view* digits) {
  size_t end = position_;
  while (end < text_.size() && HexValue(text_[end]) >= 0) ++end;
  if (!ok() || end == position_) return FailExpected("hex digits");
  *digits = text_.substr(position_, end - position_);
  position_ = end;
  return true;
}

}  // namespace sluice
