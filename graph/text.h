// The text form: total and exact. For every legal graph Parse(Print(g)) equals g, given the tensors
// that it names. The grammar is in graph/README.md.
#ifndef SLUICE_GRAPH_TEXT_H_
#define SLUICE_GRAPH_TEXT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "graph/graph.h"

namespace sluice {

struct PrintOptions {
  // Tensors with more elements are named by their content hash (or their seed, where generated).
  int64_t max_inline_elements = 64;
  bool types = true;     // ": f32[batch,10]" behind each node
  bool origins = false;  // trailing "// main.cc:12" comments
};
// Throws std::bad_alloc where there is no memory for the text.
std::string Print(const Graph& graph, const PrintOptions& options = {});

struct ParseOptions {
  std::string file = "<text>";  // for messages and origins
  // Finds a tensor by its content hash (32 hex digits).
  std::function<absl::StatusOr<Tensor>(absl::string_view hash)> find_tensor;
  int max_depth = 64;  // of nested bodies and brackets
  int64_t max_nodes = 5'000'000;
  int64_t max_generated_bytes = int64_t{8} << 30;  // of all {random = ...} constants together
  bool infer = true;  // infer types that are not written, and check those that are
};
// The result is well-formed (names defined once and before their use, known ops) but not verified:
// Verify() checks nodes against their declarations.
// Errors are InvalidArgument "file:line:column: what, expected what" with the line and a caret.
// Memory that cannot be had is ResourceExhausted: in the same form where a constant wanted it.
absl::StatusOr<std::unique_ptr<Graph>> Parse(absl::string_view text, const OpRegistry& ops,
                                             const ParseOptions& options = {});

// A string in double quotes with \" \\ \n \t \xHH escapes: safe in logs and readable back. What is
// not valid UTF-8, and characters that hide or reorder what a terminal shows, are escaped as well.
std::string Quote(absl::string_view text);

// Names come from files: messages show every one of them through these.
// 'conv1' in single quotes, escaped likewise; of a long name the beginning and its size.
std::string Shown(absl::string_view name);
// %conv1, as the text form writes a value; a long name is cut likewise.
std::string ShownValue(absl::string_view name);
// The escapes alone, for text that is no name (a path, a list of passes); cut likewise.
std::string Escaped(absl::string_view text);

}  // namespace sluice

#endif  // SLUICE_GRAPH_TEXT_H_
