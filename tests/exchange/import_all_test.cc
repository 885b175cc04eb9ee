// Imports every model below a folder. Not part of CI, which has no such folders:
//   SLUICE_IMPORT_ALL=/tmp/models bazel-bin/tests/exchange/exchange_test
// With SLUICE_EXPORT_TO=DIR each is also written below DIR and read again, called as its file or,
// where that is model.onnx, as its folder,
// with SLUICE_ROUND_TRIP=1 written and read in every form of ours.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "exchange/model.h"
#include "exchange/onnx_export.h"
#include "exchange/onnx_import.h"
#include "graph/infer.h"
#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

void CountKnown(const Graph& graph, int* known, int* all, std::string* unknown) {
  for (const auto& node : graph.nodes()) {
    if (node->Is("Constant")) continue;
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      const Type& type = node->output(i)->type();
      bool is_known = !type.is_tensor() ? !type.is_unknown() : type.has_shape();
      if (is_known && type.is_tensor()) {
        for (const Dim& d : type.shape()) {
          std::vector<std::string> symbols;
          d.CollectSymbols(&symbols);
          for (const std::string& s : symbols) is_known &= s[0] != '_';
        }
      }
      *all += 1;
      *known += is_known;
      if (!is_known && unknown->empty()) *unknown = NodeToString(*node);
    }
    for (const auto& [name, body] : node->bodies()) CountKnown(*body, known, all, unknown);
  }
}

TEST(ImportAll, EveryModelGivesAGraphOrACleanError) {
  const char* folder = std::getenv("SLUICE_IMPORT_ALL");
  if (folder == nullptr) GTEST_SKIP() << "SLUICE_IMPORT_ALL names no folder of models";
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".onnx") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  int good = 0;
  std::map<std::string, std::vector<std::string>> errors;
  for (const std::string& path : paths) {
    auto graph = ImportOnnx(path);
    if (!graph.ok()) {
      std::string message(graph.status().message());
      message = message.substr(std::min(message.size(), message.find(": ") + 2));
      errors[message].push_back(path);
      continue;
    }
    ++good;
    if (absl::Status s = InferTypes(graph->get()); !s.ok())
      errors["second inference: " + std::string(s.message())].push_back(path);
    if (const char* to = std::getenv("SLUICE_EXPORT_TO")) {
      const std::filesystem::path from(path);
      const std::filesystem::path name =
          from.stem() == "model" ? from.parent_path().filename() : from.stem();
      const std::string copy = std::string(to) + "/" + name.string() + ".onnx";
      absl::Status s = ExportOnnx(**graph, copy);
      if (s.ok()) s = ImportOnnx(copy).status();
      if (!s.ok()) errors["export: " + std::string(s.message())].push_back(path);
    }
    if (std::getenv("SLUICE_ROUND_TRIP") != nullptr) {
      for (const char* name : {"m", "m.sluice", "m.sluice.txt"}) {
        const TemporaryFolder folder;
        absl::Status s = WriteModel(**graph, folder / name);
        auto back = s.ok() ? ReadModel(folder / name) : s;
        std::string difference;
        if (!back.ok()) {
          errors["round trip: " + std::string(back.status().message())].push_back(path);
        } else if (!Equal(**graph, **back, &difference)) {
          errors["round trip through " + std::string(name) + ": " + difference].push_back(path);
        }
      }
    }
    int known = 0, all = 0;
    std::string unknown;
    CountKnown(**graph, &known, &all, &unknown);
    if (paths.size() < 100) {
      printf("%-60s %6zu nodes, shapes known of %d / %d  %s\n", path.c_str(),
             (*graph)->num_nodes_with_bodies(), known, all, unknown.c_str());
    }
  }
  printf("%d of %zu models imported\n", good, paths.size());
  for (const auto& [message, where] : errors)
    printf("%4zu x %s\n       %s\n", where.size(), message.c_str(), where[0].c_str());
}

}  // namespace
}  // namespace sluice
