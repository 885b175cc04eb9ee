// An ONNX model from memory: imported, verified, inferred, optimised (fold_fuzz.cc also computes).
#include "exchange/onnx_export.h"
#include "exchange/onnx_import.h"
#include "graph/infer.h"
#include "passes/pass.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds;
  for (const auto& graph : SeedGraphs()) {
    absl::StatusOr<std::string> bytes = ExportOnnxBytes(*graph);
    if (bytes.ok()) seeds.push_back(*std::move(bytes));
  }
  return seeds;
}

void One(absl::string_view bytes) {
  auto graph = ImportOnnxBytes(bytes, "fuzz.onnx", {.max_nodes = 1000});
  if (!Fine(graph.status())) return;
  Require(Verify(**graph).ok(), "an imported graph is not verified");
  if (!Fine(InferTypes(graph->get()))) return;
  TargetInfo everything;
  everything.takes = [](const Node&) { return absl::OkStatus(); };
  (void)Fine(Optimize(graph->get(), {}, nullptr, everything).status());
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::One({reinterpret_cast<const char*>(data), size});
  return 0;
}
