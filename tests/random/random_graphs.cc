// Random graphs in every form that they can take. README.md says how to use it by hand.
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "exchange/model.h"
#include "exchange/onnx_export.h"
#include "exchange/tensor_proto.h"
#include "graph/text.h"
#include "ops/op.h"
#include "tests/random/case_text.h"
#include "tests/random/forms.h"
#include "tests/random/isolate.h"
#include "tests/random/lines.h"
#include "tests/random/shrink.h"

namespace sluice::random {
namespace {

constexpr int kSeconds = 60;  // for one graph in all forms

struct Options {
  uint64_t first = 1;
  int64_t count = 100;
  int jobs = 1;
  int shrink = 3;
  std::string op, form, replay, model, found, onnx, folder;
  bool complete = false, print = false, quiet = false;
};

struct Finding {
  uint64_t seed = 0;
  Problem problem;
};

const char kField = '\x1f', kRecord = '\x1e';

std::string Clean(std::string text) {
  return absl::StrReplaceAll(text, {{"\x1f", " "}, {"\x1e", " "}});
}

// What a message says apart from names and numbers: one fault has one.
std::string Signature(const Problem& p) {
  std::string text;
  for (char ch : p.detail.substr(0, p.detail.find('\n'))) {
    if (!absl::ascii_isdigit(ch)) text.push_back(ch);
  }
  return p.kind == "error" || p.kind == "onnx" ? absl::StrCat(p.kind, " ", text.substr(0, 80))
                                               : absl::StrCat(p.kind, " ", p.form);
}

CheckOptions Checks(const Options& o, Progress* progress) {
  CheckOptions options;
  options.folder = o.folder;
  options.only_form = o.form;
  options.entering = [progress](const std::string& form) { progress->Enter(form); };
  return options;
}

// Seeds first, first + step, ... in one process; a record a problem, and one of counts at the end.
void CheckSeeds(const Options& o, uint64_t first, uint64_t step, uint64_t end, Progress* progress,
                int fd) {
  CheckCounts counts;
  for (uint64_t seed = first; seed < end; seed += step) {
    progress->seed = seed;
    progress->Enter("generating");
    progress->Watch(kSeconds);
    const Case c = MakeCase(seed, o.op);
    const int64_t refused = counts.refused;
    for (const Problem& p : CheckForms(c, Checks(o, progress), &counts))
      Write(fd,
            absl::StrCat(seed, "\x1f", p.form, "\x1f", p.kind, "\x1f", Clean(p.detail), "\x1e"));
    if (counts.refused > refused && !o.quiet)
      Write(fd, absl::StrCat(seed, "\x1f\x1frefused\x1f", Clean(counts.last_refusal), "\x1e"));
  }
  Write(fd, absl::StrCat("0\x1f", counts.runs, "\x1f", counts.refused, "\x1f",
                         absl::StrJoin({counts.widened, counts.dismissed, counts.excused}, ","),
                         "\x1e"));
}

struct Totals {
  int64_t runs = 0, refused = 0, widened = 0, dismissed = 0, excused = 0;
};

// What all seeds gave so far; says each new kind of failure as it comes.
class Ledger {
 public:
  void Take(absl::string_view said) {
    for (absl::string_view record : absl::StrSplit(said, kRecord, absl::SkipEmpty())) {
      const std::vector<std::string> fields = absl::StrSplit(record, kField);
      uint64_t seed = 0;
      if (fields.size() != 4 || !absl::SimpleAtoi(fields[0], &seed)) continue;
      if (seed == 0) {
        Count(fields);
      } else if (fields[2] == "refused") {
        std::printf("seed %s: the reference fails: %s\n", fields[0].c_str(),
                    fields[3].substr(0, 200).c_str());
      } else {
        Add({seed, {fields[1], fields[2], fields[3]}});
      }
    }
  }

  void Add(Finding finding) {
    std::vector<Finding>& all = distinct_[Signature(finding.problem)];
    all.push_back(std::move(finding));
    if (all.size() > 1) return;
    const Finding& f = all.back();
    std::printf("seed %llu: %s: %s: %s\n", static_cast<unsigned long long>(f.seed),
                f.problem.form.c_str(), f.problem.kind.c_str(),
                f.problem.detail.substr(0, 400).c_str());
    std::fflush(stdout);
  }

  const std::map<std::string, std::vector<Finding>>& distinct() const { return distinct_; }
  const Totals& totals() const { return totals_; }

 private:
  void Count(const std::vector<std::string>& fields) {
    std::vector<std::string> all = absl::StrSplit(fields[3], ',');
    all.insert(all.begin(), fields.begin() + 1, fields.begin() + 3);
    int64_t* const into[] = {&totals_.runs, &totals_.refused, &totals_.widened, &totals_.dismissed,
                             &totals_.excused};
    for (size_t i = 0; i < all.size() && i < std::size(into); ++i) {
      int64_t n = 0;
      if (absl::SimpleAtoi(all[i], &n)) *into[i] += n;
    }
  }

  std::map<std::string, std::vector<Finding>> distinct_;
  Totals totals_;
};

void CheckAll(const Options& o, Ledger* ledger) {
  const uint64_t end = o.first + static_cast<uint64_t>(o.count);
  const auto step = static_cast<uint64_t>(o.jobs);
  std::vector<std::unique_ptr<Child>> workers;
  auto start = [&](uint64_t first) {
    std::fflush(stdout);
    workers.push_back(std::make_unique<Child>(
        [&o, first, step, end](Progress* p, int fd) { CheckSeeds(o, first, step, end, p, fd); }));
  };
  for (uint64_t j = 0; j < step && o.first + j < end; ++j) start(o.first + j);
  while (!workers.empty()) {
    std::vector<pollfd> waits;
    for (const auto& w : workers) waits.push_back({w->fd(), POLLIN, 0});
    poll(waits.data(), waits.size(), -1);
    for (size_t i = workers.size(); i-- > 0;) {
      if (waits[i].revents == 0) continue;
      const bool more = workers[i]->Read();
      ledger->Take(workers[i]->Said(kRecord));
      if (more) continue;
      const Outcome outcome = workers[i]->Finish();
      workers.erase(workers.begin() + static_cast<int64_t>(i));
      if (!outcome.crashed) continue;
      ledger->Add({outcome.seed, {outcome.form, outcome.late ? "late" : "crash", outcome.how}});
      if (outcome.seed + step < end) start(outcome.seed + step);
    }
  }
}

// The problem of `form` (or a crash anywhere) that the case has now; none: an empty kind.
Problem ProblemOf(const Options& o, const Case& c, const Problem& wanted) {
  Options one = o;
  const bool crash = wanted.kind == "crash" || wanted.kind == "late";
  one.form = crash ? "" : wanted.form;
  const Outcome outcome = Isolated([&](Progress* progress, int fd) {
    progress->Watch(kSeconds);
    CheckCounts counts;
    for (const Problem& p : CheckForms(c, Checks(one, progress), &counts)) {
      if (p.SameAs(wanted))
        Write(fd, absl::StrCat(p.form, "\x1f", p.kind, "\x1f", Clean(p.detail)));
    }
  });
  if (outcome.crashed) return {outcome.form, outcome.late ? "late" : "crash", outcome.how};
  const std::vector<std::string> fields = absl::StrSplit(outcome.said, kField);
  return fields.size() == 3 ? Problem{fields[0], fields[1], fields[2]} : Problem{};
}

std::string ShrunkText(const Options& o, const Finding& finding) {
  const Problem& wanted = finding.problem;
  Problem last = wanted;
  const Case small = Shrunk(MakeCase(finding.seed, o.op), [&](const Case& c) {
    const Problem p = ProblemOf(o, c, wanted);
    const bool same = p.kind == wanted.kind && (p.kind == "crash" || p.form == wanted.form) &&
                      (p.kind != "error" || Signature(p) == Signature(wanted));
    if (same) last = p;
    return same;
  });
  return absl::StrCat("// seed ", finding.seed, ", ", last.form, ": ", last.kind, ": ",
                      absl::StrReplaceAll(last.detail.substr(0, 300), {{"\n", "\n// "}}), "\n",
                      CaseText(small));
}

int Replay(const Options& o) {
  std::ifstream file(o.replay);
  std::stringstream text;
  text << file.rdbuf();
  std::vector<Feeds> expected;
  const absl::StatusOr<Case> c = ParseCase(text.str(), &expected);
  if (!c.ok())
    return std::printf("%s: %s\n", o.replay.c_str(), std::string(c.status().message()).c_str()), 1;
  const Outcome outcome = Isolated([&](Progress* progress, int fd) {
    CheckCounts counts;
    CheckOptions checks = Checks(o, progress);
    if (!expected.empty()) checks.expected = &expected;
    for (const Problem& p : CheckForms(*c, checks, &counts))
      Write(fd, absl::StrCat(p.form, ": ", p.kind, ": ", p.detail, "\n"));
    if (counts.refused > 0)
      Write(fd, absl::StrCat("the reference fails: ", counts.last_refusal, "\n"));
  });
  std::printf("%s", outcome.said.c_str());
  if (outcome.crashed) std::printf("%s: %s\n", outcome.form.c_str(), outcome.how.c_str());
  return outcome.said.empty() && !outcome.crashed ? 0 : 1;
}

// A model folder (model.onnx, test_data_set_0/) as a case with what is expected.
absl::Status PrintModel(const std::string& folder) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadModel(folder + "/model.onnx");
  if (!graph.ok()) return graph.status();
  std::string text = "// run\n";
  for (const char* kind : {"input", "output"}) {
    for (int i = 0;; ++i) {
      const std::string path = absl::StrCat(folder, "/test_data_set_0/", kind, "_", i, ".pb");
      if (!std::filesystem::exists(path)) break;
      absl::StatusOr<Tensor> t = ReadTensorPb(path);
      if (!t.ok()) return t.status();
      const bool input = std::string(kind) == "input";
      const std::string& name =
          input ? (*graph)->inputs().at(i)->name() : (*graph)->output_names().at(i);
      absl::StrAppend(&text, input ? "// feed " : "// expect ", ShownValue(name), " = ",
                      TensorText(*t), "\n");
    }
  }
  std::printf("%s%s", text.c_str(),
              Print(**graph, {.max_inline_elements = int64_t{1} << 40}).c_str());
  return absl::OkStatus();
}

// Ops that no line makes.
int Complete() {
  std::set<std::string> named;
  for (const Line& line : OpLines()) named.insert(line.name);
  int missing = 0;
  for (const OpDef* op : StandardOps().Sorted()) {
    bool made = false;
    for (uint64_t seed = 1; named.contains(op->name) && seed <= 60 && !made; ++seed) {
      const Case c = MakeCase(seed, op->name);
      std::vector<const Graph*> graphs = {c.graph.get()};
      for (size_t i = 0; i < graphs.size(); ++i) {
        for (const auto& node : graphs[i]->nodes()) {
          made |= node->Is(op->name);
          for (const auto& [name, body] : node->bodies()) graphs.push_back(body.get());
        }
      }
    }
    if (made) continue;
    ++missing;
    std::printf("no line makes %s\n", op->name.c_str());
  }
  std::printf("%zu ops have lines, %d have none\n", named.size(), missing);
  return missing == 0 ? 0 : 1;
}

// Every value of the main graph is an output, so that whoever differs is known by its node; and
// each node runs as it stands.
absl::Status WriteOnnx(const Case& c, const std::string& folder) {
  std::filesystem::create_directories(folder);
  const std::vector<Value*> fetched = c.graph->outputs();
  for (const auto& node : c.graph->nodes()) {
    if (node->Is("Constant") || node->Is("Variable")) continue;
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      Value* value = node->output(i);
      const bool known = std::find(fetched.begin(), fetched.end(), value) != fetched.end();
      const bool wrong = absl::StartsWith(value->name(), kNeverWrong);
      if (!known && !wrong && value->type().layout() == Layout::kPlain) c.graph->AddOutput(value);
    }
  }
  if (absl::Status s = ExportOnnx(*c.graph, absl::StrCat(folder, "/model.onnx")); !s.ok()) return s;
  SessionOptions options;
  options.threads = 1;
  options.passes.enabled = false;
  options.accuracy = Accuracy::kStrict;
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(*c.graph, options);
  if (!session.ok()) return session.status();
  for (size_t run = 0; run < c.feeds.size(); ++run) {
    const std::string data = absl::StrCat(folder, "/test_data_set_", run);
    std::filesystem::create_directories(data);
    absl::StatusOr<std::vector<Tensor>> results = (*session)->Run(c.feeds[run]);
    if (!results.ok()) return results.status();
    for (size_t i = 0; i < c.feeds[run].size(); ++i)
      if (absl::Status s = WriteTensorPb(c.feeds[run][i].second, c.feeds[run][i].first,
                                         absl::StrCat(data, "/input_", i, ".pb"));
          !s.ok())
        return s;
    for (size_t i = 0; i < results->size(); ++i)
      if (absl::Status s = WriteTensorPb((*results)[i], c.graph->output_names()[i],
                                         absl::StrCat(data, "/output_", i, ".pb"));
          !s.ok())
        return s;
  }
  return absl::OkStatus();
}

int WriteAllOnnx(const Options& o) {
  for (uint64_t seed = o.first; seed < o.first + static_cast<uint64_t>(o.count); ++seed) {
    const Outcome outcome = Isolated([&](Progress* progress, int fd) {
      progress->Watch(kSeconds);
      const absl::Status s = WriteOnnx(MakeCase(seed, o.op), absl::StrCat(o.onnx, "/", seed));
      if (!s.ok()) Write(fd, std::string(s.message().substr(0, s.message().find('\n'))));
    });
    if (!outcome.said.empty() || outcome.crashed)
      std::printf("seed %llu: %s%s\n", static_cast<unsigned long long>(seed), outcome.said.c_str(),
                  outcome.how.c_str());
  }
  return 0;
}

int Main(int argc, char** argv) {
  Options o;
  CLI::App app("Random graphs in every form");
  app.add_option("--seed", o.first, "The first seed");
  app.add_option("--count", o.count, "How many graphs");
  app.add_option("--jobs", o.jobs, "Processes side by side")->check(CLI::Range(1, 64));
  app.add_option("--shrink", o.shrink, "How many distinct failures are made small");
  app.add_option("--op", o.op, "Graphs that have this op");
  app.add_option("--form", o.form, "This form alone");
  app.add_option("--replay", o.replay, "A text that was printed here")->type_name("FILE");
  app.add_option("--model", o.model,
                 "Print a folder of model.onnx and test_data_set_0 as such a text")
      ->type_name("DIR");
  app.add_option("--found", o.found, "Where shrunk failures are written")->type_name("DIR");
  app.add_option("--onnx", o.onnx,
                 "Write each graph as ONNX with inputs and outputs, for compare_onnxruntime.py")
      ->type_name("DIR");
  app.add_option("--folder", o.folder,
                 "Where forms are written and read again (default: a temporary one)")
      ->type_name("DIR");
  app.add_flag("--print", o.print, "Print the graphs and what they are fed");
  app.add_flag("--complete", o.complete, "First check that every op has a line that makes it");
  app.add_flag("--quiet", o.quiet, "Say nothing of graphs that the reference refuses");
  CLI11_PARSE(app, argc, argv);

  const char* temporary = std::getenv("TEST_TMPDIR");
  std::string made;
  if (o.folder.empty() && temporary != nullptr) o.folder = temporary;
  if (o.folder.empty()) {
    struct stat status;
    char name[] = "/dev/shm/sluice-random-XXXXXX", fallback[] = "/tmp/sluice-random-XXXXXX";
    const char* there = mkdtemp(stat("/dev/shm", &status) == 0 ? name : fallback);
    if (there == nullptr) return std::printf("no temporary folder can be made\n"), 1;
    made = o.folder = there;
  }
  int code = o.complete ? Complete() : 0;
  if (o.print) {
    for (uint64_t seed = o.first; seed < o.first + static_cast<uint64_t>(o.count); ++seed)
      std::printf("// seed %llu\n%s\n", static_cast<unsigned long long>(seed),
                  CaseText(MakeCase(seed, o.op)).c_str());
  } else if (!o.model.empty()) {
    const absl::Status s = PrintModel(o.model);
    if (!s.ok()) code = (std::printf("%s\n", std::string(s.message()).c_str()), 1);
  } else if (!o.onnx.empty()) {
    code |= WriteAllOnnx(o);
  } else if (!o.replay.empty()) {
    code |= Replay(o);
  } else {
    Ledger ledger;
    CheckAll(o, &ledger);
    const Totals& totals = ledger.totals();
    size_t problems = 0;
    std::set<uint64_t> failed;
    for (const auto& [signature, all] : ledger.distinct()) {
      std::vector<std::string> seeds;
      for (size_t i = 0; i < all.size() && i < 6; ++i) seeds.push_back(std::to_string(all[i].seed));
      std::printf("%zu times: %s: seeds %s\n", all.size(), signature.c_str(),
                  absl::StrJoin(seeds, ",").c_str());
      problems += all.size();
      for (const Finding& f : all) failed.insert(f.seed);
    }
    std::fflush(stdout);
    int shrunk = 0;
    for (const auto& [signature, all] : ledger.distinct()) {
      if (shrunk++ >= o.shrink) break;
      const std::string text = ShrunkText(o, all[0]);
      std::printf("\n%s\n", text.c_str());
      std::fflush(stdout);
      if (!o.found.empty())
        std::ofstream(
            absl::StrCat(o.found, "/seed", all[0].seed, "_", all[0].problem.kind, ".sluice.txt"))
            << text;
    }
    const std::string summary = absl::StrCat(
        o.count, " graphs, ", totals.runs, " runs; the reference refused ", totals.refused, "; ",
        totals.widened, " graphs were compared with f64; ", totals.dismissed,
        " differences were rounding, ", totals.excused, " documented; ", problems, " problems in ",
        failed.size(), " graphs, ", ledger.distinct().size(), " distinct");
    std::printf("%s\n", summary.c_str());
    code |= problems == 0 ? 0 : 1;
  }
  if (!made.empty()) std::filesystem::remove_all(made);
  return code;
}

}  // namespace
}  // namespace sluice::random

int main(int argc, char** argv) { return sluice::random::Main(argc, argv); }
