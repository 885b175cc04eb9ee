// Names as a hostile file may hold them, and what no message, JSON or log may ever show of them.
#ifndef SLUICE_TESTS_TESTING_ODD_NAMES_H_
#define SLUICE_TESTS_TESTING_ODD_NAMES_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace sluice {

// `tag` keeps the names of one graph apart.
inline std::vector<std::string> OddNames(absl::string_view tag) {
  return {
      absl::StrCat("line\nFORGED: ok", tag),
      absl::StrCat(std::string("nul\0", 4), tag),
      absl::StrCat("\x1b[2J\x1b]0;FORGED\x07", tag),
      absl::StrCat("invalid \xff\xc0\x80\xed\xa0\x80 utf-8", tag),
      absl::StrCat("\xe2\x80\xaegnp.exe \xc2\x9b", "2J", tag),  // right-to-left, C1
      absl::StrCat("quote \" ' \\ </script> ${HOME} `id` %s%n", tag),
      absl::StrCat("../../etc/", tag),
      absl::StrCat(std::string(1 << 20, 'x'), tag),
  };
}

// "" where `text` is safe to print: no control characters but newline, none of the invisible ones,
// nothing that is not UTF-8 of the printable kind, no line that a name forged, no megabyte.
inline std::string Unsafe(absl::string_view text) {
  if (text.size() > 20'000) return absl::StrCat(text.size(), " bytes");
  if (text.find("\nFORGED") != absl::string_view::npos) return "a forged line";
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && c != '\n') || c >= 0x7f) {
      return absl::StrCat("byte 0x", absl::Hex(c), " at ", i);
    }
  }
  return "";
}

}  // namespace sluice

#endif  // SLUICE_TESTS_TESTING_ODD_NAMES_H_
