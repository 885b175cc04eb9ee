// Every ONNX conformance case against the ledger: what it says passes must pass, and what it says
// does not must not (then the ledger wants an update: see README.md).
#include "tests/conformance/corpus.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "absl/strings/match.h"

namespace sluice {
namespace {

std::string Root() {
  const char* root = std::getenv("SLUICE_CORPUS");
  return root == nullptr ? "" : root;
}

const std::map<std::string, std::string>& Ledger() {
  static const auto* const ledger =
      new std::map<std::string, std::string>(ReadLedger("tests/conformance/ledger.txt"));
  return *ledger;
}

TEST(OnnxCorpus, IsThereAndInTheLedger) {
  const std::vector<std::string> cases = ListCases(Root());
  ASSERT_GT(cases.size(), 1800u) << "SLUICE_CORPUS must name the data folder; tools/test sets it";
  EXPECT_EQ(cases.size(), Ledger().size()) << "the ledger has one line a case";
  int passed = 0;
  for (const auto& [name, result] : Ledger()) passed += result == "passed";
  std::printf("ONNX conformance: %d of %zu cases pass\n", passed, Ledger().size());
}

class OnnxCase : public testing::TestWithParam<std::string> {};

TEST_P(OnnxCase, AgreesWithTheLedger) {
  auto line = Ledger().find(GetParam());
  ASSERT_TRUE(line != Ledger().end()) << "no line in the ledger";
  const std::string result = RunCase(Root(), GetParam());
  if (line->second == "passed") {
    EXPECT_EQ(result, "passed");
  } else {
    EXPECT_TRUE(absl::StartsWith(line->second, "not yet: ")) << line->second;
    EXPECT_NE(result, "passed") << "the ledger says '" << line->second << "': update it";
  }
}

// What was optimised is a program like any other.
TEST_P(OnnxCase, ReopensAsItWas) {
  auto line = Ledger().find(GetParam());
  if (line == Ledger().end() || line->second != "passed") {
    GTEST_SKIP() << (line == Ledger().end() ? "it is not in the ledger" : line->second);
  }
  EXPECT_EQ(ReopenCase(Root(), GetParam()), "passed");
}

INSTANTIATE_TEST_SUITE_P(Onnx, OnnxCase, testing::ValuesIn(ListCases(Root())),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) {
                             if (!isalnum(static_cast<unsigned char>(c))) c = '_';
                           }
                           return name;
                         });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OnnxCase);

}  // namespace
}  // namespace sluice
