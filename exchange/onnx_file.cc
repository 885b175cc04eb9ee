#include "exchange/onnx_file.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "base/unfinished_message.h"
#include "exchange/wire_reader.h"

namespace sluice {
namespace {

// Payloads below this size are parsed with the message.
constexpr size_t kLeftOut = 4096;

constexpr uint64_t kModelGraph = BytesTag(7), kGraphInitializer = BytesTag(5),
                   kTensorRawData = BytesTag(9);

void Append(absl::string_view bytes, std::string* out) { out->append(bytes.data(), bytes.size()); }

void AppendMessage(uint64_t tag, absl::string_view content, std::string* out) {
  for (uint64_t v : {tag, static_cast<uint64_t>(content.size())}) {
    for (; v >= 128; v >>= 7) out->push_back(static_cast<char>(v | 128));
    out->push_back(static_cast<char>(v));
  }
  Append(content, out);
}

// The initialiser without its raw_data, which goes to `payload`.
bool StripTensor(absl::string_view tensor, std::string* out, RawPayload* payload) {
  WireReader reader(tensor);
  while (reader.Next()) {
    if (reader.tag == kTensorRawData) {
      payload->bytes = reader.content;  // the last one counts, as for any protobuf reader
    } else {
      Append(reader.field, out);
    }
  }
  return reader.ok();
}

bool StripGraph(absl::string_view graph, std::string* out, OnnxFile* file) {
  WireReader reader(graph);
  std::string tensor;
  while (reader.Next()) {
    if (reader.tag != kGraphInitializer) {
      Append(reader.field, out);
      continue;
    }
    file->payloads.emplace_back();
    if (reader.content.size() < kLeftOut) {
      Append(reader.field, out);
      continue;
    }
    tensor.clear();
    if (!StripTensor(reader.content, &tensor, &file->payloads.back())) return false;
    AppendMessage(kGraphInitializer, tensor, out);
  }
  return reader.ok();
}

bool StripModel(absl::string_view model, std::string* out, OnnxFile* file) {
  WireReader reader(model);
  std::string graph;
  while (reader.Next()) {
    if (reader.tag != kModelGraph) {
      Append(reader.field, out);
      continue;
    }
    graph.clear();
    if (!StripGraph(reader.content, &graph, file)) return false;
    AppendMessage(kModelGraph, graph, out);
  }
  return reader.ok();
}

}  // namespace

absl::StatusOr<OnnxFile> ParseOnnx(absl::string_view bytes, std::shared_ptr<const MappedFile> file,
                                   int max_depth) {
  OnnxFile result;
  UnfinishedMessage<onnx::ModelProto> model;
  std::string stripped;
  if (bytes.empty()) return absl::InvalidArgumentError("it is empty, not an ONNX model");
  if (!StripModel(bytes, &stripped, &result)) {
    return absl::InvalidArgumentError(
        "it is not an ONNX model, or is truncated or damaged (its protobuf encoding breaks off)");
  }
  for (RawPayload& payload : result.payloads) payload.file = file;
  if (stripped.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    return absl::ResourceExhaustedError(
        "without its initialisers the model is still over 2 GiB, more than protobuf can read");
  }
  google::protobuf::io::ArrayInputStream array(stripped.data(), static_cast<int>(stripped.size()));
  google::protobuf::io::CodedInputStream stream(&array);
  // Graph, node and attribute for each level of subgraphs, and the types below.
  stream.SetRecursionLimit(3 * max_depth + 40);
  if (!model->ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "it is not an ONNX model, is damaged, or its subgraphs nest deeper than ", max_depth));
  }
  if (!model->has_graph())
    return absl::InvalidArgumentError("it is not an ONNX model: it holds no graph");
  if (result.payloads.size() != static_cast<size_t>(model->graph().initializer_size()))
    return absl::InvalidArgumentError("its protobuf encoding is ambiguous");
  result.model = std::move(*model);
  return result;
}

}  // namespace sluice
