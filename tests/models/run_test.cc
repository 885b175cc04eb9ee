#include <cmath>

#include "runtime/session.h"
#include "tests/models/models.h"

namespace sluice {
namespace {

std::vector<Tensor> RunModel(const Graph& graph, const PassOptions& passes) {
  SessionOptions options;
  options.threads = 2;
  options.passes = passes;
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(graph, options);
  EXPECT_TRUE(session.ok()) << session.status();
  if (!session.ok()) return {};
  Feeds feeds;
  for (const Session::Port& port : (*session)->inputs()) {
    feeds.push_back({port.name, AnyInput(port.type, feeds.size() + 1)});
  }
  absl::StatusOr<std::vector<Tensor>> results = (*session)->Run(feeds);
  EXPECT_TRUE(results.ok()) << results.status();
  return results.ok() ? *std::move(results) : std::vector<Tensor>();
}

TEST_P(Models, AllPassesAndNoPassesGiveTheSameNumbers) {
  std::unique_ptr<Graph> graph = LoadModel(GetParam());
  ASSERT_NE(graph, nullptr);
  PassOptions none;
  none.enabled = false;
  const std::vector<Tensor> plain = RunModel(*graph, none), improved = RunModel(*graph, {});
  ASSERT_EQ(plain.size(), graph->outputs().size());
  ASSERT_EQ(improved.size(), plain.size());
  // Quantisation turns the last bit of a sum into a step.
  const double tolerance = GetParam().find("qdq") != std::string::npos ? 5e-2 : 1e-3;
  for (size_t i = 0; i < plain.size(); ++i) {
    ASSERT_EQ(plain[i].TypeString(), improved[i].TypeString());
    if (plain[i].dtype() != DType::kF32) continue;
    double largest = 0, difference = 0;
    for (int64_t k = 0; k < plain[i].elements(); ++k) {
      const double a = plain[i].data<float>()[k], b = improved[i].data<float>()[k];
      ASSERT_TRUE(std::isfinite(a) && std::isfinite(b)) << k;
      largest = std::max(largest, std::abs(a));
      difference = std::max(difference, std::abs(a - b));
    }
    EXPECT_GT(largest, 0);
    EXPECT_LE(difference, tolerance * largest) << GetParam() << " output " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Text, Models, testing::ValuesIn(ModelNames()), TestName);

}  // namespace
}  // namespace sluice
