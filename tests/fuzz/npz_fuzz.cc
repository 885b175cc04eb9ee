// .npz archives, within a small budget.
#include <zlib.h>

#include <fstream>
#include <iterator>

#include "exchange/npy.h"
#include "tests/exchange/model_builder.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {
namespace {

void PutLe(uint64_t value, int size, std::string* out) {
  for (int i = 0; i < size; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

// One deflated entry: WriteNpz() only stores.
std::string Deflated(const std::string& name, const std::string& content) {
  std::string packed(compressBound(content.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(content.data()), content.size());
  packed = packed.substr(2, size - 6);  // without zlib's own header and checksum
  std::string common;
  for (int field : {20, 0, 8}) PutLe(static_cast<uint64_t>(field), 2, &common);
  PutLe(0, 4, &common);
  PutLe(crc32(0, reinterpret_cast<const Bytef*>(content.data()), content.size()), 4, &common);
  PutLe(packed.size(), 4, &common);
  PutLe(content.size(), 4, &common);
  PutLe(name.size(), 2, &common);
  PutLe(0, 2, &common);
  std::string zip = "PK\x03\x04" + common + name + packed;
  const size_t directory = zip.size();
  zip += "PK\x01\x02" + std::string("\x14\0", 2) + common + std::string(14, '\0') + name;
  const size_t length = zip.size() - directory;
  zip += "PK\x05\x06" + std::string(4, '\0');
  for (int i = 0; i < 2; ++i) PutLe(1, 2, &zip);
  PutLe(length, 4, &zip);
  PutLe(directory, 4, &zip);
  PutLe(0, 2, &zip);
  return zip;
}

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

std::vector<std::string> Seeds() {
  TemporaryFolder folder;
  const Tensor t = *Tensor::Random(DType::kF32, {2, 3}, {.seed = 1});
  Require(WriteNpy(t, folder / "t.npy").ok(), "not written");
  Require(WriteNpz({{"a", t}, {"b", Tensor::Scalar<std::string>("text")}}, folder / "t.npz").ok(),
          "not written");
  const std::string deflated = Deflated("t.npy", Read(folder / "t.npy"));
  Require(
      ReadNpz(MemoryFile(reinterpret_cast<const uint8_t*>(deflated.data()), deflated.size()).path())
          .ok(),
      "the seed is no archive");
  return {Read(folder / "t.npz"), deflated};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const sluice::fuzz::MemoryFile file(data, size);
  auto tensors = sluice::ReadNpz(file.path(), {.max_bytes = 1 << 20});
  if (!sluice::fuzz::Fine(tensors.status())) return 0;
  for (const auto& [name, tensor] : *tensors) (void)tensor.ContentHash();
  return 0;
}
