// Any bytes as a model of an unknown format: what they are like, and the reader that takes them.
#include "exchange/formats.h"
#include "exchange/onnx_export.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds = {
      "version https://git-lfs.github.com/spec/v1",
      "<?xml version=\"1.0\"?><net name=\"m\" version=\"11\"><layers>",
      std::string("\x08\x01\x12\x0b\x0a\x07\x22\x05serve\x12\x00", 15),  // SavedModel
      "\x0a\x14\x0a\x05input\x12\x0bPlaceholder",                        // GraphDef
      std::string("PK\x03\x04", 4) + std::string(22, '\0') + std::string("\x09\0\0\0arr_0.npy", 13),
      std::string("\x1c\0\0\0TFL3", 8),
      "\x80\x02}q\x01X\x01",
      std::string("\x02\0\0\0\0\0\0\0{}", 10),
  };
  for (const auto& graph : SeedGraphs()) {
    absl::StatusOr<std::string> onnx = ExportOnnxBytes(*graph);
    if (onnx.ok()) seeds.push_back(*std::move(onnx));
  }
  return seeds;
}

void One(const MemoryFile& file) {
  absl::StatusOr<Sight> sight = LookAt(file.path());
  if (!Fine(sight.status())) return;
  for (const Format& f : Formats()) (void)f.sniff(*sight);
  // Text is text_fuzz's, which bounds what generated constants may take.
  const Format* format = Recognize(*sight);
  if (format != nullptr && format->id == ModelFormat::kText) return;
  ReadOptions options;
  options.max_nodes = 1000;
  options.files_beside = false;
  auto graph = ReadModel(file.path(), options);
  if (Fine(graph.status())) Require(*graph != nullptr, "no graph and no error");
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::One(sluice::fuzz::MemoryFile(data, size));
  return 0;
}
