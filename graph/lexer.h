// Lexer: a cursor over the text form. The first error sticks, with its place; after it every call
// fails, so that a parser needs no checks of its own between two tokens.
#ifndef SLUICE_GRAPH_LEXER_H_
#define SLUICE_GRAPH_LEXER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "graph/type.h"

namespace sluice {

// "file:line:column: message", then the line and a caret below the column. Non-printing bytes of
// the line show as '?', a long one is cut around the column.
std::string WithExcerpt(absl::string_view file, absl::string_view text, size_t position,
                        absl::string_view message);

class Lexer {
 public:
  // Both outlive the lexer.
  Lexer(absl::string_view file, absl::string_view text);

  const absl::Status& status() const { return status_; }
  bool ok() const { return status_.ok(); }
  // Records an error at `position` unless there is one; always false.
  bool Fail(size_t position, absl::string_view message,
            absl::StatusCode code = absl::StatusCode::kInvalidArgument);
  // "expected `what`, found ..." at the cursor.
  bool FailExpected(absl::string_view what);

  // Both skip white space and comments first.
  size_t position();
  int line();  // of the cursor, from 1

  // The next character that means something; '\0' at the end and after an error.
  char Peek();
  bool AtEnd() { return Peek() == '\0' && position_ >= text_.size(); }
  bool Consume(char c);  // false without an error where the next is another
  bool Expect(char c);   // an error there
  bool ExpectArrow();    // "->"
  bool PeekWord(absl::string_view word);
  bool ConsumeWord(absl::string_view word);  // a whole keyword

  // A plain or quoted name; `name` points into the text or into `scratch`.
  bool Word(absl::string_view what, absl::string_view* name, std::string* scratch);
  bool String(std::string* value);  // in double quotes
  bool Device(std::string* device);
  // The characters of a number, "inf", "nan" or "nan(0x...)"; false where none begins here.
  bool Number(absl::string_view* token);
  bool ReadType(Type* type);
  bool HexDigits(absl::string_view* digits);

  size_t remaining() const { return text_.size() - position_; }

 private:
  void SkipSpace();

  const absl::string_view file_, text_;
  size_t position_ = 0;
  int line_ = 1;
  absl::Status status_;
};

}  // namespace sluice

#endif  // SLUICE_GRAPH_LEXER_H_
