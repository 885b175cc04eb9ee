// ONNX as the table of formats wants it: whole models by path, with the options of all formats.
#ifndef SLUICE_EXCHANGE_ONNX_MODEL_H_
#define SLUICE_EXCHANGE_ONNX_MODEL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "exchange/model.h"
#include "exchange/sight.h"

namespace sluice {

// Likely where the file begins with two fields of a ModelProto or more, and no others.
Likeness LooksLikeOnnx(const Sight& sight);
absl::StatusOr<std::unique_ptr<Graph>> ReadOnnxModel(const std::string& path,
                                                     const ReadOptions& options);
absl::Status WriteOnnxModel(const Graph& graph, const std::string& path,
                            const WriteOptions& options);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_ONNX_MODEL_H_
