// A graph in our text form, differentiated: what comes out is legal, and an error leaves the graph.
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"
#include "passes/add_gradients.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {
namespace {

std::vector<Value*> FloatsOf(const std::vector<Value*>& values) {
  std::vector<Value*> floats;
  for (Value* v : values) {
    if (v->type().is_tensor() && IsFloat(v->type().dtype())) floats.push_back(v);
  }
  return floats;
}

void One(absl::string_view text) {
  std::unique_ptr<Graph> graph = LegalGraph(text, 200);
  if (graph == nullptr) return;
  const std::vector<Value*> losses = FloatsOf(graph->outputs());
  const std::vector<Value*> values = FloatsOf(graph->inputs());
  if (losses.empty() || values.empty()) return;
  for (const bool zeros : {false, true}) {
    const std::string before = Print(*graph);
    auto gradients = AddGradients(graph.get(), losses, values, {.zeros_where_unreached = zeros});
    if (!Fine(gradients.status())) {
      Require(Print(*graph) == before, "a refused gradient changed the graph");
      continue;
    }
    Require(gradients->size() == values.size(), "another number of gradients");
    for (size_t i = 0; i < values.size(); ++i) {
      Require((*gradients)[i]->type().dtype() == values[i]->type().dtype(),
              "a gradient of another dtype");
    }
    const absl::Status legal = Verify(*graph);
    Require(legal.ok(), legal.ToString());
    (void)Fine(InferTypes(graph.get()));
  }
}

}  // namespace

std::vector<std::string> Seeds() { return SeedTexts(); }

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::One({reinterpret_cast<const char*>(data), size});
  return 0;
}
