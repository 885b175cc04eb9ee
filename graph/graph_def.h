// Between a Graph and its wire form. Import() is a trust boundary: a GraphDef comes from a file.
// What readers of other versions do is in proto/README.md.
#ifndef SLUICE_GRAPH_GRAPH_DEF_H_
#define SLUICE_GRAPH_GRAPH_DEF_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "graph/graph.h"
#include "proto/graph.pb.h"

namespace sluice {

inline constexpr uint32_t kFormatVersion = 2;
inline constexpr uint32_t kOpsetVersion = 27;  // the newest of ONNX 1.22

// Puts a large tensor into the weights file and gives the name under which it stands there.
using TensorSink = std::function<absl::StatusOr<std::string>(const Tensor&)>;
// The tensor of that name.
using TensorSource = std::function<absl::StatusOr<Tensor>(absl::string_view name)>;

struct ExportOptions {
  size_t max_inline_bytes = 1024;  // larger tensors go to the sink; strings are always inline
};
// Generated tensors are written as their seed. Only the sink's errors come back; without a sink
// every tensor is inline.
absl::StatusOr<proto::GraphDef> Export(const Graph& graph, const TensorSink& sink,
                                       const ExportOptions& options = {});

struct ImportOptions {
  int max_depth = 64;  // of nested bodies
  int64_t max_nodes = 5'000'000;
  int64_t max_generated_bytes = int64_t{8} << 30;  // of all generated tensors together
};
// The result is verified; its types are those of the file (InferTypes() adds the rest and finds
// contradictions). Errors say which node or value of which graph; unknown ops are all listed.
absl::StatusOr<std::unique_ptr<Graph>> Import(const proto::GraphDef& def, const OpRegistry& ops,
                                              const TensorSource& source,
                                              const ImportOptions& options = {});

// Bytes of a GraphDef and back. The same graph gives the same bytes. Errors: over 2 GiB (only
// inline tensors can get there); bytes that are no GraphDef, or nested too deep.
absl::StatusOr<std::string> SerializeGraphDef(const proto::GraphDef& def);
absl::StatusOr<proto::GraphDef> ParseGraphDef(absl::string_view bytes);

}  // namespace sluice

#endif  // SLUICE_GRAPH_GRAPH_DEF_H_
