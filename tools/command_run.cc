#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "exchange/file.h"
#include "graph/text.h"
#include "tools/cli.h"

namespace sluice::cli {
namespace {

struct Options {
  ModelArgument model;
  std::string outputs, profile;
  std::vector<std::string> fetches;
  InputOptions inputs;
  SessionFlags session;
};

absl::Status Run(const Options& o) {
  Progress progress;
  progress.Show("reading " + o.model.path);
  SessionOptions session_options = o.session.Options();
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadGraph(o.model, &session_options);
  if (!graph.ok()) return graph.status();
  const std::string& signature = o.session.signature;
  const bool one = (*graph)->signatures().empty();  // then a wrong input is told before the work
  absl::StatusOr<Inputs> inputs = Inputs();
  if (one) inputs = LoadInputs(PortsOf(**graph), o.inputs);
  if (!inputs.ok()) return inputs.status();
  session_options.inner_values = !o.fetches.empty();
  session_options.log = [&](absl::string_view line) { progress.Show(std::string(line)); };
  absl::StatusOr<std::unique_ptr<Session>> session =
      Session::Create(**graph, std::move(session_options));
  if (!session.ok()) return session.status();
  if (absl::Status s = (*session)->CheckSignature(signature); !s.ok()) return s;
  if (!one) inputs = LoadInputs((*session)->all_inputs(signature), o.inputs);
  if (!inputs.ok()) return inputs.status();
  for (const std::string& line : inputs->generated) std::fprintf(stderr, "%s\n", line.c_str());
  progress.Show("running");
  Profile profile;
  RunOptions run;
  if (!o.profile.empty()) run.profile = &profile;
  absl::StatusOr<std::vector<Tensor>> results =
      (*session)->Run(signature, inputs->feeds, o.fetches, run);
  if (!results.ok()) return results.status();
  if (!o.profile.empty()) {
    if (absl::Status s = WriteFileAtomically(o.profile, profile.ToChromeTrace()); !s.ok()) return s;
  }
  if (!o.outputs.empty() && mkdir(o.outputs.c_str(), 0777) != 0 && errno != EEXIST) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot make folder ", o.outputs, ": ", std::strerror(errno)));
  }
  for (size_t i = 0; i < results->size(); ++i) {
    const std::string& name =
        o.fetches.empty() ? (*session)->outputs(signature)[i].name : o.fetches[i];
    std::printf("%s: %s\n", Escaped(name).c_str(), (*results)[i].ToString().c_str());
    if (o.outputs.empty()) continue;
    absl::StatusOr<std::string> path =
        WriteTensorFile((*results)[i], name, absl::StrCat(o.outputs, "/output_", i));
    if (!path.ok()) return path.status();
  }
  return absl::OkStatus();
}

}  // namespace

void AddRun(CLI::App& app, Job* job) {
  auto o = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("run", "Run a model once; without inputs it generates some and says so");
  o->model.AddTo(command);
  o->inputs.AddTo(command, /*with_batch=*/false);
  command
      ->add_option("--outputs", o->outputs,
                   "Write the results to DIR/output_0.npy, ... (.pb where npy has no such type)")
      ->type_name("DIR")
      ->check(NotEmpty());
  command
      ->add_option("--fetch", o->fetches,
                   "What to compute and print, in place of the outputs: names of outputs, or of "
                   "values inside of the graph")
      ->type_name("NAME")
      ->check(NotEmpty());
  o->session.AddTo(command);
  command->add_option("--profile", o->profile, "Write a Chrome trace")
      ->type_name("FILE")
      ->check(NotEmpty());
  command->callback([=] { *job = [o](bool*) { return Run(*o); }; });
}

}  // namespace sluice::cli
