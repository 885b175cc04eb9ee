#include <cstdio>

#include "exchange/model.h"
#include "graph/text.h"
#include "tools/cli.h"

namespace sluice::cli {
namespace {

struct Options {
  std::string model, out;
};

absl::Status Convert(const Options& o) {
  Progress progress;
  progress.Show("reading " + o.model);
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadModel(o.model);
  if (!graph.ok()) return graph.status();
  if (o.out == "-") {
    const std::string text = Print(**graph);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return absl::OkStatus();
  }
  progress.Show("writing " + o.out);
  return WriteModel(**graph, o.out);
}

}  // namespace

void AddConvert(CLI::App& app, Job* job) {
  auto o = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("convert",
                         "Convert between formats, told by OUT's name: .onnx, .sluice (single "
                         "file), .sluice.txt (text), else a folder");
  command->add_option("model", o->model, "Model file or folder")->required();
  command->add_option("out", o->out, "Target; - prints the text form")->required();
  command->callback([=] { *job = [o](bool*) { return Convert(*o); }; });
}

}  // namespace sluice::cli
