#include "tests/testing/reopened.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "graph/graph_def.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"
#include "runtime/evaluate.h"

namespace sluice {
namespace {

using GraphOr = absl::StatusOr<std::unique_ptr<Graph>>;

absl::Status Optimised(Graph* graph) {
  ThreadPool pool(1);
  return Optimize(graph, {}, CpuEvaluator(&pool), CpuTarget()).status();
}

// Large tensors stay beside the bytes, by number, as they stay in the file of weights.
GraphOr ThroughBytes(const Graph& graph) {
  std::map<std::string, Tensor> weights;
  absl::StatusOr<proto::GraphDef> def =
      Export(graph, [&](const Tensor& t) -> absl::StatusOr<std::string> {
        const std::string name = absl::StrCat(weights.size());
        weights[name] = t;
        return name;
      });
  if (!def.ok()) return def.status();
  absl::StatusOr<std::string> bytes = SerializeGraphDef(*def);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<proto::GraphDef> again = ParseGraphDef(*bytes);
  if (!again.ok()) return again.status();
  return Import(*again, StandardOps(), [&](absl::string_view name) -> absl::StatusOr<Tensor> {
    return weights.at(std::string(name));
  });
}

void CollectTensors(const Graph& graph, std::map<std::string, Tensor>* by_hash) {
  for (const auto& node : graph.nodes()) {
    for (const auto& [name, attr] : node->attrs()) {
      if (attr.kind() != AttrKind::kTensor) continue;
      (*by_hash)[attr.as_tensor().ContentHash()] = attr.as_tensor();
    }
    for (const auto& [name, body] : node->bodies()) CollectTensors(*body, by_hash);
  }
  for (const auto& [name, function] : graph.functions()) CollectTensors(*function, by_hash);
}

GraphOr ThroughText(const Graph& graph) {
  std::map<std::string, Tensor> by_hash;
  CollectTensors(graph, &by_hash);
  ParseOptions options;
  options.find_tensor = [&](absl::string_view hash) -> absl::StatusOr<Tensor> {
    return by_hash.at(std::string(hash));
  };
  return Parse(Print(graph), StandardOps(), options);
}

}  // namespace

GraphOr OptimiseAndReopen(const Graph& graph) {
  std::unique_ptr<Graph> once = graph.Clone();
  const auto error = [&](absl::string_view what, absl::string_view why) {
    return absl::InternalError(
        absl::StrCat(what, ": ", why, "\nthe optimised graph is\n", Print(*once)));
  };
  if (absl::Status s = InferTypes(once.get()); !s.ok()) return s;
  if (absl::Status s = Optimised(once.get()); !s.ok()) return s;
  std::unique_ptr<Graph> last;
  std::string difference;
  for (const auto& [form, reread] :
       {std::pair("bytes", &ThroughBytes), std::pair("text", &ThroughText)}) {
    GraphOr read = reread(*once);
    if (!read.ok())
      return error(absl::StrCat("it cannot be read back from ", form), read.status().message());
    if (absl::Status s = InferTypes(read->get()); !s.ok())
      return error(absl::StrCat("read from ", form, ", its types contradict"), s.message());
    if (!Equal(*once, **read, &difference))
      return error(absl::StrCat("it is another when it is read from ", form), difference);
    if (absl::Status s = Optimised(read->get()); !s.ok())
      return error(absl::StrCat("read from ", form, ", it cannot be optimised"), s.message());
    if (!Equal(*once, **read, &difference))
      return error("optimising twice changes it", absl::StrCat(difference, "\n", Print(**read)));
    last = *std::move(read);
  }
  return last;
}

}  // namespace sluice
