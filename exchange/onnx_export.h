// Graphs as ONNX models.
#ifndef SLUICE_EXCHANGE_ONNX_EXPORT_H_
#define SLUICE_EXCHANGE_ONNX_EXPORT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "graph/graph.h"

namespace sluice {

struct OnnxExportOptions {
  // With more bytes of weights than this, they go to <name>.<hash>.data beside the model.
  int64_t max_inline_bytes = int64_t{1536} << 20;
};

// Writes the oldest opset (21 at least) that has every op of the graph in its canonical form, so
// that as many runtimes as possible load it. Our own ops are written as what they expand to, calls
// of functions as the function's nodes; a Variable becomes an initialiser of its initial value.
// Every name stands once in the model, bodies included; results of bodies have their ranks and
// fixed extents. Inputs with a default are initialisers and inputs both, unless the graph was
// optimised: then they are constants. FailedPrecondition, with the node, where that is not possible
// (Assign: ONNX has no state). Replaces an older model, data included, as one.
absl::Status ExportOnnx(const Graph& graph, const std::string& path,
                        const OnnxExportOptions& options = {});

// The model's bytes, whose weights must fit inside.
absl::StatusOr<std::string> ExportOnnxBytes(const Graph& graph);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_ONNX_EXPORT_H_
