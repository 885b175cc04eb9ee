// The `sluice` command. Exit codes: 0, 1 (the job failed), 2 (usage).
#include <cstdio>
#include <string>

#include "base/no_throw.h"
#include "exchange/formats.h"
#include "tools/cli.h"
#include "tools/process.h"

namespace sluice::cli {
namespace {

void Complain(const absl::Status& status) {
  std::fprintf(stderr, "sluice: %s\n",
               status.message().empty() ? "memory ran out" : Printable(status.message()).c_str());
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Sluice: a static-graph compiler and session runtime.\n"
      "'-' as the model is standard input, and as the target of opt and convert it is the text on "
      "standard output.",
      "sluice");
  app.footer(FormatHelp());
  app.require_subcommand(1);
  app.set_version_flag("--version", Version);
  Job job;
  AddRun(app, &job);
  AddShow(app, &job);
  AddOpt(app, &job);
  AddConvert(app, &job);
  AddCheck(app, &job);
  AddBench(app, &job);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (app.exit(e) != 0) return 2;
    job = [](bool*) { return absl::OkStatus(); };  // it has printed what was asked for
  }
  bool fail = false;
  absl::Status status = job(&fail);
  status.Update(FlushOutput());
  if (!status.ok()) Complain(status);
  return status.ok() && !fail ? 0 : 1;
}

}  // namespace
}  // namespace sluice::cli

int main(int argc, char** argv) {
  sluice::cli::PrepareProcess();
  try {
    return sluice::cli::Main(argc, argv);
  } catch (...) {
    sluice::cli::Complain(sluice::ExceptionStatus());
    return 1;
  }
}
