// The text form as a file. Its larger constants lie beside it, in a safetensors file that its first
// line names.
#ifndef SLUICE_EXCHANGE_TEXT_FILE_H_
#define SLUICE_EXCHANGE_TEXT_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "exchange/model.h"
#include "exchange/sight.h"

namespace sluice {

// Certain where the first word is one that a text of ours begins with, likely of any other text.
Likeness LooksLikeText(const Sight& sight);
absl::StatusOr<std::unique_ptr<Graph>> ReadText(const std::string& path,
                                                const ReadOptions& options);
absl::Status WriteText(const Graph& graph, const std::string& path, const WriteOptions& options);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_TEXT_FILE_H_
