#include "graph/type_text.h"

#include <charconv>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/hash.h"
#include "graph/text.h"

namespace sluice {
namespace {

constexpr int kMaxDepth = 64;

char Peek(absl::string_view text) { return text.empty() ? '\0' : text[0]; }

void SkipBlanks(absl::string_view* text) {
  while (!text->empty() && ((*text)[0] == ' ' || (*text)[0] == '\t')) text->remove_prefix(1);
}

bool Consume(absl::string_view* text, char c) {
  SkipBlanks(text);
  if (Peek(*text) != c) return false;
  text->remove_prefix(1);
  return true;
}

absl::string_view TakeWord(absl::string_view* text) {
  size_t n = 0;
  while (n < text->size() && IsSymbolChar((*text)[n])) ++n;
  const absl::string_view word = text->substr(0, n);
  text->remove_prefix(n);
  return word;
}

absl::Status Expected(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("expected ", what));
}

// sum := ['-'] product (('+' | '-') product)* ; product := factor ('*' factor)*
// factor := number | symbol | function '(' sum ',' sum ')' | '(' sum ')' | '?'
class DimParser {
 public:
  explicit DimParser(absl::string_view* text) : text_(*text) {}

  absl::StatusOr<Dim> Sum(int depth) {
    if (depth > kMaxDepth) return Expected(absl::StrCat("nesting of at most ", kMaxDepth));
    bool negative = Consume(&text_, '-');
    Dim sum(0);
    while (true) {
      absl::StatusOr<Dim> product = Product(depth, negative);
      if (!product.ok()) return product;
      sum = sum + *product;
      if (Consume(&text_, '+')) {
        negative = false;
      } else if (Consume(&text_, '-')) {
        negative = true;
      } else {
        return sum;
      }
    }
  }

 private:
  absl::StatusOr<Dim> Product(int depth, bool negative) {
    absl::StatusOr<Dim> product = Factor(depth, negative);
    while (product.ok() && Consume(&text_, '*')) {
      absl::StatusOr<Dim> factor = Factor(depth, false);
      if (!factor.ok()) return factor;
      product = *product * *factor;
    }
    return product;
  }

  // The sign goes into a number, so that the smallest int64 can be read.
  absl::StatusOr<Dim> Factor(int depth, bool negative) {
    SkipBlanks(&text_);
    const char c = Peek(text_);
    if (c >= '0' && c <= '9') return Number(negative);
    absl::StatusOr<Dim> factor = Positive(depth, c);
    if (factor.ok() && negative) return Dim(-1) * *factor;
    return factor;
  }

  absl::StatusOr<Dim> Number(bool negative) {
    uint64_t magnitude = 0;
    const char* end = text_.data() + text_.size();
    auto [stop, error] = std::from_chars(text_.data(), end, magnitude);
    const uint64_t limit = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
    if (error != std::errc() || magnitude > limit) return Expected("a number that fits 64 bits");
    text_.remove_prefix(static_cast<size_t>(stop - text_.data()));
    return Dim(static_cast<int64_t>(negative ? 0 - magnitude : magnitude));
  }

  absl::StatusOr<Dim> Positive(int depth, char c) {
    if (Consume(&text_, '?')) return Dim::Unknown();
    if (Consume(&text_, '(')) {
      absl::StatusOr<Dim> inner = Sum(depth + 1);
      if (inner.ok() && !Consume(&text_, ')')) return Expected("')'");
      return inner;
    }
    if (!IsSymbolStart(c)) return Expected("an extent: a number, a symbol or an expression");
    const absl::string_view before = text_;
    const absl::string_view word = TakeWord(&text_);
    if (Peek(text_) != '(') return Dim::Symbol(word);
    Dim (*function)(const Dim&, const Dim&) = nullptr;
    if (word == "floordiv") function = [](const Dim& a, const Dim& b) { return FloorDiv(a, b); };
    if (word == "ceildiv") function = [](const Dim& a, const Dim& b) { return CeilDiv(a, b); };
    if (word == "mod") function = [](const Dim& a, const Dim& b) { return Mod(a, b); };
    if (word == "max") function = [](const Dim& a, const Dim& b) { return Max(a, b); };
    if (word == "min") function = [](const Dim& a, const Dim& b) { return Min(a, b); };
    if (function == nullptr) {
      text_ = before;
      return Expected("floordiv, ceildiv, mod, max or min before '('");
    }
    text_.remove_prefix(1);
    absl::StatusOr<Dim> a = Sum(depth + 1);
    if (!a.ok()) return a;
    if (!Consume(&text_, ',')) return Expected("','");
    absl::StatusOr<Dim> b = Sum(depth + 1);
    if (!b.ok()) return b;
    if (!Consume(&text_, ')')) return Expected("')'");
    return function(*a, *b);
  }

  absl::string_view& text_;
};

absl::StatusOr<Type> ParseType(absl::string_view* text, int depth);

absl::StatusOr<Type> ParseElement(absl::string_view* text, int depth) {
  absl::StatusOr<Type> element = ParseType(text, depth + 1);
  if (element.ok() && !Consume(text, '>')) return Expected("'>'");
  return element;
}

absl::StatusOr<Type> ParseTensor(absl::string_view* text, DType dtype) {
  Shape shape;
  bool ranked = true;
  if (Consume(text, '*')) {
    ranked = false;
    if (!Consume(text, ']')) return Expected("']'");
  } else if (!Consume(text, ']')) {
    do {
      absl::StatusOr<Dim> dim = DimParser(text).Sum(0);
      if (!dim.ok()) return dim.status();
      shape.push_back(*std::move(dim));
    } while (Consume(text, ','));
    if (!Consume(text, ']')) return Expected("',' or ']'");
  }
  Layout layout = Layout::kPlain;
  if (Peek(*text) == '@') {
    absl::string_view rest = text->substr(1);
    const absl::string_view word = TakeWord(&rest);
    if (word == "channels_last") {
      layout = Layout::kChannelsLast;
    } else if (word == "blocked8") {
      layout = Layout::kBlocked8;
    } else if (word == "blocked16") {
      layout = Layout::kBlocked16;
    } else {
      return Expected("a layout: channels_last, blocked8 or blocked16");
    }
    *text = rest;
    if (!ranked) return Expected("a known rank before a layout");
  }
  return ranked ? Type::Tensor(dtype, std::move(shape), layout) : Type::Tensor(dtype);
}

absl::StatusOr<Type> ParseType(absl::string_view* text, int depth) {
  if (depth > kMaxDepth) return Expected(absl::StrCat("nesting of at most ", kMaxDepth));
  SkipBlanks(text);
  const absl::string_view before = *text;
  if (Peek(*text) == '?') {
    text->remove_prefix(1);
    if (Peek(*text) != '[') return Type();
    text->remove_prefix(1);
    return ParseTensor(text, DType::kInvalid);
  }
  const absl::string_view word = TakeWord(text);
  if (word == "sequence" || word == "optional") {
    if (!Consume(text, '<')) return Expected("'<'");
    absl::StatusOr<Type> element = ParseElement(text, depth);
    if (!element.ok()) return element;
    return word == "sequence" ? Type::Sequence(*element) : Type::Optional(*element);
  }
  if (word == "map") {
    if (!Consume(text, '<')) return Expected("'<'");
    SkipBlanks(text);
    const absl::string_view key_before = *text;
    std::optional<DType> key = ParseDType(TakeWord(text));
    if (!key.has_value()) {
      *text = key_before;
      return Expected("the dtype of the map's keys");
    }
    if (!Consume(text, ',')) return Expected("','");
    absl::StatusOr<Type> element = ParseElement(text, depth);
    if (!element.ok()) return element;
    return Type::Map(*key, *element);
  }
  const std::optional<DType> dtype = ParseDType(word);
  if (!dtype.has_value()) {
    *text = before;
    return Expected("a type such as f32[batch,10]");
  }
  if (Peek(*text) != '[') return Expected("'[' and a shape, or '[*]'");
  text->remove_prefix(1);
  return ParseTensor(text, *dtype);
}

// `parse` must use up `text`; else an error that shows where it stopped.
template <typename T, typename F>
absl::StatusOr<T> ParseAll(absl::string_view text, absl::string_view what, F parse) {
  absl::string_view rest = text;
  absl::StatusOr<T> result = parse(&rest);
  if (result.ok()) SkipBlanks(&rest);
  if (result.ok() && rest.empty()) return result;
  return absl::InvalidArgumentError(absl::StrCat(
      what, " ", Shown(text.substr(0, 200)), ", column ", text.size() - rest.size() + 1, ": ",
      result.ok() ? "expected nothing more" : result.status().message()));
}

}  // namespace

absl::StatusOr<Dim> ParseDimPrefix(absl::string_view* text) { return DimParser(text).Sum(0); }

absl::StatusOr<Type> ParseTypePrefix(absl::string_view* text) { return ParseType(text, 0); }

absl::StatusOr<Dim> Dim::Parse(absl::string_view text) {
  return ParseAll<Dim>(text, "extent", ParseDimPrefix);
}

absl::StatusOr<Type> Type::Parse(absl::string_view text) {
  return ParseAll<Type>(text, "type", ParseTypePrefix);
}

std::string LegalSymbol(absl::string_view name) {
  // A symbol stands in every message about its type: a long name goes by its beginning and its
  // hash.
  constexpr size_t kLongest = 64;
  std::string symbol(name.substr(0, kLongest));
  if (name.size() > kLongest) {
    Hasher hash;
    hash.AddBytes(name.data(), name.size());
    absl::StrAppend(&symbol, "_", hash.Hex().substr(0, 16));
  }
  for (char& c : symbol) {
    if (!IsSymbolChar(c)) c = '_';
  }
  if (symbol.empty() || !IsSymbolStart(symbol[0])) symbol.insert(symbol.begin(), '_');
  return symbol;
}

}  // namespace sluice
