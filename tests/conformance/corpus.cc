#include "tests/conformance/corpus.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "exchange/model.h"
#include "exchange/tensor_proto.h"
#include "runtime/session.h"
#include "tests/testing/reopened.h"

namespace sluice {
namespace {

std::vector<std::string> Entries(const std::string& folder) {
  std::vector<std::string> names;
  if (DIR* dir = opendir(folder.c_str())) {
    while (dirent* entry = readdir(dir)) {
      if (entry->d_name[0] != '.') names.push_back(entry->d_name);
    }
    closedir(dir);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool Exists(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0;
}

// The message on one line, without what depends on the machine.
std::string Reason(const std::string& root, const absl::Status& status) {
  std::string text(status.message());
  text = absl::StrReplaceAll(text, {{root, ""}});
  if (const size_t where = text.find("\n  at "); where != std::string::npos) text.resize(where);
  text = absl::StrReplaceAll(text, {{"\n", " "}});
  if (text.size() > 160) text.resize(160);
  return absl::StrCat("not yet: ", text);
}

absl::StatusOr<std::vector<Tensor>> ReadAll(const std::string& folder, absl::string_view kind) {
  std::vector<Tensor> tensors;
  for (int i = 0;; ++i) {
    const std::string path = absl::StrCat(folder, "/", kind, "_", i, ".pb");
    if (!Exists(path)) return tensors;
    absl::StatusOr<Tensor> t = ReadTensorPb(path);
    if (!t.ok()) return t.status();
    tensors.push_back(*std::move(t));
  }
}

// Empty where the two agree.
std::string Difference(const Tensor& actual, const Tensor& expected) {
  if (actual.dtype() != expected.dtype() || actual.dims() != expected.dims()) {
    return absl::StrCat("it is ", actual.TypeString(), ", expected ", expected.TypeString());
  }
  std::string difference;
  auto differ = [&](int64_t i, const auto& a, const auto& b) {
    if (difference.empty()) difference = absl::StrCat("element ", i, " is ", a, ", expected ", b);
  };
  VisitDType(
      actual.dtype(),
      [&]<typename T>() {
        for (int64_t i = 0; i < actual.elements(); ++i) {
          const T a = actual.data<T>()[i], b = expected.data<T>()[i];
          if constexpr (std::is_integral_v<T>) {
            if (a != b) differ(i, static_cast<int64_t>(a), static_cast<int64_t>(b));
          } else {
            const double x = static_cast<double>(a), y = static_cast<double>(b);
            if (x == y || (std::isnan(x) && std::isnan(y))) continue;
            if (!(std::fabs(x - y) <= 1e-7 + 1e-3 * std::fabs(y))) differ(i, x, y);
          }
        }
      },
      [&] {
        for (int64_t i = 0; i < actual.elements(); ++i) {
          const std::string &a = actual.data<std::string>()[i],
                            &b = expected.data<std::string>()[i];
          if (a != b) differ(i, a, b);
        }
      });
  return difference;
}

std::string RunGraph(const Graph& graph, const PassOptions& passes, const std::string& root,
                     const std::string& folder) {
  absl::StatusOr<std::unique_ptr<Session>> session =
      Session::Create(graph, {.threads = 1, .passes = passes, .seed = 1});
  if (!session.ok()) return Reason(root, session.status());
  if (!Exists(folder + "/test_data_set_0")) return "not yet: the case has no data";
  for (int set = 0;; ++set) {
    const std::string data = absl::StrCat(folder, "/test_data_set_", set);
    if (!Exists(data)) break;
    absl::StatusOr<std::vector<Tensor>> inputs = ReadAll(data, "input"),
                                        expected = ReadAll(data, "output");
    if (!inputs.ok()) return Reason(root, inputs.status());
    if (!expected.ok()) return Reason(root, expected.status());
    Feeds feeds;
    for (size_t i = 0; i < inputs->size() && i < (*session)->inputs().size(); ++i) {
      feeds.push_back({(*session)->inputs()[i].name, (*inputs)[i]});
    }
    absl::StatusOr<std::vector<Tensor>> actual = (*session)->Run(feeds);
    if (!actual.ok()) return Reason(root, actual.status());
    if (actual->size() < expected->size()) return "not yet: too few outputs";
    for (size_t i = 0; i < expected->size(); ++i) {
      const std::string difference = Difference((*actual)[i], (*expected)[i]);
      if (!difference.empty()) return absl::StrCat("not yet: output ", i, ": ", difference);
    }
  }
  return "passed";
}

}  // namespace

std::vector<std::string> ListCases(const std::string& root) {
  std::vector<std::string> cases;
  for (const std::string& kind : Entries(root)) {
    for (const std::string& name : Entries(absl::StrCat(root, "/", kind))) {
      const std::string path = absl::StrCat(kind, "/", name);
      if (Exists(absl::StrCat(root, "/", path, "/model.onnx"))) cases.push_back(path);
    }
  }
  return cases;
}

std::string RunCase(const std::string& root, const std::string& name) {
  const std::string folder = absl::StrCat(root, "/", name);
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadModel(folder + "/model.onnx");
  return graph.ok() ? RunGraph(**graph, {}, root, folder) : Reason(root, graph.status());
}

std::string ReopenCase(const std::string& root, const std::string& name) {
  const std::string folder = absl::StrCat(root, "/", name);
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadModel(folder + "/model.onnx");
  if (!graph.ok()) return Reason(root, graph.status());
  graph = OptimiseAndReopen(**graph);
  if (!graph.ok()) return std::string(graph.status().message());
  return RunGraph(**graph, {.enabled = false}, root, folder);
}

std::map<std::string, std::string> ReadLedger(const std::string& path) {
  std::map<std::string, std::string> ledger;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t blank = line.find(' ');
    if (line.empty() || line[0] == '#' || blank == std::string::npos) continue;
    ledger[line.substr(0, blank)] = line.substr(blank + 1);
  }
  return ledger;
}

}  // namespace sluice
