// The text form: what parses and is legal prints, and that parses to the same graph.
#include "graph/text.h"
#include "ops/op.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() { return SeedTexts(); }

void One(absl::string_view text) {
  ParseOptions options;
  options.max_nodes = 1000;
  options.max_generated_bytes = 1 << 20;
  auto graph = Parse(text, StandardOps(), options);
  if (!Fine(graph.status()) || !Fine(Verify(**graph))) return;
  const std::string printed = Print(**graph, {.max_inline_elements = INT64_MAX});
  auto back = Parse(printed, StandardOps(), options);
  Require(back.ok(), "the printed text does not parse: " + back.status().ToString());
  std::string difference;
  Require(Equal(**graph, **back, &difference), "print and parse change the graph: " + difference);
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::One({reinterpret_cast<const char*>(data), size});
  return 0;
}
