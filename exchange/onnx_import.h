// ONNX models, opset 6 to the newest of ONNX 1.22, as canonical graphs.
#ifndef SLUICE_EXCHANGE_ONNX_IMPORT_H_
#define SLUICE_EXCHANGE_ONNX_IMPORT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "exchange/file_access.h"
#include "graph/graph.h"
#include "ops/op.h"

namespace sluice {

struct OnnxImportOptions {
  int64_t max_nodes = 5'000'000;         // after inlining functions
  int max_depth = 64;                    // of nested subgraphs and function calls
  FileAccess access = FileAccess::kMap;  // of the model's file and of external data
  bool files_beside = true;              // ReadOptions::files_beside
};

// What becomes of ONNX's concepts:
// - Initialisers become Constant nodes; those that are inputs too may be fed all the same
//   (graph/default_inputs.h). Unused ones are dropped.
// - Model-local functions are inlined; a function wins over an op of the same name.
// - Symbols (dim_param) are kept; an extent that is absent or negative gets a fresh symbol.
// - Declared types of outputs and intermediate values (value_info) are believed only where
// inference knows nothing.
// - Nodes out of order are sorted. Names of inner values that stand for two things are changed.
// - Metadata keeps its keys; producer, opset and so on stand under "onnx.*".
// Errors name the node; unknown ops are all listed in one error.
absl::StatusOr<std::unique_ptr<Graph>> ImportOnnx(const std::string& path,
                                                  const OnnxImportOptions& options = {},
                                                  const OpRegistry& ops = StandardOps());

// From memory: external data is refused. `name` stands for the file in messages and origins.
absl::StatusOr<std::unique_ptr<Graph>> ImportOnnxBytes(absl::string_view bytes,
                                                       const std::string& name = "<memory>",
                                                       const OnnxImportOptions& options = {},
                                                       const OpRegistry& ops = StandardOps());

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_ONNX_IMPORT_H_
