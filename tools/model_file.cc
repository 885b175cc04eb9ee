// Where a command's models come from and go to.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <limits>

#include "exchange/model.h"
#include "graph/text.h"
#include "kernels/cpu/cpu_kernels.h"
#include "tools/cli.h"

namespace sluice::cli {
namespace {

// Standard input becomes a file of memory that stands in its place: models are mapped, and their
// forms are told apart by a look ahead.
absl::Status HoldStandardInput() {
  const int fd = memfd_create("standard input", MFD_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot hold standard input");
  std::string buffer(size_t{1} << 20, '\0');
  for (;;) {
    const ssize_t n = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, "cannot read standard input");
    if (n == 0) break;
    for (ssize_t done = 0; done < n;) {
      const ssize_t put = write(fd, buffer.data() + done, static_cast<size_t>(n - done));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return absl::ErrnoToStatus(errno, "cannot hold standard input");
      done += put;
    }
  }
  if (dup2(fd, STDIN_FILENO) < 0) return absl::ErrnoToStatus(errno, "cannot hold standard input");
  close(fd);
  return absl::OkStatus();
}

}  // namespace

void ModelArgument::AddTo(CLI::App* command) {
  command->add_option("model", path, "Model file or folder; - is standard input")
      ->required()
      ->check(NotEmpty());
  command->add_flag("--copy", copy,
                    "Read the model into memory instead of mapping its files, which may then "
                    "be truncated or overwritten while they are in use");
}

absl::StatusOr<std::unique_ptr<Graph>> ReadGraph(const ModelArgument& model,
                                                 SessionOptions* options) {
  std::string path = model.path;
  ReadOptions read;
  if (path == "-") {
    if (absl::Status s = HoldStandardInput(); !s.ok()) return s;
    path = "/dev/stdin";
    read.files_beside = false;
  }
  if (model.copy) read.access = FileAccess::kCopy;
  if (options == nullptr) return ReadModel(path, read);
  auto packed = std::make_shared<PackedSet>();
  read.packed = packed.get();
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadModel(path, read);
  if (!packed->key.empty()) options->packed = std::move(packed);
  return graph;
}

bool IsFolder(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

absl::Status WriteGraph(const Graph& graph, const std::string& path, const PackedSet* packed,
                        const std::string& signature) {
  if (path == "-") {
    PrintOptions print;
    print.max_inline_elements = std::numeric_limits<int64_t>::max();
    const std::string text = Print(graph, print);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return absl::OkStatus();
  }
  WriteOptions write;
  write.packed = packed;
  write.signature = signature;
  return WriteModel(graph, path, write);
}

}  // namespace sluice::cli
