// What stays unfused in the architectures kept as text, each with its reason. A plain product, norm
// or activation that is not in the table, or that the table has and the graph has no more, fails.
#include <map>

#include "absl/strings/str_cat.h"
#include "passes/pass.h"
#include "runtime/evaluate.h"
#include "tests/models/models.h"

namespace sluice {
namespace {

struct Remains {
  const char* op;
  int count;
  const char* reason;
};

// By model. An op that is here stands alone because of its reason; all others are fused.
const std::map<std::string, std::vector<Remains>>& Expected() {
  static const auto* table = new std::map<std::string, std::vector<Remains>>{};
  return *table;
}

bool IsWatched(const Node& node) {
  static const char* const kOps[] = {"Conv",
                                     "ConvTranspose",
                                     "MatMul",
                                     "Gemm",
                                     "Softmax",
                                     "BatchNormalization",
                                     "LayerNormalization",
                                     "InstanceNormalization",
                                     "GroupNormalization",
                                     "RMSNormalization",
                                     "Gelu",
                                     "Erf",
                                     "HardSwish",
                                     "Swish",
                                     "Sigmoid",
                                     "Tanh",
                                     "Relu",
                                     "QuantizeLinear",
                                     "DequantizeLinear"};
  return std::any_of(std::begin(kOps), std::end(kOps), [&](const char* op) { return node.Is(op); });
}

// Nodes of the graph and of the bodies of control flow; the body of a fused node is the fusion.
void Count(const Graph& graph, std::map<std::string, int>* counts) {
  for (const auto& node : graph.nodes()) {
    if (IsWatched(*node)) ++(*counts)[std::string(node->op_name())];
    if (node->op().domain == "sluice") continue;
    for (const auto& [name, body] : node->bodies()) Count(*body, counts);
  }
}

std::string Refusals(const OptimizeReport& report) {
  std::string text;
  for (const Finding& f : report.findings) {
    if (!f.applied) absl::StrAppend(&text, "  ", f.pass, ": ", f.node, ": ", f.reason, "\n");
  }
  return text;
}

TEST_P(Models, NothingRemainsUnfusedWithoutAReason) {
  std::unique_ptr<Graph> graph = LoadModel(GetParam());
  ASSERT_NE(graph, nullptr);
  ThreadPool pool;
  auto report = Optimize(graph.get(), {}, CpuEvaluator(&pool), CpuTarget());
  ASSERT_TRUE(report.ok()) << report.status();
  std::map<std::string, int> counts;
  Count(*graph, &counts);
  const auto row = Expected().find(GetParam());
  if (row != Expected().end()) {
    for (const Remains& r : row->second) {
      EXPECT_EQ(counts[r.op], r.count) << r.op << " in " << GetParam() << ", where " << r.reason;
      counts.erase(r.op);
    }
  }
  for (const auto& [op, count] : counts) {
    EXPECT_EQ(count, 0) << op << " in " << GetParam() << " stands alone; refused were\n"
                        << Refusals(*report);
  }
}

// Each attention of the set is one node.
TEST(FusedModels, EveryAttentionIsOneNode) {
  for (const auto& [name, layers] :
       std::map<std::string, int>{{"bert_base", 12}, {"vit_b_16", 12}}) {
    std::unique_ptr<Graph> graph = LoadModel(name);
    ASSERT_NE(graph, nullptr);
    ThreadPool pool;
    ASSERT_TRUE(Optimize(graph.get(), {}, CpuEvaluator(&pool), CpuTarget()).ok());
    int found = 0;
    for (const auto& node : graph->nodes()) found += node->Is("FusedAttention");
    EXPECT_EQ(found, layers) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Text, Models, testing::ValuesIn(ModelNames()), TestName);

}  // namespace
}  // namespace sluice
