// An ONNX file as a message, with the weights left where they are.
#ifndef SLUICE_EXCHANGE_ONNX_FILE_H_
#define SLUICE_EXCHANGE_ONNX_FILE_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "exchange/file.h"
#include "exchange/tensor_proto.h"
#include "proto/onnx.pb.h"

namespace sluice {

// The raw_data of the main graph's larger initialisers is not parsed into the message: payloads[i]
// stands for initializer(i)'s where it is not null. So reading a model copies no large weights, and
// models over protobuf's 2 GiB load too.
struct OnnxFile {
  onnx::ModelProto model;
  std::vector<RawPayload> payloads;  // bytes.data() is null where the message has it all
};

// `bytes` (of `file`, where they are a mapped file's) must outlive the result. Subgraphs may nest
// `max_depth` deep. InvalidArgument where it is no ONNX model, or truncated.
absl::StatusOr<OnnxFile> ParseOnnx(absl::string_view bytes, std::shared_ptr<const MappedFile> file,
                                   int max_depth);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_ONNX_FILE_H_
