// What the commands of `sluice` share: where inputs come from, where results go, how failure ends.
#ifndef SLUICE_TOOLS_CLI_H_
#define SLUICE_TOOLS_CLI_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "graph/graph.h"
#include "graph/packed_set.h"
#include "runtime/session.h"

namespace sluice::cli {

// The job of a command; an error ends the program with exit code 1. `fail` may be set instead by a
// job that has told the user already.
using Job = std::function<absl::Status(bool* fail)>;

// Each adds one subcommand and, when the user chose it, sets `job`.
void AddRun(CLI::App& app, Job* job);
void AddShow(CLI::App& app, Job* job);
void AddOpt(CLI::App& app, Job* job);
void AddConvert(CLI::App& app, Job* job);
void AddCheck(CLI::App& app, Job* job);
void AddBench(CLI::App& app, Job* job);

std::string Version();

// What an option takes; anything else is a usage error that says so.
CLI::Validator WholeNumber(int64_t least, int64_t most);
CLI::Validator Number(double least, double most);  // NaN is none
CLI::Validator NotEmpty();

// "NAME=VALUE" options. A name that is given twice is an error.
absl::StatusOr<std::map<std::string, std::string>> ParsePairs(const std::vector<std::string>& pairs,
                                                              absl::string_view option);

// Text that a model file may have chosen, for a terminal: control characters but newlines become
// \xHH.
std::string Printable(absl::string_view text);

// A line on stderr that the next one overwrites; nothing where stderr is no terminal.
class Progress {
 public:
  void Show(const std::string& text);
  ~Progress();

 private:
  size_t width_ = 0;
};

// What every command begins with.
struct ModelArgument {
  std::string path;   // "-": standard input
  bool copy = false;  // into memory, instead of mapping its files
  void AddTo(CLI::App* command);
};
// Into `options`, if given, go the packed weights that the model's file may hold.
absl::StatusOr<std::unique_ptr<Graph>> ReadGraph(const ModelArgument& model,
                                                 SessionOptions* options = nullptr);
// Where `path` says. On standard output stands the whole text, all weights in it.
absl::Status WriteGraph(const Graph& graph, const std::string& path,
                        const PackedSet* packed = nullptr, const std::string& signature = "");

bool IsFolder(const std::string& path);

// One tensor: npy, by content or name, else an ONNX TensorProto (.pb).
absl::StatusOr<Tensor> ReadTensorFile(const std::string& path);
// Writes `stem`.npy, or `stem`.pb where npy has no such dtype; returns the path.
absl::StatusOr<std::string> WriteTensorFile(const Tensor& tensor, const std::string& name,
                                            const std::string& stem);

// The flags of every command that makes a session.
struct SessionFlags {
  int threads = 0;
  bool plain = false, deterministic = false, strict = false;
  std::optional<uint64_t> seed;
  std::string tuning_cache, signature;
  void AddTo(CLI::App* command, bool with_passes = true);
  SessionOptions Options() const;
};

struct InputOptions {
  std::vector<std::string> files;  // NAME=FILE
  std::string folder;              // with input_0.npy or input_0.pb ...
  std::vector<std::string> dims;   // NAME=N
  int64_t batch = 0;               // repeat along the first dimension where it is 1; 0: as they are
  void AddTo(CLI::App* command, bool with_batch);
  bool given() const { return !files.empty() || !folder.empty() || !dims.empty() || batch > 0; }
};
void AddDim(CLI::App* command, std::vector<std::string>* dims);

struct Inputs {
  Feeds feeds;
  std::vector<std::string> generated;  // lines that say what was made up
};
// Everything that `options` names is used, or it is an error.
// Inputs with a default are fed where a file says so, the others always.
absl::StatusOr<Inputs> LoadInputs(const std::vector<Session::Port>& ports,
                                  const InputOptions& options);
// `kind`_0.npy, `kind`_1.pb, ... in order; none may be missing between them.
absl::StatusOr<std::vector<Tensor>> ReadNumbered(const std::string& folder,
                                                 const std::string& kind);

// The graph's inputs as ports, those with a default included, in the model's order.
std::vector<Session::Port> PortsOf(const Graph& graph);

}  // namespace sluice::cli

#endif  // SLUICE_TOOLS_CLI_H_
