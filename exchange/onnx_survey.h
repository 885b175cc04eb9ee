// What must hold for a whole ONNX model before any of it is imported.
#ifndef SLUICE_EXCHANGE_ONNX_SURVEY_H_
#define SLUICE_EXCHANGE_ONNX_SURVEY_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "exchange/onnx_import.h"
#include "proto/onnx.pb.h"

namespace sluice {

// "ai.onnx" is "".
absl::string_view OnnxDomain(absl::string_view domain);

// The model-local functions by domain, name and overload.
class OnnxFunctions {
 public:
  absl::Status Add(const onnx::ModelProto& model);  // InvalidArgument for two of one name
  const onnx::FunctionProto* Find(const onnx::NodeProto& call) const;

 private:
  absl::flat_hash_map<std::string, const onnx::FunctionProto*> functions_;
};

// Opset by domain.
using OnnxOpsets = absl::flat_hash_map<std::string, int64_t>;
// Checks that ONNX's own opset lies in the range that is understood.
absl::StatusOr<OnnxOpsets> ReadOpsets(
    const google::protobuf::RepeatedPtrField<onnx::OperatorSetIdProto>& imports);

// Every op is known (else all unknown ones are listed, with their nodes), functions do not call
// themselves, and what inlining will make stays inside the budgets. Linear in the file's size.
absl::Status SurveyOnnx(const onnx::ModelProto& model, const OnnxFunctions& functions,
                        const OpRegistry& ops, const OnnxImportOptions& options);

// The names that `node` reads: its inputs, and what its subgraphs capture.
std::vector<const std::string*> NamesRead(const onnx::NodeProto& node);

// How messages call a node: its name, else its first output.
const std::string& OnnxNodeName(const onnx::NodeProto& node);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_ONNX_SURVEY_H_
