#include <fnmatch.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "exchange/formats.h"
#include "graph/text.h"
#include "passes/freeze.h"
#include "tools/cli.h"

namespace sluice::cli {
namespace {

struct Options {
  ModelArgument model;
  std::string out, freeze, unfreeze, signature;
};

std::string Names(const std::vector<std::string>& names) {
  return absl::StrJoin(names, ", ",
                       [](std::string* out, const std::string& n) { out->append(Shown(n)); });
}

bool IsLike(absl::string_view name, const std::string& pattern) {
  return fnmatch(pattern.c_str(), std::string(name).c_str(), 0) == 0;
}

// The variables of which the pattern speaks become constants; what goes with them is told.
absl::StatusOr<std::unique_ptr<Graph>> Frozen(const Graph& graph, const std::string& pattern) {
  auto frozen = Freeze(graph, {}, [&](absl::string_view name) { return IsLike(name, pattern); });
  if (!frozen.ok()) return frozen.status();
  if (frozen->variables.empty()) {
    return absl::NotFoundError(
        absl::StrCat("no variable is named like ", Shown(pattern), ": nothing to freeze"));
  }
  std::fprintf(stderr, "frozen: %s\n", Names(frozen->variables).c_str());
  if (!frozen->dropped_signatures.empty()) {
    std::fprintf(stderr, "signatures that write these are left out: %s\n",
                 Names(frozen->dropped_signatures).c_str());
  }
  return std::move(frozen->graph);
}

absl::Status Convert(const Options& o) {
  if (absl::Status s = TargetFormat(o.out).status(); !s.ok()) return s;  // before the work
  Progress progress;
  progress.Show("reading " + o.model.path);
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadGraph(o.model);
  if (!graph.ok()) return graph.status();
  if (!o.freeze.empty()) graph = Frozen(**graph, o.freeze);
  if (!graph.ok()) return graph.status();
  if (!o.unfreeze.empty()) {
    const std::vector<std::string> names =
        Unfreeze(graph->get(), [&](absl::string_view name) { return IsLike(name, o.unfreeze); });
    if (names.empty()) {
      return absl::NotFoundError(absl::StrCat("no weight is named like ", Shown(o.unfreeze),
                                              ": nothing becomes a variable"));
    }
    std::fprintf(stderr, "variables: %s\n", Names(names).c_str());
  }
  progress.Show("writing " + o.out);
  return WriteGraph(**graph, o.out, nullptr, o.signature);
}

}  // namespace

void AddConvert(CLI::App& app, Job* job) {
  auto o = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("convert", "Convert between formats, told by OUT's ending");
  command->footer(FormatHelp());
  o->model.AddTo(command);
  command->add_option("out", o->out, "Target; - prints the text form, all weights in it")
      ->required()
      ->check(NotEmpty());
  command->add_flag("--freeze{*}", o->freeze,
                    "Make constants of the variables, or with --freeze=PATTERN of those named like "
                    "it (*, ?); signatures that write one are left out");
  command->add_flag("--unfreeze{*}", o->unfreeze,
                    "Make variables of the weights, or with --unfreeze=PATTERN of those named like "
                    "it: to be trained, or exchanged while the model serves");
  command
      ->add_option("--signature", o->signature,
                   "The program that ONNX gets of a model with several (default: the only one "
                   "without effects)")
      ->type_name("NAME");
  command->callback([=] { *job = [o](bool*) { return Convert(*o); }; });
}

}  // namespace sluice::cli
