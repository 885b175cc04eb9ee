#include "exchange/onnx_model.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "exchange/one_signature.h"
#include "exchange/onnx_export.h"
#include "exchange/onnx_import.h"
#include "exchange/wire_reader.h"

namespace sluice {
namespace {

bool IsPrintable(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c >= ' ' || absl::ascii_isspace(c); });
}

// Whether a message may begin with one of these length-delimited fields (numbers below 16).
bool MayBegin(absl::string_view message, std::initializer_list<uint64_t> numbers) {
  return message.empty() || std::any_of(numbers.begin(), numbers.end(), [&](uint64_t n) {
           return static_cast<unsigned char>(message[0]) == BytesTag(n);
         });
}

}  // namespace

Likeness LooksLikeOnnx(const Sight& sight) {
  WireReader model(sight.head, WireReader::Extent::kBeginning);
  int fields = 0;
  for (; model.Next(); ++fields) {
    bool fits = false;
    switch (model.tag) {
      case VarintTag(1):  // ir_version
      case VarintTag(5):  // model_version
        fits = true;
        break;
      case BytesTag(2):  // producer_name, producer_version, domain, doc_string
      case BytesTag(3):
      case BytesTag(4):
      case BytesTag(6):
        fits = IsPrintable(model.content);
        break;
      case BytesTag(7):  // graph: node, name, initializer, doc_string, input, output, value_info
        fits = MayBegin(model.content, {1, 2, 5, 10, 11, 12, 13, 14});
        break;
      case BytesTag(8):  // opset_import: domain, or a version alone
        fits = MayBegin(model.content, {1}) || model.content[0] == VarintTag(2);
        break;
      case BytesTag(14):  // metadata_props: key
      case BytesTag(20):  // training_info: initialization
      case BytesTag(25):  // functions: name
      case BytesTag(26):  // configuration: name
        fits = MayBegin(model.content, {1});
        break;
      default:
        break;
    }
    if (!fits) return Likeness::kNone;
  }
  return model.ok() && fields >= 2 ? Likeness::kLikely : Likeness::kNone;
}

absl::StatusOr<std::unique_ptr<Graph>> ReadOnnxModel(const std::string& path,
                                                     const ReadOptions& options) {
  OnnxImportOptions import;
  import.max_nodes = options.max_nodes;
  import.max_depth = options.max_depth;
  import.access = options.access;
  import.files_beside = options.files_beside;
  return ImportOnnx(path, import);
}

absl::Status WriteOnnxModel(const Graph& graph, const std::string& path,
                            const WriteOptions& options) {
  if (graph.signatures().empty() && options.signature.empty()) return ExportOnnx(graph, path);
  absl::StatusOr<std::unique_ptr<Graph>> one = OneSignature(graph, options.signature);
  return one.ok() ? ExportOnnx(**one, path) : one.status();
}

}  // namespace sluice
