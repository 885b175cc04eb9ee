#include "exchange/onnx_file.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "base/unfinished_message.h"

namespace sluice {
namespace {

// Payloads below this size are parsed with the message.
constexpr size_t kLeftOut = 4096;

constexpr uint64_t kLengthDelimited = 2;
constexpr uint64_t kModelGraph = 7 << 3 | kLengthDelimited;
constexpr uint64_t kGraphInitializer = 5 << 3 | kLengthDelimited;
constexpr uint64_t kTensorRawData = 9 << 3 | kLengthDelimited;

// Walks the fields of one message on the wire.
class WireReader {
 public:
  explicit WireReader(absl::string_view bytes) : rest_(bytes) {}

  // The next field: its tag, all its bytes, and its content where length-delimited. False at the
  // end and where the bytes are malformed.
  bool Next() {
    const char* begin = rest_.data();
    if (rest_.empty() || !Varint(&tag)) return false;
    tag &= 0xffffffff;  // as protobuf reads it: a longer one must not look like another field
    uint64_t size = 0;
    switch (tag & 7) {
      case 0:
        if (!Varint(&size)) return false;
        break;
      case 1:
      case 5:
        if (!Skip((tag & 7) == 1 ? 8 : 4)) return false;
        break;
      case kLengthDelimited:
        if (!Varint(&size) || size > rest_.size()) return Broken();
        content = rest_.substr(0, size);
        rest_.remove_prefix(size);
        break;
      default:
        return Broken();
    }
    field = absl::string_view(begin, static_cast<size_t>(rest_.data() - begin));
    return true;
  }
  bool ok() const { return ok_; }

  uint64_t tag = 0;
  absl::string_view field, content;

 private:
  bool Broken() { return ok_ = false; }
  bool Skip(size_t n) {
    if (rest_.size() < n) return Broken();
    rest_.remove_prefix(n);
    return true;
  }
  bool Varint(uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return Broken();
      const uint64_t byte = static_cast<unsigned char>(rest_[0]);
      rest_.remove_prefix(1);
      *value |= (byte & 127) << shift;
      if (byte < 128) return true;
    }
    return Broken();
  }
  absl::string_view rest_;
  bool ok_ = true;
};

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
