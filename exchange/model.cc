#include "exchange/model.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exchange/file.h"
#include "exchange/graph_file.h"
#include "exchange/onnx_export.h"
#include "exchange/onnx_import.h"
#include "exchange/safetensors.h"
#include "exchange/weights.h"
#include "graph/text.h"
#include "ops/op.h"

namespace sluice {
namespace {

std::string WeightsBeside(const std::string& path) { return absl::StrCat(path, ".safetensors"); }

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

ModelFormat FormatByName(absl::string_view path) {
  if (absl::EndsWith(path, ".onnx")) return ModelFormat::kOnnx;
  if (absl::EndsWith(path, ".txt")) return ModelFormat::kText;
  if (absl::EndsWith(path, ".sluice")) return ModelFormat::kFile;
  return ModelFormat::kFolder;
}

// safetensors begin with the header's length and '{'; text is text; the rest must be ONNX.
absl::StatusOr<ModelFormat> FormatByContent(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return ModelFormat::kFolder;
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  const absl::string_view bytes = (*file)->bytes();
  if (bytes.empty()) return absl::InvalidArgumentError(absl::StrCat(Quote(path), " is empty"));
  if (bytes.size() > 8 && bytes[8] == '{') {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    if (length <= bytes.size() - 8) return ModelFormat::kFile;
  }
  bool text = true;
  for (char c : bytes.substr(0, 256))
    text &= static_cast<unsigned char>(c) >= ' ' || absl::ascii_isspace(c);
  if (text) return ModelFormat::kText;
  return absl::EndsWith(path, ".sluice") ? ModelFormat::kFile : ModelFormat::kOnnx;
}

absl::StatusOr<std::unique_ptr<Graph>> ReadText(const std::string& path,
                                                const ReadOptions& options) {
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  ParseOptions parse;
  parse.file = BaseName(path);
  parse.max_depth = options.max_depth;
  parse.max_nodes = options.max_nodes;
  if (Exists(WeightsBeside(path))) {
    absl::StatusOr<Safetensors> weights = ReadSafetensors(WeightsBeside(path));
    if (!weights.ok()) return weights.status();
    auto store = std::make_shared<WeightStore>(*std::move(weights), options.verify_checksums);
    parse.find_tensor = [store](absl::string_view hash) { return store->Find(hash); };
  }
  return Parse((*file)->bytes(), StandardOps(), parse);
}

// The weights are in place before what refers to them.
absl::Status WriteText(const Graph& graph, const std::string& path) {
  PrintOptions print;
  print.max_inline_elements = kMaxInlineElements;
  const std::string text = Print(graph, print);
  const Safetensors weights = CollectWeights(graph);
  absl::StatusOr<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(path);
  if (!file.ok()) return file.status();
  absl::Status s = (*file)->Append(text);
  if (s.ok()) s = (*file)->Sync();
  if (s.ok() && !weights.tensors.empty()) s = WriteSafetensors(weights, WeightsBeside(path));
  return s.ok() ? (*file)->Commit() : s;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Graph>> ReadModel(const std::string& path,
                                                 const ReadOptions& options) {
  ModelFormat format = options.format;
  if (format == ModelFormat::kAuto) {
    absl::StatusOr<ModelFormat> found = FormatByContent(path);
    if (!found.ok()) return found.status();
    format = *found;
  }
  switch (format) {
    case ModelFormat::kText:
      return ReadText(path, options);
    case ModelFormat::kFile:
      return ReadGraphFile(path, options);
    case ModelFormat::kOnnx: {
      OnnxImportOptions import;
      import.max_nodes = options.max_nodes;
      import.max_depth = options.max_depth;
      return ImportOnnx(path, import);
    }
    default:
      return ReadGraphFolder(path, options);
  }
}

absl::Status WriteModel(const Graph& graph, const std::string& path, const WriteOptions& options) {
  if (!graph.status().ok()) return graph.status();  // half a program
  for (const auto& [name, function] : graph.functions()) {
    if (function == nullptr)
      return absl::FailedPreconditionError(absl::StrCat("function ", Shown(name), " is null"));
  }
  switch (options.format == ModelFormat::kAuto ? FormatByName(path) : options.format) {
    case ModelFormat::kText:
      return WriteText(graph, path);
    case ModelFormat::kFile:
      return WriteGraphFile(graph, path, options.packed);
    case ModelFormat::kOnnx:
      return ExportOnnx(graph, path);
    default:
      return WriteGraphFolder(graph, path);
  }
}

}  // namespace sluice
