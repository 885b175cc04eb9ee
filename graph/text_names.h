// Which names the text form writes without quotes: shared by its printer and its parser.
#ifndef SLUICE_GRAPH_TEXT_NAMES_H_
#define SLUICE_GRAPH_TEXT_NAMES_H_

#include "absl/strings/string_view.h"

namespace sluice {

inline bool IsNameChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '/';
}

// Letters, digits, '_', '.' and single '/' inside ("encoder/layer_0/v3"): two would be a comment.
inline bool IsPlainName(absl::string_view name) {
  if (name.empty() || name[0] == '/' || name.back() == '/') return false;
  for (size_t i = 0; i < name.size(); ++i) {
    if (!IsNameChar(name[i])) return false;
    if (name[i] == '/' && name[i + 1] == '/') return false;
  }
  return true;
}

inline bool IsPlainDevice(absl::string_view name) {
  for (char c : name) {
    if (!IsNameChar(c) && c != ':') return false;
    if (c == '/') return false;
  }
  return !name.empty();
}

}  // namespace sluice

#endif  // SLUICE_GRAPH_TEXT_NAMES_H_
