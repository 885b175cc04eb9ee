#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "graph/text.h"
#include "tools/cli.h"

namespace sluice::cli {
namespace {

struct Options {
  ModelArgument model;
  std::string data;
  double rtol = 1e-3, atol = 1e-7;
  bool allow_missing = false;
  SessionFlags session;
};

struct Difference {
  double largest = 0;    // |a - b|
  double reference = 0;  // largest |b|
  int64_t at = 0;
  bool nan = false;  // NaN on one side only
};

Difference Compare(const Tensor& a, const Tensor& b) {
  Difference d;
  VisitDType(
      a.dtype(),
      [&]<typename T>() {
        for (int64_t i = 0; i < a.elements(); ++i) {
          const double x = static_cast<double>(a.data<T>()[i]),
                       y = static_cast<double>(b.data<T>()[i]);
          if (std::isnan(x) != std::isnan(y)) d.nan = true;
          if (std::isfinite(y)) d.reference = std::max(d.reference, std::fabs(y));
          const double gap = x == y || (std::isnan(x) && std::isnan(y)) ? 0 : std::fabs(x - y);
          if (gap > d.largest) {
            d.largest = gap;
            d.at = i;
          }
        }
      },
      [&] {
        for (int64_t i = 0; i < a.elements(); ++i) {
          if (a.data<std::string>()[i] != b.data<std::string>()[i]) d.largest = INFINITY, d.at = i;
        }
      });
  return d;
}

absl::StatusOr<bool> CheckFolder(Session& session, const std::string& folder, const Options& o) {
  const std::string& signature = o.session.signature;
  InputOptions options;
  options.folder = folder;
  absl::StatusOr<Inputs> inputs = LoadInputs(session.all_inputs(signature), options);
  if (!inputs.ok()) return inputs.status();
  if (!inputs->generated.empty()) {
    return absl::NotFoundError(
        absl::StrCat(folder, " holds ", session.inputs(signature).size() - inputs->generated.size(),
                     " inputs, the model takes ", session.inputs(signature).size()));
  }
  absl::StatusOr<std::vector<Tensor>> expected = ReadNumbered(folder, "output");
  if (!expected.ok()) return expected.status();
  if (expected->empty())
    return absl::NotFoundError(absl::StrCat(folder, " holds no output_0.npy or output_0.pb"));
  absl::StatusOr<std::vector<Tensor>> results = session.Run(signature, inputs->feeds);
  if (!results.ok()) return results.status();
  bool agree = true;
  for (size_t i = 0; i < expected->size(); ++i) {
    if (i >= results->size()) {
      std::printf("%s output %zu: the model has only %zu outputs\n", folder.c_str(), i,
                  results->size());
      return false;
    }
    const Tensor &a = (*results)[i], &b = (*expected)[i];
    const std::string name = Escaped(session.outputs(signature)[i].name);
    if (a.dtype() != b.dtype() || a.dims() != b.dims()) {
      std::printf("%s %s: DISAGREES: it is %s, expected %s\n", folder.c_str(), name.c_str(),
                  a.TypeString().c_str(), b.TypeString().c_str());
      agree = false;
      continue;
    }
    const Difference d = Compare(a, b);
    const bool ok = !d.nan && d.largest <= o.atol + o.rtol * d.reference;
    std::printf(
        "%s %s: %s %s: largest difference %.3g at element %lld, largest value %.3g, relative "
        "%.3g%s\n",
        folder.c_str(), name.c_str(), b.TypeString().c_str(), ok ? "agrees" : "DISAGREES",
        d.largest, static_cast<long long>(d.at), d.reference,
        d.reference > 0 ? d.largest / d.reference : d.largest, d.nan ? ", NaN on one side" : "");
    agree &= ok;
  }
  for (size_t i = expected->size(); i < results->size(); ++i) {
    std::printf("%s %s: NOT COMPARED: there is no output_%zu.npy or .pb%s\n", folder.c_str(),
                Escaped(session.outputs(signature)[i].name).c_str(), i,
                o.allow_missing ? "" : " (--allow-missing lets that pass)");
    agree &= o.allow_missing;
  }
  return agree;
}

absl::Status Check(const Options& o, bool* fail) {
  Progress progress;
  progress.Show("reading " + o.model.path);
  SessionOptions options = o.session.Options();
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadGraph(o.model, &options);
  if (!graph.ok()) return graph.status();
  options.log = [&](absl::string_view line) { progress.Show(std::string(line)); };
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, std::move(options));
  if (!session.ok()) return session.status();
  if (absl::Status s = (*session)->CheckSignature(o.session.signature); !s.ok()) return s;
  if (!IsFolder(o.data)) return absl::NotFoundError(absl::StrCat(o.data, " is no folder"));
  std::vector<std::string> folders;
  std::error_code error;
  for (std::filesystem::directory_iterator it(o.data, error), end; !error && it != end;
       it.increment(error)) {
    if (absl::StartsWith(it->path().filename().string(), "test_data_set_") && it->is_directory())
      folders.push_back(it->path().string());
  }
  if (error)
    return absl::NotFoundError(absl::StrCat("cannot read ", o.data, ": ", error.message()));
  std::sort(folders.begin(), folders.end());
  if (folders.empty()) folders.push_back(o.data);
  for (const std::string& folder : folders) {
    absl::StatusOr<bool> agree = CheckFolder(**session, folder, o);
    if (!agree.ok()) return agree.status();
    if (!*agree) *fail = true;
  }
  return absl::OkStatus();
}

}  // namespace

void AddCheck(CLI::App& app, Job* job) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("check",
                                         "Run a model on stored inputs and compare with stored "
                                         "outputs; exit code 1 where one disagrees");
  o->model.AddTo(command);
  command
      ->add_option("--data", o->data,
                   "Folder with input_* and output_*, or with test_data_set_0, ...")
      ->required()
      ->type_name("DIR")
      ->check(NotEmpty());
  command->add_option("--rtol", o->rtol, "An output agrees when max|a-b| <= atol + rtol * max|b|")
      ->check(Number(0, 1e300))
      ->capture_default_str();
  command->add_option("--atol", o->atol, "")->check(Number(0, 1e300))->capture_default_str();
  command->add_flag("--allow-missing", o->allow_missing,
                    "Outputs without a reference do not fail the check");
  o->session.AddTo(command);
  command->callback([=] { *job = [o](bool* fail) { return Check(*o, fail); }; });
}

}  // namespace sluice::cli
