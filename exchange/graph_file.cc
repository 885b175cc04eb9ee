#include "exchange/graph_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "exchange/file.h"
#include "exchange/packed_file.h"
#include "exchange/safetensors.h"
#include "exchange/weights.h"
#include "graph/graph_def.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"

namespace sluice {
namespace {

constexpr char kGraphTensor[] = "sluice.graph";
constexpr char kGraphHash[] = "sluice.graph.hash";                  // metadata of the weights
constexpr char kWeights[] = "weights", kEnding[] = ".safetensors";  // in a folder

absl::Status In(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(Quote(path), ": ", status.message()));
}

std::string HashOf(absl::string_view bytes) {
  Hasher hasher;
  hasher.AddBytes(bytes.data(), bytes.size());
  return hasher.Hex();
}

// The graph's bytes; its larger constants go to `weights`.
absl::StatusOr<std::string> Encode(const Graph& graph, Safetensors* weights) {
  absl::flat_hash_set<std::string> seen;
  auto sink = [&](const Tensor& t) -> absl::StatusOr<std::string> {
    std::string hash = t.ContentHash();
    if (seen.insert(hash).second) weights->tensors.push_back({hash, t});
    return hash;
  };
  absl::StatusOr<proto::GraphDef> def = Export(graph, sink);
  if (!def.ok()) return def.status();
  absl::StatusOr<std::string> bytes = SerializeGraphDef(*def);
  if (bytes.ok()) weights->metadata[kGraphHash] = HashOf(*bytes);
  return bytes;
}

absl::StatusOr<std::unique_ptr<Graph>> Decode(absl::string_view bytes, Safetensors weights,
                                              const ReadOptions& options) {
  auto hash = weights.metadata.find(kGraphHash);
  if (options.verify_checksums && hash != weights.metadata.end() && hash->second != HashOf(bytes)) {
    return absl::DataLossError(
        "the graph does not match its checksum: the file is damaged, or graph and weights are not "
        "of one writing");
  }
  absl::StatusOr<proto::GraphDef> def = ParseGraphDef(bytes);
  if (!def.ok()) return def.status();
  const WeightStore store(std::move(weights), options.verify_checksums);
  ImportOptions import;
  import.max_depth = options.max_depth;
  import.max_nodes = options.max_nodes;
  auto graph =
      Import(*def, StandardOps(), [&](absl::string_view name) { return store.Find(name); }, import);
  if (!graph.ok()) return graph;
  if (absl::Status s = InferTypes(graph->get()); !s.ok()) return s;
  return graph;
}

// The weights' file in the folder of the graph with these bytes.
std::string WeightsOf(const std::string& folder, absl::string_view graph) {
  const std::string name = PartName(kWeights, HashOf(graph), kEnding);
  const std::string plain = absl::StrCat(kWeights, kEnding);  // as versions before named it
  auto exists = [&](const std::string& n) {
    return access(absl::StrCat(folder, "/", n).c_str(), F_OK) == 0;
  };
  return !exists(name) && exists(plain) ? plain : name;
}

}  // namespace

Likeness LooksLikeGraphFolder(const Sight& sight) {
  if (!sight.folder) return Likeness::kNone;
  return sight.HasFile("graph.pb") ? Likeness::kCertain : Likeness::kLikely;
}

absl::StatusOr<std::unique_ptr<Graph>> ReadGraphFolder(const std::string& path,
                                                       const ReadOptions& options) {
  const std::string graph_path = path + "/graph.pb";
  if (access(graph_path.c_str(), F_OK) != 0) {
    return absl::NotFoundError(absl::StrCat(Quote(path),
                                            " is a folder without graph.pb, so no model of ours; "
                                            "if a model lies in it, name that file"));
  }
  absl::StatusOr<std::shared_ptr<const MappedFile>> file =
      MappedFile::Open(graph_path, options.access);
  if (!file.ok()) return file.status();
  const std::string name = WeightsOf(path, (*file)->bytes());
  absl::StatusOr<Safetensors> weights =
      ReadSafetensors(absl::StrCat(path, "/", name), options.access);
  if (absl::IsNotFound(weights.status())) {
    return absl::DataLossError(
        absl::StrCat(Quote(path), " has no ", name,
                     ", the weights of its graph.pb: that is damaged, or graph "
                     "and weights are not of one writing"));
  }
  if (!weights.ok()) return weights.status();
  auto graph = Decode((*file)->bytes(), *std::move(weights), options);
  if (!graph.ok()) return In(path, graph.status());
  return graph;
}

absl::Status WriteGraphFolder(const Graph& graph, const std::string& path, const WriteOptions&) {
  Safetensors weights;
  absl::StatusOr<std::string> bytes = Encode(graph, &weights);
  if (!bytes.ok()) return In(path, bytes.status());
  const bool made = mkdir(path.c_str(), 0777) == 0;
  if (!made && errno != EEXIST)
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make folder ", Quote(path)));
  const std::string graph_path = path + "/graph.pb";
  absl::Status status = [&] {
    auto graph_file = AtomicFile::Create(graph_path);
    if (!graph_file.ok()) return graph_file.status();
    auto weights_file =
        AtomicFile::Create(absl::StrCat(path, "/", PartName(kWeights, HashOf(*bytes), kEnding)));
    if (!weights_file.ok()) return weights_file.status();
    absl::Status s = (*graph_file)->Append(*bytes);
    if (s.ok()) s = AppendSafetensors(weights, weights_file->get());
    if (!s.ok()) return s;
    return CommitWithPart(graph_file->get(), weights_file->get(), [&] {
      auto old = MappedFile::Open(graph_path);
      return old.ok() ? WeightsOf(path, (*old)->bytes()) : "";
    });
  }();
  if (!status.ok() && made) rmdir(path.c_str());
  return status;
}

Likeness LooksLikeGraphFile(const Sight& sight) {
  // Eight bytes hold the length of a JSON object that follows.
  uint64_t length = 0;
  if (!sight.Holds("{", sizeof length)) return Likeness::kNone;
  std::memcpy(&length, sight.head.data(), sizeof length);
  return length <= kMaxSafetensorsHeader ? Likeness::kCertain : Likeness::kNone;
}

absl::StatusOr<std::unique_ptr<Graph>> ReadGraphFile(const std::string& path,
                                                     const ReadOptions& options) {
  absl::StatusOr<Safetensors> content = ReadSafetensors(path, options.access);
  if (!content.ok()) return content.status();
  Tensor bytes;
  for (const auto& [name, tensor] : content->tensors) {
    if (name == kGraphTensor && tensor.dtype() == DType::kU8) bytes = tensor;
  }
  if (!bytes.valid()) {
    return absl::InvalidArgumentError(absl::StrCat(
        Quote(path),
        " is safetensors weights without a graph (it has no tensor sluice.graph of U8); name the "
        "text or the folder that they belong to, or, where they come from elsewhere, export their "
        "model as ONNX"));
  }
  PackedSet packed = TakePacked(&*content);
  if (options.packed != nullptr) *options.packed = std::move(packed);
  auto graph = Decode({bytes.data<char>(), bytes.bytes()}, *std::move(content), options);
  if (!graph.ok()) return In(path, graph.status());
  return graph;
}

absl::Status WriteGraphFile(const Graph& graph, const std::string& path,
                            const WriteOptions& options) {
  Safetensors content;
  absl::StatusOr<std::string> bytes = Encode(graph, &content);
  if (!bytes.ok()) return In(path, bytes.status());
  const int64_t size = static_cast<int64_t>(bytes->size());
  content.tensors.push_back(
      {kGraphTensor, Tensor::Wrap(DType::kU8, {size}, bytes->data(), nullptr)});
  if (options.packed != nullptr) {
    if (absl::Status s = AddPacked(graph, *options.packed, &content); !s.ok()) return In(path, s);
  }
  return WriteSafetensors(content, path);
}

}  // namespace sluice
