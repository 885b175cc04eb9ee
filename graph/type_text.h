// Extents and types at the front of a longer text, for the text form's parser.
#ifndef SLUICE_GRAPH_TYPE_TEXT_H_
#define SLUICE_GRAPH_TYPE_TEXT_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "graph/dim.h"
#include "graph/type.h"

namespace sluice {

// Reads the longest extent or type that `text` begins with and removes it; on an error `text`
// begins where the fault is. Nesting beyond 64 is an error.
absl::StatusOr<Dim> ParseDimPrefix(absl::string_view* text);
absl::StatusOr<Type> ParseTypePrefix(absl::string_view* text);

inline bool IsSymbolStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
inline bool IsSymbolChar(char c) { return IsSymbolStart(c) || (c >= '0' && c <= '9') || c == '.'; }

}  // namespace sluice

#endif  // SLUICE_GRAPH_TYPE_TEXT_H_
