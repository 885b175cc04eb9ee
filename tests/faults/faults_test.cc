// Models that were wrong once, or are wrong elsewhere, in every form. A .sluice.txt here holds the
// graph, what to feed it and what must come (tests/random/case_text.h), which is never our own
// result; where a .onnx of the same name lies beside it, the importer is part of what is proven and
// the graph is read from there.
#include <dirent.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "exchange/model.h"
#include "tests/random/case_text.h"
#include "tests/random/forms.h"

namespace sluice::random {
namespace {

constexpr char kFolder[] = "tests/faults/";
constexpr char kEnding[] = ".sluice.txt";

std::vector<std::string> Names() {
  std::vector<std::string> names;
  DIR* folder = opendir(kFolder);
  while (const dirent* entry = folder == nullptr ? nullptr : readdir(folder)) {
    const std::string name = entry->d_name;
    if (absl::EndsWith(name, kEnding))
      names.push_back(name.substr(0, name.size() - sizeof(kEnding) + 1));
  }
  if (folder != nullptr) closedir(folder);
  std::sort(names.begin(), names.end());
  return names;
}

class Faults : public testing::TestWithParam<std::string> {};

TEST_P(Faults, AreRightInEveryForm) {
  std::ifstream file(absl::StrCat(kFolder, GetParam(), kEnding));
  std::stringstream text;
  text << file.rdbuf();
  std::vector<Feeds> expected;
  absl::StatusOr<Case> c = ParseCase(text.str(), &expected);
  ASSERT_TRUE(c.ok()) << c.status();
  const std::string onnx = absl::StrCat(kFolder, GetParam(), ".onnx");
  if (std::ifstream(onnx).good()) {
    absl::StatusOr<std::unique_ptr<Graph>> graph = ReadModel(onnx);
    ASSERT_TRUE(graph.ok()) << graph.status();
    c->graph = *std::move(graph);
  }
  CheckCounts counts;
  CheckOptions options;
  options.folder = testing::TempDir();
  if (!expected.empty()) options.expected = &expected;
  for (const Problem& p : CheckForms(*c, options, &counts)) {
    ADD_FAILURE() << p.form << ": " << p.kind << ": " << p.detail;
  }
  EXPECT_EQ(counts.refused, 0) << counts.last_refusal;
}

INSTANTIATE_TEST_SUITE_P(All, Faults, testing::ValuesIn(Names()), [](const auto& info) {
  return absl::StrReplaceAll(info.param, {{"-", "_"}, {".", "_"}});
});

}  // namespace
}  // namespace sluice::random
