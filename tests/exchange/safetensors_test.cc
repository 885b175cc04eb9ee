#include "exchange/safetensors.h"

#include <cstring>
#include <fstream>

#include "graph/file_pages.h"
#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

std::string File(const std::string& json, const std::string& data) {
  const uint64_t size = json.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + json + data;
}

TEST(Safetensors, RoundTripsAndMapsAligned) {
  TemporaryFolder folder;
  Safetensors content;
  content.metadata["made by"] = "a \"test\"\n";
  int i = 0;
  for (DType d : {DType::kBool, DType::kU8, DType::kF64, DType::kBF16, DType::kF32, DType::kI64}) {
    for (const Dims& dims : {Dims{3}, Dims{16, 16}, Dims{}, Dims{0}})
      content.tensors.push_back(
          {"t\xc3\xbc" + std::to_string(i++), *Tensor::Random(d, dims, {.seed = 3, .scale = 9})});
  }
  ASSERT_TRUE(WriteSafetensors(content, folder / "t.safetensors").ok());
  auto back = ReadSafetensors(folder / "t.safetensors");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->metadata, content.metadata);
  ASSERT_EQ(back->tensors.size(), content.tensors.size());
  for (const auto& [name, tensor] : back->tensors) {
    auto it = std::find_if(content.tensors.begin(), content.tensors.end(),
                           [&, &n = name](const auto& t) { return t.first == n; });
    ASSERT_NE(it, content.tensors.end());
    EXPECT_EQ(tensor, it->second) << name;
    if (tensor.bytes() % 64 == 0)
      EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.raw()) % 64, 0u) << name;
  }
}

// The process's resident memory in kB.
int64_t Resident() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * 4;
}

TEST(Safetensors, PagesOfAMappedTensorGoBackAndReturn) {
  TemporaryFolder folder;
  Safetensors content;
  content.tensors.push_back({"t", *Tensor::Random(DType::kF32, {1 << 22}, {.seed = 3})});
  ASSERT_TRUE(WriteSafetensors(content, folder / "t.safetensors").ok());
  auto back = ReadSafetensors(folder / "t.safetensors");
  ASSERT_TRUE(back.ok()) << back.status();
  const Tensor& mapped = back->tensors[0].second;
  const std::string hash = mapped.ContentHash();
  const int64_t before = Resident();
  ReleasePages(mapped);
  EXPECT_LT(Resident(), before - 12'000);
  EXPECT_EQ(mapped.ContentHash(), hash);
  ReleasePages(content.tensors[0].second);  // memory that would be lost: left alone
  EXPECT_EQ(content.tensors[0].second.ContentHash(), hash);
}

TEST(Safetensors, StringsAndRepeatedNamesCannotBeWritten) {
  TemporaryFolder folder;
  Safetensors strings;
  strings.tensors.push_back({"s", Tensor::Scalar<std::string>("x")});
  EXPECT_FALSE(WriteSafetensors(strings, folder / "t").ok());
  Safetensors twice;
  twice.tensors.push_back({"s", Tensor::Scalar<float>(1)});
  twice.tensors.push_back({"s", Tensor::Scalar<float>(2)});
  EXPECT_FALSE(WriteSafetensors(twice, folder / "t").ok());
  Safetensors bytes;
  bytes.tensors.push_back({"\xff", Tensor::Scalar<float>(1)});
  EXPECT_FALSE(WriteSafetensors(bytes, folder / "t").ok());
  EXPECT_EQ(folder.Count(), 0u);
}

// ATTACKS.md, class 21.
TEST(Safetensors, HostileFilesAreRefused) {
  TemporaryFolder folder;
  auto read = [&](const std::string& bytes) {
    return ReadSafetensors(folder.Write("t.safetensors", bytes)).status();
  };
  auto entry = [](const std::string& name, int begin, int end, const std::string& shape = "[2]") {
    return "\"" + name + "\":{\"dtype\":\"F32\",\"shape\":" + shape + ",\"data_offsets\":[" +
           std::to_string(begin) + "," + std::to_string(end) + "]}";
  };
  const std::string eight = "12345678";
  EXPECT_TRUE(read(File("{" + entry("a", 0, 8) + "}", eight)).ok());
  EXPECT_TRUE(read(File("{" + entry("a", 0, 8) + "}   ", eight)).ok());
  EXPECT_TRUE(read(File("{}", "")).ok());
  ExpectError(read("1234"), "4 bytes");
  ExpectError(read(std::string("\xff\xff\xff\xff\0\0\0\0{}", 10)), "header would have");
  ExpectError(read(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)), "header would have");
  ExpectError(read(File("{" + entry("a", 0, 8), eight)), "JSON");
  ExpectError(read(File("[1]", "")), "JSON object");
  ExpectError(read(File("{} {}", "")), "");
  ExpectError(read(File("{" + entry("a", 0, 8) + "}", "1234")), "the data has 4");
  ExpectError(read(File("{" + entry("a", 0, 8) + "}", eight + "9")), "belong to none");
  ExpectError(read(File("{" + entry("a", 4, 12) + "}", eight + eight)), "holes");
  ExpectError(read(File("{" + entry("a", 0, 8) + "," + entry("b", 4, 12) + "}", eight + eight)),
              "overlap");
  ExpectError(read(File("{" + entry("a", 0, 8) + "," + entry("a", 8, 16) + "}", eight + eight)),
              "twice");
  ExpectError(read(File("{" + entry("a", 8, 0) + "}", eight)), "");
  ExpectError(read(File("{" + entry("a", 0, 8, "[3]") + "}", eight)), "needs 12");
  ExpectError(read(File("{" + entry("a", 0, 8, "[-2]") + "}", eight)), "negative");
  ExpectError(read(File("{" + entry("a", 0, 8, "[4294967296,4294967296,4294967296]") + "}", eight)),
              "");
  ExpectError(read(File("{" + entry("a", 0, 8, "[2.0]") + "}", eight)), "fraction");
  ExpectError(read(File("{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", eight)),
              "F33");
  ExpectError(read(File("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", eight)), "data_offsets");
  ExpectError(read(File("{\"a\":{\"dtype\":\"F32\",\"x\":1,\"data_offsets\":[0,8]}}", eight)),
              "unknown key");
  ExpectError(read(File("{\"a\":{\"dtype\":{\"b\":1}}}", eight)), "object");
  ExpectError(read(File("{\"a\":[1,2]}", eight)), "array");
  ExpectError(read(File(std::string(100'000, '['), "")), "JSON object");
  ExpectError(read(File("{\"a\":" + std::string(100'000, '['), "")), "array");
  const std::string good = File("{" + entry("a", 0, 8) + "}", eight);
  for (size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(read(good.substr(0, n)).ok()) << n;
  for (size_t i = 0; i < good.size(); ++i) {
    std::string flipped = good;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x11);
    (void)read(flipped);
  }
}

}  // namespace
}  // namespace sluice
