// The `sluice` command. Exit codes: 0, 1 (the job failed), 2 (usage).
#include <cstdio>

#include "tools/cli.h"

int main(int argc, char** argv) {
  CLI::App app(
      "Sluice: a static-graph compiler and session runtime.\n"
      "Models are ONNX, .sluice (single file), a folder, or text; '-' is stdin or stdout where it "
      "makes sense.",
      "sluice");
  app.require_subcommand(1);
  sluice::cli::Job job;
  sluice::cli::AddRun(app, &job);
  sluice::cli::AddShow(app, &job);
  sluice::cli::AddOpt(app, &job);
  sluice::cli::AddConvert(app, &job);
  sluice::cli::AddCheck(app, &job);
  sluice::cli::AddBench(app, &job);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  bool fail = false;
  const absl::Status status = job(&fail);
  if (!status.ok()) {
    std::fprintf(stderr, "sluice: %s\n", sluice::cli::Printable(status.message()).c_str());
    return 1;
  }
  if (std::fflush(stdout) != 0) {
    std::perror("sluice: standard output");
    return 1;
  }
  return fail ? 1 : 0;
}
