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

constexpr char kWhole[] = "its bias is its own input and no step that a kernel takes follows";
constexpr char kResidualBefore[] =
    "the residual is a step of the product before, so the norm is one trip by itself";
constexpr char kReordered[] =
    "its rows are reordered before the residual: a Reshape and a Transpose follow (the last one: "
    "nothing does)";
constexpr char kSoftmaxAlone[] = "it ends the model, no product follows";

// By model. An op that is here stands alone because of its reason; all others are fused.
const std::map<std::string, std::vector<Remains>>& Expected() {
  static const auto* table = new std::map<std::string, std::vector<Remains>>{
      {"bert_base", {{"Gemm", 1, kWhole}, {"LayerNormalization", 24, kResidualBefore}}},
      {"cifar_cnn", {{"Gemm", 1, kWhole}, {"Softmax", 1, kSoftmaxAlone}}},
      {"lstm_classifier", {{"Gemm", 1, kWhole}}},
      {"mlp", {{"Gemm", 1, kWhole}}},
      {"mobilenet_v3_large", {{"Conv", 5, kWhole}, {"Gemm", 1, kWhole}}},
      {"resnet50", {{"Conv", 4, kWhole}, {"Gemm", 1, kWhole}}},
      {"unet", {{"ConvTranspose", 1, kWhole}}},
      {"vit_b_16",
       {{"Conv", 1, kWhole}, {"Gemm", 13, kReordered}, {"LayerNormalization", 1, kResidualBefore}}},
  };
  return *table;
}

// Nodes of FusedAttention.
int Attentions(const std::string& model) {
  return model == "bert_base" || model == "vit_b_16" ? 12 : 0;
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
                                     "Relu"};
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
  int attentions = 0;
  for (const auto& node : graph->nodes()) attentions += node->Is("FusedAttention");
  EXPECT_EQ(attentions, Attentions(GetParam()));
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

INSTANTIATE_TEST_SUITE_P(Text, Models, testing::ValuesIn(ModelNames()), TestName);

}  // namespace
}  // namespace sluice
