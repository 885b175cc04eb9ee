#include <cmath>
#include <cstring>
#include <random>

#include "absl/strings/str_cat.h"
#include "graph/infer.h"
#include "runtime/evaluate.h"
#include "runtime/session.h"
#include "tests/models/models.h"
#include "tests/testing/reopened.h"

namespace sluice {
namespace {

std::vector<Tensor> RunModel(const Graph& graph, const SessionOptions& options) {
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

std::vector<Tensor> RunWith(const PassOptions& passes, const Graph& graph) {
  SessionOptions options{.threads = 2};
  options.passes = passes;
  return RunModel(graph, options);
}

// How often all passes together change something.
absl::StatusOr<int64_t> Applications(const Graph& graph) {
  std::unique_ptr<Graph> copy = graph.Clone();
  if (absl::Status s = InferTypes(copy.get()); !s.ok()) return s;
  ThreadPool pool(1);
  absl::StatusOr<OptimizeReport> report =
      Optimize(copy.get(), {}, CpuEvaluator(&pool), CpuTarget());
  if (!report.ok()) return report.status();
  int64_t applied = 0;
  for (const PassReport& pass : report->passes) applied += pass.applied;
  return applied;
}

// Within `tolerance` of the largest absolute value.
void ExpectSameNumbers(const std::vector<Tensor>& plain, const std::vector<Tensor>& improved,
                       double tolerance) {
  ASSERT_EQ(improved.size(), plain.size());
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
    EXPECT_LE(difference, tolerance * largest) << "output " << i;
  }
}
// Quantisation turns the last bit of a sum into a step, which fifty layers of random weights
// amplify: the numbers of single layers are proven in tests/ops/quantized_product_test.cc.
double ToleranceOf(const std::string& model) {
  return model.find("qdq") != std::string::npos ? 0.25 : 1e-4;
}

// All passes, none, and the pipeline stopped anywhere between.
TEST_P(Models, AnyPassesGiveTheSameNumbers) {
  std::unique_ptr<Graph> graph = LoadModel(GetParam());
  ASSERT_NE(graph, nullptr);
  PassOptions none;
  none.enabled = false;
  const std::vector<Tensor> plain = RunWith(none, *graph);
  ASSERT_EQ(plain.size(), graph->outputs().size());
  ExpectSameNumbers(plain, RunWith({}, *graph), ToleranceOf(GetParam()));

  absl::StatusOr<int64_t> applied = Applications(*graph);
  ASSERT_TRUE(applied.ok()) << applied.status();
  std::mt19937_64 random(std::hash<std::string>()(GetParam()));
  for (int round = 0; round < 2 && *applied > 1; ++round) {
    PassOptions some;
    some.fuel = std::uniform_int_distribution<int64_t>(1, *applied - 1)(random);
    SCOPED_TRACE(absl::StrCat("fuel ", some.fuel, " of ", *applied));
    ExpectSameNumbers(plain, RunWith(some, *graph), ToleranceOf(GetParam()));
  }
}

// What was optimised is a program like any other.
TEST_P(Models, ReopenAsTheyWere) {
  std::unique_ptr<Graph> graph = LoadModel(GetParam());
  ASSERT_NE(graph, nullptr);
  absl::StatusOr<std::unique_ptr<Graph>> reopened = OptimiseAndReopen(*graph);
  EXPECT_TRUE(reopened.ok()) << reopened.status().message().substr(0, 2000);
}

// A batch, which may run slice by slice, gives each of its rows what that gets alone.
TEST_P(Models, ABatchGivesWhatItsRowsGive) {
  constexpr int64_t kBatch = 4;
  std::unique_ptr<Graph> graph = LoadModel(GetParam());
  ASSERT_NE(graph, nullptr);
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(*graph, {.threads = 2});
  ASSERT_TRUE(session.ok()) << session.status();
  Feeds all;
  for (const Session::Port& port : (*session)->inputs())
    all.push_back({port.name, AnyInput(port.type, all.size() + 1, kBatch)});
  const auto row = [](const Tensor& t, int64_t i) {
    Dims dims(t.dims().begin(), t.dims().end());
    dims[0] = 1;
    const size_t bytes = t.bytes() / static_cast<size_t>(kBatch);
    return Tensor::Wrap(t.dtype(), dims, static_cast<const char*>(t.raw()) + i * bytes, t.owner());
  };
  absl::StatusOr<std::vector<Tensor>> results = (*session)->Run(all);
  ASSERT_TRUE(results.ok()) << results.status();
  for (int64_t i : {int64_t{0}, kBatch - 1}) {
    Feeds one;
    for (const auto& [name, tensor] : all) one.push_back({name, row(tensor, i)});
    absl::StatusOr<std::vector<Tensor>> alone = (*session)->Run(one);
    ASSERT_TRUE(alone.ok()) << alone.status();
    std::vector<Tensor> rows;
    for (const Tensor& t : *results) rows.push_back(row(t, i));
    ExpectSameNumbers(*alone, rows, ToleranceOf(GetParam()));
  }
}

// `deterministic`: the same bits whatever the number of threads.
TEST_P(Models, DeterministicRunsGiveTheSameBitsOnAnyNumberOfThreads) {
  std::unique_ptr<Graph> graph = LoadModel(GetParam());
  ASSERT_NE(graph, nullptr);
  std::vector<Tensor> expected;
  for (int threads : {1, 2, 3, 4}) {
    SCOPED_TRACE(absl::StrCat(threads, " threads"));
    std::vector<Tensor> results = RunModel(*graph, {.threads = threads, .deterministic = true});
    ASSERT_EQ(results.size(), graph->outputs().size());
    if (threads == 1) {
      expected = std::move(results);
      continue;
    }
    for (size_t i = 0; i < results.size(); ++i) {
      ASSERT_EQ(results[i].TypeString(), expected[i].TypeString());
      EXPECT_EQ(std::memcmp(results[i].raw(), expected[i].raw(), expected[i].bytes()), 0)
          << "output " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Text, Models, testing::ValuesIn(ModelNames()), TestName);

}  // namespace
}  // namespace sluice
