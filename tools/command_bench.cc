#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <numeric>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "tools/cli.h"
#include "tools/process.h"
#include "tools/timings.h"

namespace sluice::cli {
namespace {

struct Options {
  ModelArgument model;
  InputOptions inputs;
  SessionFlags session;
  double seconds = 2;
  std::string vary;  // NAME=FROM:TO
  bool json = false, ops = false, wait = false;
};

double Milliseconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - since)
      .count();
}

// A line of /proc/self/status in MB.
double ProcessMegabytes(const char* field) {
  double kilobytes = 0;
  if (std::FILE* f = std::fopen("/proc/self/status", "re")) {
    char line[256];
    while (std::fgets(line, sizeof line, f)) {
      if (std::strncmp(line, field, std::strlen(field)) == 0)
        std::sscanf(line + std::strlen(field), ": %lf", &kilobytes);
    }
    std::fclose(f);
  }
  return kilobytes / 1024;
}

// A node that runs for one slice of the batch after the other is one row.
struct NodeTime {
  const ProfileEvent* first;
  double ns = 0, flops = 0, bytes = 0;
  int launches = 0;
};

// The slowest first.
std::vector<NodeTime> ByNode(const Profile& profile) {
  std::vector<NodeTime> rows;
  std::map<absl::string_view, size_t> row_of;
  for (const ProfileEvent& e : profile.events) {
    const auto [it, fresh] = row_of.emplace(e.node, rows.size());
    if (fresh) rows.push_back({&e});
    NodeTime& row = rows[it->second];
    row.ns += static_cast<double>(std::max<int64_t>(1, e.duration_ns));
    row.flops += e.flops;
    row.bytes += e.bytes;
    ++row.launches;
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const NodeTime& a, const NodeTime& b) { return a.ns > b.ns; });
  return rows;
}

void PrintOps(const Profile& profile) {
  const std::vector<NodeTime> rows = ByNode(profile);
  double total = 0;
  for (const NodeTime& r : rows) total += r.ns;
  const double peak = std::max(profile.peak_flops_per_ns, 1e-9);
  for (const NodeTime& r : rows) {
    const ProfileEvent& e = *r.first;
    std::printf(
        "%10.4f ms %5.1f %%  %6.1f GF/s %5.1f %% of peak %6.1f GB/s  %s  %%%s  %s%s  {%s}\n",
        r.ns / 1e6, 100 * r.ns / std::max(total, 1e-12), r.flops / r.ns,
        100 * r.flops / r.ns / peak, r.bytes / r.ns, e.op.c_str(), e.node.c_str(),
        r.launches > 1 ? absl::StrCat(r.launches, " x ").c_str() : "", e.output_type.c_str(),
        e.kernel.c_str());
  }
}

nlohmann::json OpsJson(const Profile& profile) {
  nlohmann::json rows = nlohmann::json::array();
  for (const NodeTime& r : ByNode(profile)) {
    rows.push_back({{"node", r.first->node},
                    {"op", r.first->op},
                    {"type", r.first->output_type},
                    {"kernel", r.first->kernel},
                    {"launches", r.launches},
                    {"ms", r.ns / 1e6},
                    {"gflops", r.flops / r.ns},
                    {"gb_per_s", r.bytes / r.ns},
                    {"of_peak", r.flops / r.ns / std::max(profile.peak_flops_per_ns, 1e-9)}});
  }
  return rows;
}

absl::Status PrintJson(const nlohmann::json& json) {
  std::printf(
      "%s\n",
      json.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace).c_str());
  return FlushOutput();
}

// One run for each extent, in an order that is none, and what it leaves in memory.
absl::Status Vary(Session* session, const Options& o) {
  const std::pair<std::string, std::string> named = absl::StrSplit(o.vary, absl::MaxSplits('=', 1));
  const std::vector<std::string> ends = absl::StrSplit(named.second, ':');
  int64_t from = 0, to = 0;
  if (ends.size() != 2 || !absl::SimpleAtoi(ends[0], &from) || !absl::SimpleAtoi(ends[1], &to) ||
      from < 1 || to < from || to - from >= 1'000'000) {
    return absl::InvalidArgumentError(
        absl::StrCat("--vary takes NAME=FROM:TO, 1 or more, not ", o.vary));
  }
  const int64_t n = to - from + 1;
  int64_t step = n * 618 / 1000 + 1;  // of no common divisor: each extent once
  while (std::gcd(step, n) != 1) ++step;
  Progress progress;
  nlohmann::json rows = nlohmann::json::array();
  double specialise_ms = 0;
  int64_t plans = 0;
  for (int64_t i = 0; i < n; ++i) {
    InputOptions inputs = o.inputs;
    const int64_t extent = from + i * step % n;
    inputs.dims.push_back(absl::StrCat(named.first, "=", extent));
    absl::StatusOr<Inputs> loaded = LoadInputs(session->all_inputs(o.session.signature), inputs);
    if (!loaded.ok()) return loaded.status();
    absl::StatusOr<std::vector<Tensor>> results = session->Run(o.session.signature, loaded->feeds);
    if (!results.ok()) return results.status();
    specialise_ms += session->Memory().specialise_ms;
    plans = std::max(plans, session->Memory().plans);
    if (i % 16 == 0) progress.Show(absl::StrCat(i, " of ", n, " runs"));
    if ((i + 1) * 10 / n == i * 10 / n) continue;
    rows.push_back({{"runs", i + 1},
                    {"rss_mb", ProcessMegabytes("VmRSS")},
                    {"specialise_ms", specialise_ms / static_cast<double>(i + 1)},
                    {"plans", plans}});
  }
  if (o.json) {
    return PrintJson({{"model", o.model.path}, {"vary", o.vary}, {"curve", rows}});
  }
  for (const auto& row : rows) {
    std::printf("%8lld runs: %8.1f MB resident, %7.3f ms to specialise a shape, %lld plans\n",
                row["runs"].get<long long>(), row["rss_mb"].get<double>(),
                row["specialise_ms"].get<double>(), row["plans"].get<long long>());
  }
  return absl::OkStatus();
}

absl::Status Bench(const Options& o) {
  if (o.wait && o.model.path == "-")
    return absl::InvalidArgumentError("--wait reads standard input, which is to be the model");
  const double rss_before = ProcessMegabytes("VmRSS");
  const auto start = std::chrono::steady_clock::now();
  SessionOptions options = o.session.Options();
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadGraph(o.model, &options);
  if (!graph.ok()) return graph.status();
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, std::move(options));
  if (!session.ok()) return session.status();
  if (absl::Status s = (*session)->CheckSignature(o.session.signature); !s.ok()) return s;
  graph->reset();
  const double create_ms = Milliseconds(start);
  if (!o.vary.empty()) return Vary(session->get(), o);
  absl::StatusOr<Inputs> inputs = LoadInputs((*session)->all_inputs(o.session.signature), o.inputs);
  if (!inputs.ok()) return inputs.status();
  for (const std::string& line : inputs->generated) std::fprintf(stderr, "%s\n", line.c_str());

  CallableOptions signature{.feeds = {}, .fetches = {}, .signature = o.session.signature};
  std::vector<Tensor> feeds;
  for (const auto& [name, tensor] : inputs->feeds) {
    signature.feeds.push_back(name);
    feeds.push_back(tensor);
  }
  for (const Session::Port& p : (*session)->outputs(o.session.signature))
    signature.fetches.push_back(p.name);
  absl::StatusOr<std::unique_ptr<Callable>> callable = (*session)->MakeCallable(signature);
  if (!callable.ok()) return callable.status();
  std::vector<Tensor> results(signature.fetches.size());
  auto run = [&](const RunOptions& run_options) {
    for (Tensor& t : results) t = Tensor();
    return (*callable)->Run(feeds, absl::MakeSpan(results), run_options);
  };
  const auto first = std::chrono::steady_clock::now();
  if (absl::Status s = run({}); !s.ok()) return s;
  const double first_ms = Milliseconds(first);

  auto round = [&]() -> absl::StatusOr<nlohmann::json> {
    Progress progress;
    Timings times;
    const auto begin = std::chrono::steady_clock::now();
    while (times.count() < 3 || Milliseconds(begin) < 1e3 * o.seconds) {
      const auto t = std::chrono::steady_clock::now();
      if (absl::Status s = run({}); !s.ok()) return s;
      times.Add(Milliseconds(t));
      if (times.count() % 64 == 0) progress.Show(absl::StrCat(times.count(), " runs"));
    }
    const Session::MemoryStats memory = (*session)->Memory();
    return nlohmann::json{{"model", o.model.path},
                          {"create_ms", create_ms},
                          {"first_ms", first_ms},
                          {"p50_ms", times.Quantile(.5)},
                          {"p90_ms", times.Quantile(.9)},
                          {"p99_ms", times.Quantile(.99)},
                          {"min_ms", times.least()},
                          {"n", times.count()},
                          {"rss_mb", ProcessMegabytes("VmHWM")},
                          {"rss_before_mb", rss_before},
                          {"peak_arena_mb", memory.arena_bytes / 1048576.0},
                          {"packed_mb", memory.packed_bytes / 1048576.0},
                          {"specialise_ms", memory.specialise_ms}};
  };
  if (o.wait) {
    absl::Status s = PrintJson({{"ready", true}, {"create_ms", create_ms}, {"first_ms", first_ms}});
    if (!s.ok()) return s;
    for (int c; (c = std::getchar()) != EOF;) {
      if (c != '\n') continue;
      absl::StatusOr<nlohmann::json> json = round();
      if (!json.ok()) return json.status();
      if (absl::Status s = PrintJson(*json); !s.ok()) return s;
    }
    return absl::OkStatus();
  }
  absl::StatusOr<nlohmann::json> timed = round();
  if (!timed.ok()) return timed.status();
  if (o.ops) {
    Profile profile;
    RunOptions profiled;
    profiled.profile = &profile;
    if (absl::Status s = run(profiled); !s.ok()) return s;
    if (o.json) {
      (*timed)["ops"] = OpsJson(profile);
    } else {
      PrintOps(profile);
    }
  }
  if (o.json) {
    return PrintJson(*timed);
  } else {
    auto at = [&](const char* key) { return (*timed)[key].get<double>(); };
    std::printf(
        "create %.1f ms, first run %.1f ms; %.0f runs: p50 %.3f ms, p90 %.3f, p99 %.3f, min %.3f; "
        "memory %.1f MB (%.1f before), arena %.2f MB\n",
        create_ms, first_ms, at("n"), at("p50_ms"), at("p90_ms"), at("p99_ms"), at("min_ms"),
        at("rss_mb"), rss_before, at("peak_arena_mb"));
  }
  return absl::OkStatus();
}

}  // namespace

void AddBench(CLI::App& app, Job* job) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("bench", "Time a model");
  o->model.AddTo(command);
  o->inputs.AddTo(command, /*with_batch=*/true);
  o->session.AddTo(command);
  CLI::Option* seconds =
      command->add_option("--seconds", o->seconds, "How long to repeat (default 2)")
          ->type_name("S")
          ->check(Number(0, 1e8));
  CLI::Option* vary =
      command
          ->add_option(
              "--vary", o->vary,
              "One run for each extent of a symbol instead, and the memory after each tenth")
          ->type_name("NAME=FROM:TO")
          ->check(NotEmpty())
          ->excludes(seconds);
  command->add_flag("--json", o->json, "One line of JSON");
  CLI::Option* ops = command->add_flag("--ops", o->ops, "A table by node")->excludes(vary);
  command
      ->add_flag("--wait", o->wait,
                 "Get ready, then time one round for each line read from stdin and print its JSON: "
                 "to interleave with other programs")
      ->excludes(vary)
      ->excludes(ops);
  command->callback([=] { *job = [o](bool*) { return Bench(*o); }; });
}

}  // namespace sluice::cli
