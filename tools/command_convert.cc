#include "tools/cli.h"

namespace sluice::cli {
namespace {

struct Options {
  ModelArgument model;
  std::string out;
};

absl::Status Convert(const Options& o) {
  if (absl::Status s = CheckTarget(o.out); !s.ok()) return s;
  Progress progress;
  progress.Show("reading " + o.model.path);
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadGraph(o.model);
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
  command->callback([=] { *job = [o](bool*) { return Convert(*o); }; });
}

}  // namespace sluice::cli
