#include "exchange/model.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "base/no_throw.h"
#include "exchange/formats.h"
#include "graph/text.h"

namespace sluice {
namespace {

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
  absl::StatusOr<const Format*> format = ReadableFormat(path, options.format);
  return format.ok() ? (*format)->read(path, options) : format.status();
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
  absl::StatusOr<const Format*> format = TargetFormat(path, options.format);
  return format.ok() ? (*format)->write(graph, path, options) : format.status();
} catch (...) {
  return ExceptionStatus();
}

}  // namespace sluice
