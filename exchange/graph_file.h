// Our own binary forms: a folder (graph.pb and weights.<hash>.safetensors, named by the graph's
// bytes) or one safetensors file.
#ifndef SLUICE_EXCHANGE_GRAPH_FILE_H_
#define SLUICE_EXCHANGE_GRAPH_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "exchange/model.h"
#include "exchange/sight.h"

namespace sluice {

// Certain of a folder with graph.pb, likely of any other.
Likeness LooksLikeGraphFolder(const Sight& sight);
absl::StatusOr<std::unique_ptr<Graph>> ReadGraphFolder(const std::string& path,
                                                       const ReadOptions& options);
// Makes the folder where there is none. The renaming of graph.pb is the moment at which an older
// model is replaced.
absl::Status WriteGraphFolder(const Graph& graph, const std::string& path,
                              const WriteOptions& options);

// Certain of any safetensors file: whether a graph is in it, its reader says.
Likeness LooksLikeGraphFile(const Sight& sight);
absl::StatusOr<std::unique_ptr<Graph>> ReadGraphFile(const std::string& path,
                                                     const ReadOptions& options);
absl::Status WriteGraphFile(const Graph& graph, const std::string& path,
                            const WriteOptions& options);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_GRAPH_FILE_H_
