#include <fnmatch.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/text.h"
#include "passes/freeze.h"
#include "tools/cli.h"

namespace sluice::cli {
namespace {

struct Options {
  ModelArgument model;
  std::string out, freeze;
};

// The variables of which the pattern speaks become constants; what goes with them is told.
absl::StatusOr<std::unique_ptr<Graph>> Frozen(const Graph& graph, const std::string& pattern) {
  auto frozen = Freeze(graph, {}, [&](absl::string_view name) {
    return fnmatch(pattern.c_str(), std::string(name).c_str(), 0) == 0;
  });
  if (!frozen.ok()) return frozen.status();
  const auto shown = [](const std::vector<std::string>& names) {
    return absl::StrJoin(names, ", ",
                         [](std::string* out, const std::string& n) { out->append(Shown(n)); });
  };
  if (frozen->variables.empty()) {
    return absl::NotFoundError(
        absl::StrCat("no variable is named like ", Shown(pattern), ": nothing to freeze"));
  }
  std::fprintf(stderr, "frozen: %s\n", shown(frozen->variables).c_str());
  if (!frozen->dropped_signatures.empty()) {
    std::fprintf(stderr, "signatures that write these are left out: %s\n",
                 shown(frozen->dropped_signatures).c_str());
  }
  return std::move(frozen->graph);
}

absl::Status Convert(const Options& o) {
  if (absl::Status s = CheckTarget(o.out); !s.ok()) return s;
  Progress progress;
  progress.Show("reading " + o.model.path);
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadGraph(o.model);
  if (!graph.ok()) return graph.status();
  if (!o.freeze.empty()) graph = Frozen(**graph, o.freeze);
  if (!graph.ok()) return graph.status();
  progress.Show("writing " + o.out);
  return WriteGraph(**graph, o.out);
}

}  // namespace

void AddConvert(CLI::App& app, Job* job) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "convert",
      "Convert between formats, told by OUT's name: .onnx, .sluice (single "
      "file), .sluice.txt (text), a name without an ending or with a / behind it (folder)");
  o->model.AddTo(command);
  command->add_option("out", o->out, "Target; - prints the text form, all weights in it")
      ->required()
      ->check(NotEmpty());
  command->add_flag("--freeze{*}", o->freeze,
                    "Make constants of the variables, or with --freeze=PATTERN of those named like "
                    "it (*, ?); signatures that write one are left out");
  command->callback([=] { *job = [o](bool*) { return Convert(*o); }; });
}

}  // namespace sluice::cli
