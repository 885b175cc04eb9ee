// safetensors, and our single file, which is one: checksums are off, else they would stop all.
#include <fstream>
#include <iterator>

#include "exchange/model.h"
#include "exchange/safetensors.h"
#include "graph/text.h"
#include "tests/exchange/model_builder.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() {
  TemporaryFolder folder;
  std::vector<std::string> seeds;
  auto add = [&](const absl::Status& written, const std::string& path) {
    Require(written.ok(), written.ToString());
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  };
  Safetensors content;
  add(WriteSafetensors(content, folder / "s"), folder / "s");
  content.metadata["k"] = "v\n";
  for (DType d : {DType::kF32, DType::kBool, DType::kI64, DType::kBF16})
    content.tensors.push_back({std::string(ToString(d)), *Tensor::Random(d, {2, 3}, {.seed = 1})});
  content.tensors.push_back({"empty", *Tensor::Random(DType::kF64, {0, 3}, {.seed = 1})});
  add(WriteSafetensors(content, folder / "s"), folder / "s");
  int n = 0;
  for (const auto& graph : SeedGraphs()) {
    if (++n % 16 != 0 && graph->functions().empty()) continue;
    add(WriteModel(*graph, folder / "m.sluice"), folder / "m.sluice");
  }
  return seeds;
}

void One(const MemoryFile& file) {
  absl::StatusOr<Safetensors> content = ReadSafetensors(file.path());
  if (!Fine(content.status())) return;
  for (const auto& [name, tensor] : content->tensors) (void)tensor.ContentHash();  // all readable
  ReadOptions options;
  options.format = ModelFormat::kFile;
  options.max_nodes = 1000;
  options.verify_checksums = false;
  PackedSet packed;
  options.packed = &packed;
  auto graph = ReadModel(file.path(), options);
  if (Fine(graph.status())) Require(Verify(**graph).ok(), "a graph that was read is not verified");
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::One(sluice::fuzz::MemoryFile(data, size));
  return 0;
}
