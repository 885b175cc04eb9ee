// Our binary graph: what is imported is exported, and that is imported as the same graph.
#include "graph/graph_def.h"
#include "graph/infer.h"
#include "ops/op.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {
namespace {

std::string Bytes(const Graph& graph) {
  absl::StatusOr<proto::GraphDef> def = Export(graph, nullptr);
  Require(def.ok(), def.status().ToString());
  absl::StatusOr<std::string> bytes = SerializeGraphDef(*def);
  Require(bytes.ok(), bytes.status().ToString());
  return *bytes;
}

absl::StatusOr<std::unique_ptr<Graph>> Read(absl::string_view bytes) {
  absl::StatusOr<proto::GraphDef> def = ParseGraphDef(bytes);
  if (!def.ok()) return def.status();
  auto weights = [](absl::string_view) { return Tensor::Allocate(DType::kF32, {2, 2}); };
  return Import(*def, StandardOps(), weights, {.max_nodes = 1000, .max_generated_bytes = 1 << 20});
}

}  // namespace

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds;
  for (const auto& graph : SeedGraphs()) seeds.push_back(Bytes(*graph));
  return seeds;
}

void One(absl::string_view bytes) {
  auto graph = Read(bytes);
  if (!Fine(graph.status())) return;
  auto back = Read(Bytes(**graph));
  Require(back.ok(), "what was exported is not imported: " + back.status().ToString());
  std::string difference;
  Require(Equal(**graph, **back, &difference), "export and import change it: " + difference);
  (void)Fine(InferTypes(graph->get()));
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::One({reinterpret_cast<const char*>(data), size});
  return 0;
}
