// Our own binary forms: a folder (graph.pb and weights.safetensors) or one safetensors file.
#ifndef SLUICE_EXCHANGE_GRAPH_FILE_H_
#define SLUICE_EXCHANGE_GRAPH_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "exchange/model.h"

namespace sluice {

absl::StatusOr<std::unique_ptr<Graph>> ReadGraphFolder(const std::string& path,
                                                       const ReadOptions& options);
// Makes the folder where there is none. Either file replaces an older one whole; should the machine
// stop between the two, reading says that they do not belong together.
absl::Status WriteGraphFolder(const Graph& graph, const std::string& path);

absl::StatusOr<std::unique_ptr<Graph>> ReadGraphFile(const std::string& path,
                                                     const ReadOptions& options);
absl::Status WriteGraphFile(const Graph& graph, const std::string& path, const PackedSet* packed);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_GRAPH_FILE_H_
