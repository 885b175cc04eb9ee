#include "exchange/npy.h"

#include <zlib.h>

#include "exchange/file.h"
#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

std::string Npy(const std::string& header, const std::string& data) {
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header + data;
}

absl::StatusOr<Tensor> Parse(const std::string& header, const std::string& data) {
  return ParseNpy(Npy(header, data), nullptr);
}

TEST(Npy, RoundTripsEveryDType) {
  TemporaryFolder folder;
  for (DType d : {DType::kF64, DType::kF32, DType::kF16, DType::kI64, DType::kI32, DType::kI16,
                  DType::kI8, DType::kU64, DType::kU32, DType::kU16, DType::kU8, DType::kBool}) {
    for (const Dims& dims : {Dims{}, Dims{5}, Dims{2, 3}, Dims{0, 3}}) {
      const Tensor t = *Tensor::Random(d, dims, {.seed = 7, .scale = 100, .offset = 0});
      ASSERT_TRUE(WriteNpy(t, folder / "t.npy").ok());
      auto back = ReadNpy(folder / "t.npy");
      ASSERT_TRUE(back.ok()) << back.status();
      EXPECT_EQ(*back, t) << t.TypeString();
    }
  }
}

TEST(Npy, RoundTripsStrings) {
  TemporaryFolder folder;
  const std::vector<std::string> words = {"", "abc", "gr\xc3\xbc\xc3\x9f", "\xf0\x9f\x98\x80!"};
  const Tensor t = Tensor::Vector<std::string>(words);
  ASSERT_TRUE(WriteNpy(t, folder / "t.npy").ok());
  auto back = ReadNpy(folder / "t.npy");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, t);
}

TEST(Npy, WhatItHasNoTypeForIsSaid) {
  TemporaryFolder folder;
  const Tensor t = *Tensor::Random(DType::kBF16, {2}, {});
  EXPECT_FALSE(NpyCanHold(t));
  ExpectError(WriteNpy(t, folder / "t.npy"), ".pb");
  EXPECT_EQ(folder.Count(), 0u);
}

TEST(Npy, ReadsColumnMajorAndBigEndian) {
  const std::string data("\0\1\0\2\0\3\0\4\0\5\0\6", 12);
  auto t = Parse("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }", data);
  ASSERT_TRUE(t.ok()) << t.status();
  EXPECT_EQ(t->ToString(), "i16[2,3] [1, 3, 5, 2, 4, 6]");
}

TEST(Npy, BoolsBecomeZeroOrOne) {
  auto t = Parse("{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", "\x02\xff");
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(t->data<uint8_t>()[0], 1);
  EXPECT_EQ(t->data<uint8_t>()[1], 1);
}

// ATTACKS.md, class 21.
TEST(Npy, HostileHeadersAreRefused) {
  const std::string shape = ", 'fortran_order': False, 'shape': (2,)}";
  ExpectError(Parse("{'descr': '|O'" + shape, "12345678").status(), "Python objects");
  ExpectError(Parse("{'descr': [('a', '<f4')]" + shape, "12345678").status(), "structured");
  ExpectError(Parse("{'descr': __import__('os').system('x')" + shape, "").status(), "malformed");
  ExpectError(Parse("{'descr': '<f4', 'descr': '<f8'" + shape, "12345678").status(), "repeated");
  ExpectError(Parse("{'descr': '<f4'}", "").status(), "malformed");
  ExpectError(Parse("{'descr': '<f4'" + shape, "1234567").status(), "7 bytes");
  ExpectError(Parse("{'descr': '<f4'" + shape, "123456789").status(), "9 bytes");
  ExpectError(Parse("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "").status(),
              "malformed");
  ExpectError(Parse("{'descr': '<f4', 'fortran_order': False, 'shape': "
                    "(4294967296, 4294967296, 4294967296)}",
                    "")
                  .status(),
              "");
  ExpectError(
      Parse("{'descr': '<U0', 'fortran_order': False, 'shape': (99999999999,)}", "").status(), "");
  ExpectError(ParseNpy(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12), nullptr).status(),
              "limit");
  ExpectError(ParseNpy("hello, world", nullptr).status(), "not an npy file");
  const std::string good = Npy("{'descr': '<f4'" + shape, "12345678");
  for (size_t n = 0; n < good.size(); ++n)
    EXPECT_FALSE(ParseNpy(good.substr(0, n), nullptr).ok()) << n;
}

// ---- npz

void PutLe(uint64_t value, int size, std::string* out) {
  for (int i = 0; i < size; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

struct ZipEntry {
  std::string name, content;
  bool deflate = false;
  int64_t unpacked = -1;  // a lie
  bool bad_crc = false;
};

std::string Zip(const std::vector<ZipEntry>& entries) {
  std::string zip, directory;
  for (const ZipEntry& e : entries) {
    std::string packed = e.content;
    if (e.deflate) {
      uLongf size = compressBound(e.content.size());
      packed.resize(size);
      compress(reinterpret_cast<Bytef*>(packed.data()), &size,
               reinterpret_cast<const Bytef*>(e.content.data()), e.content.size());
      packed = packed.substr(2, size - 6);  // without zlib's own header and checksum
    }
    const uint32_t crc = static_cast<uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(e.content.data()), e.content.size()));
    const size_t at = zip.size();
    auto common = [&](std::string* out) {
      PutLe(20, 2, out);
      PutLe(0, 2, out);
      PutLe(e.deflate ? 8 : 0, 2, out);
      PutLe(0, 4, out);
      PutLe(crc ^ (e.bad_crc ? 1 : 0), 4, out);
      PutLe(packed.size(), 4, out);
      PutLe(e.unpacked < 0 ? e.content.size() : static_cast<uint64_t>(e.unpacked), 4, out);
      PutLe(e.name.size(), 2, out);
      PutLe(0, 2, out);
    };
    PutLe(0x04034b50, 4, &zip);
    common(&zip);
    zip += e.name + packed;
    PutLe(0x02014b50, 4, &directory);
    PutLe(20, 2, &directory);
    common(&directory);
    directory.append(10, '\0');
    PutLe(at, 4, &directory);
    directory += e.name;
  }
  const size_t at = zip.size();
  zip += directory;
  PutLe(0x06054b50, 4, &zip);
  PutLe(0, 4, &zip);
  PutLe(entries.size(), 2, &zip);
  PutLe(entries.size(), 2, &zip);
  PutLe(directory.size(), 4, &zip);
  PutLe(at, 4, &zip);
  PutLe(0, 2, &zip);
  return zip;
}

std::string Floats(int64_t n) {
  return Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(n) + ",)}",
             std::string(static_cast<size_t>(4 * n), '\0'));
}

TEST(Npz, RoundTrip) {
  TemporaryFolder folder;
  NamedTensors tensors;
  for (int i = 0; i < 5; ++i) {
    tensors.push_back(
        {"arr_" + std::to_string(i), *Tensor::Random(DType::kF32, {3, i}, {.seed = 1})});
  }
  tensors.push_back({"text", Tensor::Scalar<std::string>("hello")});
  ASSERT_TRUE(WriteNpz(tensors, folder / "t.npz").ok());
  auto back = ReadNpz(folder / "t.npz");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, tensors);
}

TEST(Npz, ReadsDeflatedEntries) {
  TemporaryFolder folder;
  for (int64_t n : {0, 3, 100'000}) {
    auto back = ReadNpz(folder.Write("t.npz", Zip({{"a.npy", Floats(n), true}})));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ((*back)[0].second.elements(), n);
  }
}

// ATTACKS.md, class 21.
TEST(Npz, BombsLiesAndOddNamesAreRefused) {
  TemporaryFolder folder;
  auto read = [&](const std::vector<ZipEntry>& entries, int64_t max_bytes = 1 << 20) {
    return ReadNpz(folder.Write("t.npz", Zip(entries)), {.max_bytes = max_bytes}).status();
  };
  EXPECT_TRUE(read({{"a.npy", Floats(10), true}}).ok());
  ExpectError(read({{"a.npy", Floats(1 << 20), true}}), "more than 1048576");
  ExpectError(read({{"a.npy", Floats(10), true, 4'000'000'000}}, int64_t{1} << 40), "unpacks to");
  ExpectError(read({{"a.npy", Floats(10), true, 20}}), "truncated");
  ExpectError(read({{"a.npy", Floats(10), false, 20}}), "sizes differ");
  ExpectError(read({{"a.npy", Floats(10), true, -1, true}}), "checksum");
  ExpectError(read({{"../a.npy", Floats(10)}}), "leads out");
  ExpectError(read({{"/a.npy", Floats(10)}}), "leads out");
  ExpectError(read({{std::string("a\0.npy", 6), Floats(10)}}), "leads out");
  ExpectError(read({{"a.npy", Floats(10)}, {"a.npy", Floats(10)}}), "twice");
  ExpectError(read({{"a.npy", "not npy"}}), "not an npy");
  std::string overlapping = Zip({{"a.npy", Floats(10)}, {"b.npy", Floats(10)}});
  const size_t second = overlapping.rfind("b.npy") - 4;
  for (int i = 0; i < 4; ++i) overlapping[second + static_cast<size_t>(i)] = '\0';
  ExpectError(ReadNpz(folder.Write("t.npz", overlapping)).status(), "overlap");
  const std::string good = Zip({{"a.npy", Floats(10), true}, {"b.npy", Floats(3)}});
  for (size_t n = 0; n < good.size(); ++n)
    EXPECT_FALSE(ReadNpz(folder.Write("t.npz", good.substr(0, n))).ok()) << n;
  for (size_t i = 0; i < good.size(); ++i) {
    std::string flipped = good;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x41);
    (void)ReadNpz(folder.Write("t.npz", flipped));
  }
}

}  // namespace
}  // namespace sluice
