#include "exchange/model.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/no_throw.h"
#include "exchange/file.h"
#include "exchange/graph_file.h"
#include "exchange/one_signature.h"
#include "exchange/onnx_export.h"
#include "exchange/onnx_import.h"
#include "exchange/safetensors.h"
#include "exchange/weights.h"
#include "graph/text.h"
#include "ops/op.h"

namespace sluice {
namespace {

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
  // Read, not mapped: whatever the access, this may be the moment at which the file is truncated.
  char first[256];
  const size_t size = (*file)->bytes().size(), known = std::min(size, sizeof first);
  if (absl::Status s = (*file)->Read(0, known, first); !s.ok()) return s;
  if (size == 0) return absl::InvalidArgumentError(absl::StrCat(Quote(path), " is empty"));
  if (known > 8 && first[8] == '{') {
    uint64_t length = 0;
    std::memcpy(&length, first, 8);
    if (length <= size - 8) return ModelFormat::kFile;
  }
  bool text = true;
  for (char c : absl::string_view(first, known))
    text &= static_cast<unsigned char>(c) >= ' ' || absl::ascii_isspace(c);
  if (text) return ModelFormat::kText;
  return absl::EndsWith(path, ".sluice") ? ModelFormat::kFile : ModelFormat::kOnnx;
}

// The first line of a text whose larger constants lie beside it: a comment to the parser.
constexpr char kWeightsLine[] = "// weights: ", kEnding[] = ".safetensors";

// The file in the text's folder that holds its weights; "" where it has none.
std::string WeightsOf(const std::string& path, absl::string_view text) {
  if (absl::ConsumePrefix(&text, kWeightsLine))
    return std::string(absl::StripAsciiWhitespace(text.substr(0, text.find('\n'))));
  const std::string plain = absl::StrCat(BaseName(path), kEnding);  // as versions before named it
  return Exists(absl::StrCat(FolderOf(path), "/", plain)) ? plain : "";
}

// What lies where a model was to be fetched to, when it was not.
absl::Status CheckIsModel(absl::string_view text) {
  text = absl::StripLeadingAsciiWhitespace(text.substr(0, 1000));
  if (absl::StartsWith(text, "version https://git-lfs")) {
    return absl::InvalidArgumentError(
        "it is a pointer of Git LFS, not the model: fetch the model itself (git lfs pull)");
  }
  if (absl::StartsWithIgnoreCase(text, "<!doctype html") ||
      absl::StartsWithIgnoreCase(text, "<html"))
    return absl::InvalidArgumentError("it is a web page, not a model");
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Graph>> ReadText(const std::string& path,
                                                const ReadOptions& options) {
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path, options.access);
  if (!file.ok()) return file.status();
  ParseOptions parse;
  parse.file = BaseName(path);
  parse.max_depth = options.max_depth;
  parse.max_nodes = options.max_nodes;
  const std::string beside = WeightsOf(path, (*file)->bytes());
  if (!beside.empty() && !options.files_beside) {
    return absl::PermissionDeniedError(
        absl::StrCat("its weights lie in another file, ", Shown(beside),
                     ", and there is no folder to look in; read the model by its path"));
  }
  if (!beside.empty()) {
    absl::StatusOr<std::shared_ptr<const Folder>> folder =
        Folder::Open(FolderOf(path), options.access);
    if (!folder.ok()) return folder.status();
    // A name that the text gives is not trusted, one that follows from the user's path is.
    absl::StatusOr<std::shared_ptr<const MappedFile>> opened =
        absl::StartsWith((*file)->bytes(), kWeightsLine)
            ? (*folder)->OpenBelow(beside)
            : MappedFile::Open(absl::StrCat(FolderOf(path), "/", beside), options.access);
    if (!opened.ok()) return opened.status();
    absl::StatusOr<Safetensors> weights = ReadSafetensors(*opened);
    if (!weights.ok()) return weights.status();
    auto store = std::make_shared<WeightStore>(*std::move(weights), options.verify_checksums);
    parse.find_tensor = [store](absl::string_view hash) { return store->Find(hash); };
  }
  if (absl::Status s = CheckIsModel((*file)->bytes()); !s.ok()) return s;
  return Parse((*file)->bytes(), StandardOps(), parse);
}

absl::Status WriteText(const Graph& graph, const std::string& path) {
  PrintOptions print;
  print.max_inline_elements = kMaxInlineElements;
  const Safetensors weights = CollectWeights(graph);
  absl::StatusOr<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(path);
  if (!file.ok()) return file.status();
  std::unique_ptr<AtomicFile> part;
  absl::Status s;
  if (!weights.tensors.empty()) {
    const std::string name = PartName(path, HashOfWeights(weights), kEnding);
    auto created = AtomicFile::Create(absl::StrCat(FolderOf(path), "/", name));
    if (!created.ok()) return created.status();
    part = *std::move(created);
    s = (*file)->Append(absl::StrCat(kWeightsLine, name, "\n"));
    if (s.ok()) s = AppendSafetensors(weights, part.get());
  }
  if (s.ok()) s = (*file)->Append(Print(graph, print));
  if (!s.ok()) return s;
  return CommitWithPart(file->get(), part.get(), [&]() -> std::string {
    auto old = MappedFile::Open(path);
    const std::string name = old.ok() ? WeightsOf(path, (*old)->bytes()) : "";
    const bool ours =
        IsPartName(path, name, kEnding) || name == absl::StrCat(BaseName(path), kEnding);
    return ours ? name : "";
  });
}

// Which file stands at a path now: it tells whether another took its place.
struct Identity {
  ino_t inode = 0;
  int64_t seconds = 0, nanoseconds = 0;
  friend bool operator==(const Identity&, const Identity&) = default;
};
Identity IdentityOf(const std::string& path) {
  struct stat info;
  if (stat(absl::StrCat(path, "/graph.pb").c_str(), &info) != 0 && stat(path.c_str(), &info) != 0)
    return {};
  return {info.st_ino, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

absl::StatusOr<std::unique_ptr<Graph>> ReadOnce(const std::string& path,
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
      import.access = options.access;
      import.files_beside = options.files_beside;
      return ImportOnnx(path, import);
    }
    default:
      return ReadGraphFolder(path, options);
  }
}

}  // namespace

// A model of two files may be replaced between the opening of the one and the other.
absl::StatusOr<std::unique_ptr<Graph>> ReadModel(const std::string& path,
                                                 const ReadOptions& options) try {
  constexpr int kTries = 10;
  for (int i = 1;; ++i) {
    const Identity before = IdentityOf(path);
    absl::StatusOr<std::unique_ptr<Graph>> graph = ReadOnce(path, options);
    if (graph.ok() || i == kTries || IdentityOf(path) == before) return graph;
  }
} catch (...) {
  return ExceptionStatus();
}

namespace {

absl::Status SetInitialValues(const StateSnapshot& state, Graph* graph) {
  for (const auto& [name, function] : graph->functions()) {
    if (absl::Status s = SetInitialValues(state, function.get()); !s.ok()) return s;
  }
  for (const auto& node : graph->nodes()) {
    for (const auto& [name, body] : node->bodies()) {
      if (absl::Status s = SetInitialValues(state, body.get()); !s.ok()) return s;
    }
    if (!node->Is("Variable")) continue;
    for (const auto& [name, value] : state.variables) {
      if (name != node->String("name")) continue;
      const Tensor& initial = *node->GetTensor("value");
      if (Type::Of(value) != Type::Of(initial)) {
        return NodeError(*node, absl::StatusCode::kInvalidArgument,
                         absl::StrCat("the value given for it is ", value.TypeString(),
                                      "; expected ", initial.TypeString()));
      }
      node->SetAttr("value", value);
    }
  }
  return absl::OkStatus();
}

absl::Status WriteOnnx(const Graph& graph, const std::string& path, const std::string& signature) {
  if (graph.signatures().empty() && signature.empty()) return ExportOnnx(graph, path);
  absl::StatusOr<std::unique_ptr<Graph>> one = OneSignature(graph, signature);
  return one.ok() ? ExportOnnx(**one, path) : one.status();
}

}  // namespace

absl::Status WriteModel(const Graph& graph, const std::string& path,
                        const WriteOptions& options) try {
  if (!graph.status().ok()) return graph.status();  // half a program
  for (const auto& [name, function] : graph.functions()) {
    if (function == nullptr)
      return absl::FailedPreconditionError(absl::StrCat("function ", Shown(name), " is null"));
  }
  if (options.state != nullptr) {
    const std::unique_ptr<Graph> copy = graph.Clone();
    if (absl::Status s = SetInitialValues(*options.state, copy.get()); !s.ok()) return s;
    WriteOptions plain = options;
    plain.state = nullptr;
    return WriteModel(*copy, path, plain);
  }
  switch (options.format == ModelFormat::kAuto ? FormatByName(path) : options.format) {
    case ModelFormat::kText:
      return WriteText(graph, path);
    case ModelFormat::kFile:
      return WriteGraphFile(graph, path, options.packed);
    case ModelFormat::kOnnx:
      return WriteOnnx(graph, path, options.signature);
    default:
      return WriteGraphFolder(graph, path);
  }
} catch (...) {
  return ExceptionStatus();
}

}  // namespace sluice
