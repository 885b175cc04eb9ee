#include <cstdio>
#include <memory>
#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "exchange/formats.h"
#include "graph/default_inputs.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "runtime/evaluate.h"
#include "runtime/session.h"
#include "tools/cli.h"

namespace sluice::cli {
namespace {

struct Options {
  ModelArgument model;
  std::string out, print_after;
  std::vector<std::string> passes, without;
  InputOptions inputs;
  SessionFlags session;
  bool explain = false, json = false, no_packed = false, fix_inputs = false;
  int64_t fuel = INT64_MAX;
};

// The symbols that the inputs' extents leave open.
std::set<std::string> OpenSymbols(const std::vector<Session::Port>& ports) {
  std::vector<std::string> symbols;
  for (const Session::Port& port : ports) {
    if (!port.type.is_tensor() || !port.type.has_shape()) continue;
    for (const Dim& d : port.type.shape()) d.CollectSymbols(&symbols);
  }
  return {symbols.begin(), symbols.end()};
}

// The type with numbers for its symbols; an extent that is unknown is 1.
Type At(const Type& type, const Bindings& numbers) {
  if (!type.is_tensor() || !type.has_shape()) return type;
  Shape shape = type.shape();
  for (Dim& d : shape) d = Dim(d.Evaluate(numbers).value_or(1));
  return Type::Tensor(type.dtype(), std::move(shape), type.layout());
}

// Plans for the given inputs, or else for the smallest made-up ones that the model runs with: not
// every model runs with open extents of 1 (an image must be as large as a window). The error is the
// one for those.
absl::Status PlanSignature(Session& session, const std::string& signature,
                           const InputOptions& given) {
  const std::vector<Session::Port>& ports = session.inputs(signature);
  if (given.given()) {
    absl::StatusOr<Inputs> inputs = LoadInputs(ports, given);
    return inputs.ok() ? session.PlanText(inputs->feeds, signature).status() : inputs.status();
  }
  const std::set<std::string> symbols = OpenSymbols(ports);
  absl::Status first;
  for (int64_t open : {1, 2, 3, 4, 8, 16, 32, 64, 128, 256}) {
    Bindings numbers;
    for (const std::string& s : symbols) numbers[s] = open;
    std::vector<std::pair<std::string, Type>> types;
    for (const Session::Port& port : ports) types.emplace_back(port.name, At(port.type, numbers));
    const absl::Status planned = session.Prepare(types, signature);
    if (planned.ok() || symbols.empty()) return planned;
    if (first.ok()) first = planned;
  }
  return first;
}

absl::Status PlanForSomeInputs(Session& session, const InputOptions& given) {
  std::vector<std::string> names = session.signatures();
  if (names.empty()) names.push_back("");
  for (const std::string& name : names) {
    if (absl::Status s = PlanSignature(session, name, given); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// What becomes of a plan that could not be made: an error where the user chose the inputs, else a
// word about what is missing without it.
absl::Status Unplanned(const absl::Status& status, const Options& o, absl::string_view missing) {
  if (status.ok() || o.inputs.given()) return status;
  std::fprintf(
      stderr,
      "%s: no inputs could be made up with which the model runs; give --dim or --input (%s)\n",
      std::string(missing).c_str(), std::string(status.message()).c_str());
  return absl::OkStatus();
}

// As the kernels of this machine read them. Kernels are chosen by the number of threads too, which
// a user may change: what one thread would choose is packed as well.
absl::StatusOr<PackedSet> PackWeights(const Graph& graph, const Options& o) {
  auto all = std::make_shared<PackedSet>();
  for (int threads : {o.session.threads, 1}) {
    SessionOptions options = o.session.Options();
    options.passes.enabled = false;  // they have run
    options.threads = threads;
    options.packed = all;
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(graph, std::move(options));
    if (!session.ok()) return session.status();
    if (absl::Status s = PlanForSomeInputs(**session, o.inputs); !s.ok()) {
      if (absl::Status error = Unplanned(s, o, "no weights are packed"); !error.ok()) return error;
      return PackedSet();
    }
    auto both = std::make_shared<PackedSet>((*session)->Packed());
    std::set<std::pair<std::string, std::string>> there;
    for (const PackedSet::Entry& e : both->entries) there.emplace(e.constant, e.format);
    for (const PackedSet::Entry& e : all->entries) {
      if (there.emplace(e.constant, e.format).second) both->entries.push_back(e);
    }
    all = std::move(both);
  }
  return *all;
}

// The format of the output; null where there is none, or the text on standard output.
absl::StatusOr<const Format*> Target(const Options& o) {
  if (o.out.empty() || o.out == "-") return nullptr;
  return TargetFormat(o.out);
}

// What would be swallowed, or mixed on standard output.
absl::Status CheckOptions(const Options& o) {
  if (o.out == "-" && (o.explain || !o.print_after.empty())) {
    return absl::InvalidArgumentError(
        "--explain and --print-after print to standard output, as -o - does: give one of them");
  }
  const std::vector<std::string> passes = PassNames();
  if (!o.print_after.empty() && o.print_after != "all" &&
      !absl::c_linear_search(passes, o.print_after)) {
    return absl::InvalidArgumentError(absl::StrCat("--print-after ", Shown(o.print_after),
                                                   ": there are ", absl::StrJoin(passes, ", "),
                                                   " and all"));
  }
  return absl::OkStatus();
}

absl::Status Opt(const Options& o) {
  if (absl::Status s = CheckOptions(o); !s.ok()) return s;
  absl::StatusOr<const Format*> target_format = Target(o);
  if (!target_format.ok()) return target_format.status();
  const Format* const target = *target_format;
  Progress progress;
  progress.Show("reading " + o.model.path);
  SessionOptions options = o.session.Options();
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadGraph(o.model, &options);
  if (!graph.ok()) return graph.status();
  if (o.inputs.given()) {
    absl::StatusOr<Inputs> inputs = LoadInputs(PortsOf(**graph), o.inputs);
    if (!inputs.ok()) return inputs.status();
  }
  for (Value* input : (*graph)->inputs()) input->set_held(false);  // that is for sessions to say
  PassOptions passes;
  passes.only = o.passes;
  passes.without = o.without;
  passes.fuel = o.fuel;
  passes.strict = o.session.strict;
  bool printed = o.print_after.empty();
  passes.after_pass = [&](const char* pass, const Graph& g) {
    progress.Show(pass);
    if (o.print_after == pass || o.print_after == "all") {
      std::printf("// after %s\n%s\n", pass, Print(g).c_str());
      printed = true;
    }
  };
  if (o.explain) {
    // The session's own report: passes, then kernels and memory where the extents are known.
    options.passes = passes;
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, std::move(options));
    if (!session.ok()) return session.status();
    const absl::Status planned = PlanForSomeInputs(**session, o.inputs);
    if (absl::Status s = Unplanned(planned, o, "no kernels are shown"); !s.ok()) return s;
    if (o.json) {
      std::printf("%s\n", (*session)->ExplainJson().c_str());
    } else {
      std::printf("%s", (*session)->Explain().c_str());
    }
    passes.after_pass = nullptr;
  }
  if (o.explain && o.out.empty()) return absl::OkStatus();
  ThreadPool pool(o.session.threads);
  absl::StatusOr<OptimizeReport> report =
      Optimize(graph->get(), passes, CpuEvaluator(&pool), CpuTarget());
  if (!report.ok()) return report.status();
  if (!o.explain) {
    for (const PassReport& p : report->passes) {
      std::fprintf(stderr, "%-32s %4d applied %4d refused %8.2f ms %6zu -> %zu nodes\n",
                   p.pass.c_str(), p.applied, p.refused, p.milliseconds, p.nodes_before,
                   p.nodes_after);
    }
  }
  if (o.fix_inputs) {
    (void)TakeGeneralProgram(graph->get());
  } else if (target != nullptr && !target->holds_default_inputs &&
             &GeneralProgram(**graph) != graph->get()) {
    std::fprintf(stderr,
                 "note: inputs with a default are constants in %s that is optimised; a .sluice "
                 "file keeps them as inputs\n",
                 std::string(target->name).c_str());
  }
  if (!printed)
    std::fprintf(stderr, "%s changed nothing: there is nothing to print\n", o.print_after.c_str());
  if (o.out.empty()) return absl::OkStatus();
  progress.Show("packing weights");
  absl::StatusOr<PackedSet> packed = PackedSet();
  const bool pack = !o.no_packed && target != nullptr && target->holds_packed;
  if (pack) {
    packed = PackWeights(**graph, o);
    if (!packed.ok()) return packed.status();
  }
  progress.Show("writing " + o.out);
  return WriteGraph(**graph, o.out, pack ? &*packed : nullptr);
}

}  // namespace

void AddOpt(CLI::App& app, Job* job) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("opt", "Optimise a model ahead of time");
  o->model.AddTo(command);
  command
      ->add_option("-o,--output", o->out,
                   "Where the result goes; - prints its text, all weights in it")
      ->type_name("OUT")
      ->check(NotEmpty());
  command
      ->add_option("--passes", o->passes, "Only these passes: " + absl::StrJoin(PassNames(), ","))
      ->delimiter(',')
      ->type_name("LIST")
      ->check(NotEmpty());
  command->add_option("--without", o->without, "All but these passes")
      ->delimiter(',')
      ->type_name("LIST")
      ->check(NotEmpty());
  command->add_option("--fuel", o->fuel, "At most so many rewrites: to bisect a wrong one")
      ->type_name("N")
      ->check(WholeNumber(0, INT64_MAX));
  o->inputs.AddTo(command, /*with_batch=*/true);
  o->session.AddTo(command, /*with_passes=*/false);
  command->add_flag(
      "--no-packed", o->no_packed,
      "Leave out the weights as this machine's kernels pack them (.sluice holds both)");
  command->add_flag("--fix-inputs", o->fix_inputs,
                    "Inputs that have a default become constants for good: leaves out the model as "
                    "it was, which is kept for runs that feed them");
  CLI::Option* explain =
      command->add_flag("--explain", o->explain,
                        "Print what each pass did and refused, the kernels and the memory plan");
  CLI::Option* json =
      command->add_flag("--json", o->json, "The explanation as JSON")->needs(explain);
  command
      ->add_option("--print-after", o->print_after, "Print the graph after this pass, or after all")
      ->type_name("PASS")
      ->check(NotEmpty())
      ->excludes(json);
  command->callback([=] { *job = [o](bool*) { return Opt(*o); }; });
}

}  // namespace sluice::cli
