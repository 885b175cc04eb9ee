// Reading and writing whole models. Which format a file has its content says, and its name where
// that says nothing; to which it is written the name's ending says (the rows of formats.h).
#ifndef SLUICE_EXCHANGE_MODEL_H_
#define SLUICE_EXCHANGE_MODEL_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "exchange/file_access.h"
#include "graph/graph.h"
#include "graph/packed_set.h"
#include "graph/state_snapshot.h"

namespace sluice {

enum class ModelFormat {
  kAuto,  // by content where it is read, by the name's ending where it is written
  kOnnx,  // .onnx: ONNX protobuf; weights over 1.5 GB in all go to <name>.<hash>.data beside it
  kFile,  // .sluice: one safetensors file with the graph's bytes in a U8 tensor named sluice.graph
  kFolder,  // no ending, or a slash: graph.pb and weights.<hash>.safetensors
  kText,    // .sluice.txt, .txt: text form; large constants in <name>.<hash>.safetensors beside it,
            // which its first line names
};

struct ReadOptions {
  ModelFormat format = ModelFormat::kAuto;
  int64_t max_nodes = 5'000'000;
  int max_depth = 64;
  // All of the graph and its weights are compared with their checksums before they are used: 10
  // GB/s on a few threads. Weights that come packed are compared when a kernel takes them.
  bool verify_checksums = true;
  // With kCopy a file that shrinks, or is overwritten in place, after it was read cannot hurt.
  FileAccess access = FileAccess::kMap;
  // False: the model is what lies at the path alone, as of standard input; one that names files
  // beside it is PermissionDenied.
  bool files_beside = true;
  // Receives the weights that our single file holds packed; null: they are left alone.
  PackedSet* packed = nullptr;
};

// Weights are memory-mapped where the format allows: while the graph or a session over it lives,
// the files must not be truncated or overwritten in place (WriteModel renames). Where that cannot
// be promised, `access` asks for copies. The file is untrusted: every error is a Status naming the
// file and the place, and of a file that is no model what it is instead; nothing outside the
// model's folder is opened. While others replace the model, one of theirs is read, whole.
absl::StatusOr<std::unique_ptr<Graph>> ReadModel(const std::string& path,
                                                 const ReadOptions& options = {});

struct WriteOptions {
  ModelFormat format = ModelFormat::kAuto;
  const PackedSet* packed = nullptr;  // saved beside the graph; the single file only
  // The values that variables begin with, as State::Snapshot() gives them; those that it does not
  // hold keep their initial ones. ONNX has no state: there they are constants.
  const StateSnapshot* state = nullptr;
  // The program that ONNX gets of a graph with signatures; empty: the only one without effects.
  // FailedPrecondition for one with effects, naming it.
  std::string signature = {};
};
// Atomic, in every form: written beside the target, synced, then renamed. However it ends (an
// error, a signal, loss of power), and however many write at once, there is one model, whole: an
// old or a new one. On an error nothing of the new is left. InvalidArgument for a name with an
// ending that no format has (a folder of such a name ends in a slash, or is there).
absl::Status WriteModel(const Graph& graph, const std::string& path,
                        const WriteOptions& options = {});

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_MODEL_H_
