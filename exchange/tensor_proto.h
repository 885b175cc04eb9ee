// ONNX's TensorProto: payloads inside the message, in the model's file, or in a file beside it.
#ifndef SLUICE_EXCHANGE_TENSOR_PROTO_H_
#define SLUICE_EXCHANGE_TENSOR_PROTO_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "exchange/file.h"
#include "graph/tensor.h"
#include "proto/onnx.pb.h"

namespace sluice {

// Raw bytes that were left out of a parsed message: a part of `file`, or of memory where file is
// null.
struct RawPayload {
  absl::string_view bytes;
  std::shared_ptr<const MappedFile> file;
};

// Reads the tensors of one model. Everything in a message is untrusted: extents, sizes, which field
// is set, and where external data lies.
class TensorProtoReader {
 public:
  // External data is opened below `folder` only; with "" (a model from memory) it is refused.
  explicit TensorProtoReader(std::string folder, FileAccess access = FileAccess::kMap)
      : folder_path_(std::move(folder)), access_(access) {}

  // `payload` stands for the message's raw_data where it was left out. External data, and large
  // matrices and filters of floats in the model's file, stay where they lie (see Tensor::Aligned);
  // everything else is copied once.
  absl::StatusOr<Tensor> Read(const onnx::TensorProto& proto, const RawPayload* payload = nullptr);
  // As a dense tensor; all of one model together up to 1 GiB.
  absl::StatusOr<Tensor> ReadSparse(const onnx::SparseTensorProto& proto);

 private:
  absl::StatusOr<Tensor> ReadExternal(const onnx::TensorProto& proto, DType dtype,
                                      const Dims& dims);
  std::string folder_path_;
  FileAccess access_;
  std::shared_ptr<const Folder> folder_;
  absl::flat_hash_map<std::string, std::shared_ptr<const MappedFile>> files_;
  int64_t sparse_budget_ = int64_t{1} << 30;
};

// Elements as raw_data (strings as string_data).
void TensorToProto(const Tensor& tensor, onnx::TensorProto* proto);

// A file that holds one TensorProto, as in ONNX's conformance data.
absl::StatusOr<Tensor> ReadTensorPb(const std::string& path, FileAccess access = FileAccess::kMap);
absl::Status WriteTensorPb(const Tensor& tensor, const std::string& name, const std::string& path);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_TENSOR_PROTO_H_
