// A graph in our text form, optimised and folded by the CPU's kernels within small budgets.
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"
#include "passes/pass.h"
#include "runtime/evaluate.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() { return SeedTexts(); }

void One(absl::string_view text) {
  std::unique_ptr<Graph> graph = LegalGraph(text, 1000);
  if (graph == nullptr) return;
  static ThreadPool* const pool = new ThreadPool(1);
  PassOptions options;
  options.fold_total_bytes = 1 << 22;
  options.fold_result_bytes = 1 << 20;
  (void)Fine(Optimize(graph.get(), options, CpuEvaluator(pool), CpuTarget()).status());
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::One({reinterpret_cast<const char*>(data), size});
  return 0;
}
