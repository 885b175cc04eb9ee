// Names that a file chose, in what a session says (ATTACKS.md 17): errors, reports, profiles.
#include "tests/testing/odd_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"
#include "sluice.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using testing::HasSubstr;

class OddNamesTest : public testing::TestWithParam<size_t> {
 protected:
  std::string Name(absl::string_view tag) { return OddNames(tag)[GetParam()]; }

  // y = gather(relu(x + 1 + variable), i), every name odd.
  std::unique_ptr<Graph> MakeGraph() {
    auto graph = std::make_unique<Graph>(StandardOps(), Name("graph"));
    GraphBuilder b(graph.get());
    Value* x = b.Input(Name("x"), Type::Tensor(DType::kF32, Shape{3}));
    Value* i = b.Input(Name("i"), Type::Tensor(DType::kI64, Shape{1}));
    Value* variable = b.Variable(Name("variable"), Tensor::Scalar<float>(1));
    Value* one = b.Constant(Tensor::Scalar<float>(1), Name("one"));
    Value* sum = b.Op("Add", {b.Op("Add", {x, one}), variable});
    Value* y = b.Op("Gather", {b.Op("Relu", {sum}), i});
    graph->AddOutput(y, Name("y"));
    EXPECT_TRUE(b.status().ok()) << b.status();
    for (const auto& node : graph->nodes()) {
      node->mutable_origin() = {
          .file = Name("file"), .name = Name("node"), .passes = Name("passes")};
    }
    return graph;
  }
};

void ExpectSafe(const absl::Status& status, absl::string_view about) {
  EXPECT_FALSE(status.ok()) << about;
  EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(about)));
  EXPECT_EQ(Unsafe(status.message()), "") << status.message().substr(0, 3000);
}

void ExpectSafeJson(const std::string& json) {
  EXPECT_TRUE(nlohmann::json::accept(json));
  EXPECT_EQ(json.find("\nFORGED"), std::string::npos);
  for (const char c : json) ASSERT_TRUE((c >= 0x20 && c < 0x7f) || c == '\n') << int{c};
}

TEST_P(OddNamesTest, InErrorsReportsAndProfiles) {
  std::vector<std::string> log;
  SessionOptions options{.threads = 1};
  options.log = [&](absl::string_view line) { log.push_back(std::string(line)); };
  auto made = Session::Create(*MakeGraph(), options);
  ASSERT_TRUE(made.ok()) << made.status();
  Session& session = **made;
  for (const std::string& line : log) EXPECT_EQ(Unsafe(line), "");

  const Tensor x = MakeTensor<float>({3}, {1, 2, 3}), i = MakeTensor<int64_t>({1}, {1});
  const Feeds good = {{Name("x"), x}, {Name("i"), i}};
  ExpectSafe(session.Run({{Name("nobody"), x}}).status(), "has no input");
  ExpectSafe(session.Run({{Name("x"), x}, {Name("x"), x}}).status(), "fed twice");
  ExpectSafe(session.Run({{Name("x"), x}}).status(), "input");
  ExpectSafe(session.Run({{Name("x"), i}, {Name("i"), i}}).status(), "dtype");
  ExpectSafe(session.Run(good, {Name("nothing")}).status(), "has no output");
  ExpectSafe(session.ReadVariable(Name("nothing")).status(), "no variable is named");
  ExpectSafe(session.AssignVariable(Name("variable"), x), "cannot take");
  ExpectSafe(session.Run({{Name("x"), x}, {Name("i"), MakeTensor<int64_t>({1}, {7})}}).status(),
             "inputs were");
  ExpectSafe(session.MakeCallable({{Name("nobody")}, {}}).status(), "no input");

  Profile profile;
  ASSERT_TRUE(session.Run(good, {}, {.profile = &profile}).ok());
  ExpectSafeJson(profile.ToChromeTrace());
  ExpectSafeJson(session.ExplainJson());
  EXPECT_EQ(Unsafe(session.Explain()), "");
  EXPECT_EQ(Unsafe(*session.PlanText(good)), "");

  options.memory_limit = 1;
  auto small = Session::Create(*MakeGraph(), options);
  ExpectSafe(small.ok() ? (*small)->Run(good).status() : small.status(), "limit");
}

INSTANTIATE_TEST_SUITE_P(All, OddNamesTest, testing::Range<size_t>(0, OddNames("").size()));

}  // namespace
}  // namespace sluice
