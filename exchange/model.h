// Reading and writing whole models: the format is told by content first, then by name.
#ifndef SLUICE_EXCHANGE_MODEL_H_
#define SLUICE_EXCHANGE_MODEL_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "graph/graph.h"
#include "graph/packed_set.h"

namespace sluice {

enum class ModelFormat {
  kAuto,    // by name: ".onnx", ".sluice" (single file), ".sluice.txt" or ".txt" (text), else a
            // folder
  kOnnx,    // ONNX protobuf; weights over 1.5 GB in all go to <name>.data beside it
  kFile,    // one safetensors file with the graph's bytes in a U8 tensor named sluice.graph
  kFolder,  // graph.pb and weights.safetensors
  kText,    // text form; large constants in <name>.safetensors beside it
};

struct ReadOptions {
  ModelFormat format = ModelFormat::kAuto;
  int64_t max_nodes = 5'000'000;
  int max_depth = 64;
  bool verify_checksums = true;
  // Receives the weights that our single file holds packed; null: they are left alone. Where its
  // key is `packed_key`, constants are not compared with their checksums if they stand there
  // packed: who takes the packed form compares that.
  PackedSet* packed = nullptr;
  std::string packed_key;
};

// Weights are memory-mapped where the format allows, never copied: while the graph or a session
// over it lives, the file must not be truncated or overwritten in place (WriteModel renames). The
// file is untrusted: every error is a Status naming the file and the place; nothing outside the
// model's folder is opened.
absl::StatusOr<std::unique_ptr<Graph>> ReadModel(const std::string& path,
                                                 const ReadOptions& options = {});

struct WriteOptions {
  ModelFormat format = ModelFormat::kAuto;
  const PackedSet* packed = nullptr;  // saved beside the graph; the single file only
};
// Atomic: a temporary file beside the target, fsync, rename. On an error nothing of it is left.
absl::Status WriteModel(const Graph& graph, const std::string& path,
                        const WriteOptions& options = {});

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_MODEL_H_
