// .npy files: what is read is written, and that is read as the same tensor.
#include <fstream>
#include <iterator>

#include "exchange/npy.h"
#include "tests/exchange/model_builder.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() {
  TemporaryFolder folder;
  std::vector<std::string> seeds;
  auto add = [&](const Tensor& t) {
    Require(WriteNpy(t, folder / "t.npy").ok(), "not written");
    std::ifstream file(folder / "t.npy", std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  };
  for (DType d : {DType::kF32, DType::kF16, DType::kBool, DType::kI64, DType::kU8})
    add(*Tensor::Random(d, {2, 3}, {.seed = 1}));
  add(Tensor::Scalar<double>(1));
  add(Tensor::Scalar<std::string>("text"));
  for (const char* header : {"{'descr': '>f8', 'fortran_order': True, 'shape': (1, 2), }",
                             "{'descr': '|S4', 'fortran_order': False, 'shape': (4,), }"}) {
    std::string npy("\x93NUMPY\x02\x00", 8);
    const std::string text = std::string(header) + "\n";
    for (int shift : {0, 8, 16, 24}) npy += static_cast<char>(text.size() >> shift);
    seeds.push_back(npy + text + "0123456789abcdef");
  }
  return seeds;
}

void One(absl::string_view bytes) {
  absl::StatusOr<Tensor> tensor = ParseNpy(bytes, nullptr);
  if (!Fine(tensor.status())) return;
  (void)tensor->ContentHash();
  (void)tensor->ToString();
  if (!NpyCanHold(*tensor)) return;
  TemporaryFolder folder;
  Require(WriteNpy(*tensor, folder / "t.npy").ok(), "what was read is not written");
  absl::StatusOr<Tensor> back = ReadNpy(folder / "t.npy");
  Require(back.ok() && *back == *tensor, "what was written reads as another tensor");
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::One({reinterpret_cast<const char*>(data), size});
  return 0;
}
