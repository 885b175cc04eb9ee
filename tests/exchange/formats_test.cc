#include "exchange/formats.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exchange/file.h"
#include "exchange/safetensors.h"
#include "exchange/text_file.h"
#include "graph/builder.h"
#include "ops/op.h"
#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

// A length-delimited field of protobuf, whose length and number fit one byte each.
std::string Field(int number, const std::string& content) {
  return absl::StrCat(std::string(1, static_cast<char>(number << 3 | 2)),
                      std::string(1, static_cast<char>(content.size())), content);
}

std::string Zip(const std::string& entry) {
  std::string header("PK\x03\x04", 4);
  header.resize(30);
  header[26] = static_cast<char>(entry.size());
  return header + entry + std::string(20, '\0');
}

std::string Read(const std::string& path) {
  return std::string((*MappedFile::Open(path))->bytes());
}

std::unique_ptr<Graph> Small() {
  Tensor weights = *Tensor::Allocate(DType::kF32, {16, 16});
  for (int i = 0; i < 256; ++i) weights.mutable_data<float>()[i] = static_cast<float>(i);
  auto graph = std::make_unique<Graph>(StandardOps(), "small");
  GraphBuilder b(graph.get());
  Value* w = b.Constant(weights, "w");
  b.Output(b.Op("MatMul", {b.Input("x", *Type::Parse("f32[n,16]")), w}), "y");
  EXPECT_TRUE(b.status().ok()) << b.status();
  return graph;
}

std::string WeightsAlone() {
  TemporaryFolder folder;
  Safetensors weights;
  weights.tensors.push_back({"w", Tensor::Scalar<float>(1)});
  EXPECT_TRUE(WriteSafetensors(weights, folder / "w").ok());
  return Read(folder / "w");
}

std::string Written(const std::string& name, const std::string& file) {
  TemporaryFolder folder;
  EXPECT_TRUE(WriteModel(*Small(), folder / name).ok());
  return Read(folder / file);
}

struct Sample {
  const char* format;  // Format::name
  std::string bytes;
};

// Of each format that is told by bytes, in each of its shapes.
std::vector<Sample> Samples() {
  onnx::ModelProto onnx = EmptyModel();
  AddInput(onnx.mutable_graph(), "x", {1});
  const std::string plain_onnx = onnx.SerializeAsString();
  onnx.set_producer_name("pytorch");
  onnx.set_producer_version("2.9.0");
  onnx.mutable_graph()->set_doc_string(std::string(10000, 'd'));
  const std::string node = Field(1, "input") + Field(2, "Placeholder");
  return {
      {"an ONNX model", plain_onnx},
      {"an ONNX model", onnx.SerializeAsString()},
      {"an ONNX model", Written("m.onnx", "m.onnx")},
      {"a model in one file", Written("m.sluice", "m.sluice")},
      {"a model in one file", WeightsAlone()},
      {"a model as text", "graph g () {\n}\n"},
      {"a model as text", "// weights: none\n\n  // more\nsignature s () -> ()"},
      {"a model as text", Written("m.txt", "m.txt")},
      {"a model as text", "hello world"},
      {"the graph of a model folder by itself", Written("m", "m/graph.pb")},
      {"a pointer of Git LFS, not the model", "version https://git-lfs.github.com/spec/v1\noid"},
      {"an OpenVINO IR", "<?xml version=\"1.0\"?>\n<net name=\"m\" version=\"11\">\n\t<layers>\n"},
      {"a web page or XML, not a model", "\n<!doctype html>\n<html><body>404</body></html>"},
      {"a web page or XML, not a model", "<HTML>"},
      {"a web page or XML, not a model", "<?xml version=\"1.0\"?><Error><Code>AccessDenied"},
      {"a TensorFlow SavedModel", "\x08\x01" + Field(2, Field(1, Field(4, "serve")) + "\x12")},
      {"a TensorFlow SavedModel", "\x08\x01" + Field(2, Field(1, Field(2, Field(1, node))))},
      {"a TensorFlow GraphDef", Field(1, node) + Field(1, node)},
      {"a TensorFlow Lite model", std::string("\x1C\0\0\0TFL3\0\0", 10)},
      {"an HDF5 file, as of Keras", "\x89HDF\r\n\x1A\n and more"},
      {"a PyTorch archive", Zip("archive/data.pkl")},
      {"a PyTorch archive", Zip("model/data/0")},
      {"a PyTorch file of before 1.6", "\x80\x02\x8A\nl\xFC\x9C\x46\xF9 j\xA8P\x19.\x80\x02M"},
      {"an ONNX Runtime model", std::string("\x18\0\0\0ORTM\0\0", 10)},
      {"an npz archive of NumPy arrays", Zip("arr_0.npy")},
      {"a zip archive", Zip("readme.md")},
      {"a zip archive", "PK\x03\x04"},
      {"a NumPy array", std::string("\x93NUMPY\x01\0v\0", 10)},
      {"a Python pickle", "\x80\x02}q\x01X\x01"},
      {"a Python pickle", "\x80\x04\x95\n\1\1\1"},
      {"a gzip file", std::string("\x1F\x8B\x08\0\0\0", 6)},
  };
}

Sight Of(std::string bytes, std::string path = "model") {
  Sight sight;
  sight.path = std::move(path);
  sight.size = bytes.size();
  bytes.resize(std::min(bytes.size(), Sight::kHead));
  sight.head = std::move(bytes);
  return sight;
}

std::string Named(const Sight& sight) {
  const Format* format = Recognize(sight);
  return format == nullptr ? "" : std::string(format->name);
}

std::string Random(uint32_t seed, size_t size) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

TEST(Formats, EachIsToldByItsContent) {
  std::set<absl::string_view> sampled = {"a model folder"};
  for (const Sample& sample : Samples()) {
    EXPECT_EQ(Named(Of(sample.bytes)), sample.format) << sample.bytes;
    for (const char* misleading : {"m.onnx", "m.sluice", "m.txt", "m.npy", "m.pb", "m.pt", "/"})
      EXPECT_EQ(Named(Of(sample.bytes, misleading)), sample.format) << misleading;
    sampled.insert(sample.format);
  }
  for (const Format& f : Formats())
    EXPECT_TRUE(sampled.contains(f.name)) << "no sample: " << f.name;
}

TEST(Formats, EachRowIsWhole) {
  std::set<absl::string_view> names, suffixes;
  std::set<ModelFormat> ids;
  for (const Format& f : Formats()) {
    EXPECT_TRUE(names.insert(f.name).second) << f.name << " stands twice";
    EXPECT_NE(f.sniff, nullptr) << f.name;
    EXPECT_NE(f.read == nullptr, f.instead.empty()) << f.name << ": read it, or say what to do";
    EXPECT_EQ(f.read == nullptr && f.write == nullptr, f.doc.empty()) << f.name;
    if (!f.doc.empty()) EXPECT_FALSE(f.suffixes[0].empty()) << f.name;
    if (f.id != ModelFormat::kAuto) EXPECT_TRUE(ids.insert(f.id).second) << f.name;
    for (absl::string_view suffix : f.suffixes)
      EXPECT_TRUE(suffix.empty() || suffixes.insert(suffix).second) << suffix << " stands twice";
    EXPECT_TRUE(f.doc.empty() || absl::StrContains(FormatHelp(), f.doc));
  }
}

TEST(Formats, NearMissesAreNotTaken) {
  for (const std::string& bytes : std::vector<std::string>{
           std::string("\x08\x08"),            // an IR version alone
           "\x08\x08" + Field(2, "\x01\x02"),  // a producer that is no text
           "\x08\x08" + Field(7, "\xFF"),      // no graph
           "\x08\x08\x10\x01",                 // field 2 is no string: a TensorProto
           "\x08\x05" + Field(2, Field(1, Field(1, "image"))),  // Core ML
           "\x08\x02" + Field(2, Field(1, Field(4, "serve"))),  // a SavedModel of another schema
           Field(1, "VGG") + Field(2, "data") + "\xA2\x06\x01\x01",  // Caffe: strings, not nodes
           Field(1, Field(1, "input") + Field(2, "no op\x01")),
           std::string("\x1C\0\0\0TFL2\0\0", 10),
           std::string("\0TFL3\0\0\0\0", 9),
           std::string("\x89HDF\r\n\0\n", 8),
           std::string("\x93NUMP\0Y", 7),
           std::string("PK\x05\x06\0\0\0\0", 8),
           std::string("\x1F\x8B\0\0", 4),
           std::string("\x80\x06\x95\0\0", 5),
           std::string("\x80\x02", 2),
           std::string("\1\xFF\xFF\xFF\xFF\xFF\xFF\xFF{\"", 10),  // a header of 2^64 bytes
           std::string("\x10\0\0\0\0\0\0\0[\0", 10),
       })
    EXPECT_EQ(Named(Of(bytes)), "") << absl::CHexEscape(bytes);
  EXPECT_EQ(Named(Of("graphics")), "a model as text");
  EXPECT_EQ(LooksLikeText(Of("graphics")), Likeness::kLikely);
  EXPECT_EQ(LooksLikeText(Of("graph g")), Likeness::kCertain);
  EXPECT_EQ(Named(Of("< 3")), "a model as text");
  // Where the content says nothing the name does: its reader knows what is wrong.
  EXPECT_EQ(Named(Of("\x01\x02\x03", "m.onnx")), "an ONNX model");
  EXPECT_EQ(Named(Of("\x01\x02\x03", "m.sluice.txt")), "a model as text");
  EXPECT_EQ(Named(Of("\x01\x02\x03", "m.pb")), "") << "the name alone makes no GraphDef";
}

TEST(Formats, AnythingIsSniffedSafely) {
  for (int c = 0; c < 256; ++c) {
    const std::string name = Named(Of(std::string(1, static_cast<char>(c))));
    EXPECT_TRUE(name.empty() || name == "a model as text") << c;
  }
  EXPECT_EQ(Named(Of("")), "");
  for (const Sample& sample : Samples()) {
    const size_t known = std::min(sample.bytes.size(), Sight::kHead);
    for (size_t n = 0; n <= known; ++n) {
      for (const Format& f : Formats()) (void)f.sniff(Of(sample.bytes.substr(0, n)));
    }
  }
}

TEST(Formats, RandomBytesAreUnknown) {
  for (uint32_t seed = 1; seed <= 2000; ++seed)
    EXPECT_EQ(Named(Of(Random(seed, 64 + seed % 1000))), "") << seed;
  TemporaryFolder folder;
  const std::string path = folder.Write("m.bin", "\x01\x02\xFF" + Random(1, 1000));
  ExpectError(ReadModel(path).status(),
              "no format that is known: it begins with the bytes 01 02 ff");
  ExpectError(ReadModel(path).status(), ".onnx (an ONNX model)");
}

TEST(Formats, WhatIsNotReadIsNamedWithWhatToDo) {
  TemporaryFolder folder;
  for (const Sample& sample : Samples()) {
    const Format& format = *std::find_if(Formats().begin(), Formats().end(),
                                         [&](const Format& f) { return f.name == sample.format; });
    if (format.read != nullptr) continue;
    for (const char* name : {"model.onnx", "model", "model.txt"}) {
      const absl::Status s = ReadModel(folder.Write(name, sample.bytes)).status();
      ExpectError(s, sample.format);
      ExpectError(s, std::string(format.instead));
      ExpectError(s, name);
      EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
    }
  }
}

TEST(Formats, FoldersAreToldByWhatIsInThem) {
  TemporaryFolder folder;
  ExpectError(ReadModel(folder.path()).status(), "without graph.pb");
  folder.Write("saved_model.pb", "anything");
  ExpectError(ReadModel(folder.path()).status(), "a TensorFlow SavedModel");
  ExpectError(ReadModel(folder.path()).status(), "tf2onnx.convert --saved-model");
  ASSERT_TRUE(WriteModel(*Small(), folder.path()).ok());
  EXPECT_TRUE(ReadModel(folder.path()).ok()) << "ours is in it, too";
}

// Whatever the name: what each writer writes is read by its reader, without being asked for.
TEST(Formats, WhatIsWrittenIsReadUnderAnyName) {
  for (const Format& f : Formats()) {
    if (f.write == nullptr) continue;
    TemporaryFolder folder;
    const std::string path = absl::StrCat(folder / "m", f.suffixes[0]);
    ASSERT_TRUE(WriteModel(*Small(), path).ok()) << WriteModel(*Small(), path);
    for (const char* other : {"m.bin", "m.onnx", "m.sluice", "m.txt", "m.npy", "other"}) {
      ASSERT_EQ(rename(path.c_str(), (folder / other).c_str()), 0);
      auto sight = LookAt(folder / other);
      ASSERT_TRUE(sight.ok()) << sight.status();
      EXPECT_EQ(Recognize(*sight), &f) << other;
      auto graph = ReadModel(folder / other);
      ASSERT_TRUE(graph.ok()) << graph.status();
      EXPECT_EQ((*graph)->inputs()[0]->name(), "x");
      ASSERT_EQ(rename((folder / other).c_str(), path.c_str()), 0);
    }
  }
}

TEST(Formats, OnlyTheHeadOfAFileIsLookedAt) {
  TemporaryFolder folder;
  const std::string path = folder.Write("large", "graph ");
  ASSERT_EQ(truncate(path.c_str(), int64_t{1} << 40), 0);
  auto sight = LookAt(path);
  ASSERT_TRUE(sight.ok()) << sight.status();
  EXPECT_EQ(sight->head.size(), Sight::kHead);
  EXPECT_EQ(sight->size, uint64_t{1} << 40);
}

TEST(Formats, WhatIsNoFileIsRefusedAtOnce) {
  TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  ExpectError(ReadModel(folder / "fifo").status(), "not a regular file");
  ExpectError(ReadModel("/dev/zero").status(), "not a regular file");
  ExpectError(ReadModel(folder / "missing.onnx").status(), "cannot open");
  ExpectError(ReadModel(folder.Write("empty.onnx", "")).status(), "is empty");
  const std::string unreadable = folder.Write("m.onnx", "x");
  ASSERT_EQ(chmod(unreadable.c_str(), 0), 0);
  if (geteuid() != 0) ExpectError(ReadModel(unreadable).status(), "cannot open");
}

TEST(Formats, TheEndingChoosesTheTarget) {
  TemporaryFolder folder;
  const auto target = [&](const std::string& name) {
    auto format = TargetFormat(folder / name);
    EXPECT_TRUE(format.ok()) << format.status();
    return format.ok() ? (*format)->id : ModelFormat::kAuto;
  };
  EXPECT_EQ(target("m.onnx"), ModelFormat::kOnnx);
  EXPECT_EQ(target("m.sluice"), ModelFormat::kFile);
  EXPECT_EQ(target("m.sluice.txt"), ModelFormat::kText);
  EXPECT_EQ(target("m.txt"), ModelFormat::kText);
  EXPECT_EQ(target("m.npy.onnx"), ModelFormat::kOnnx);
  for (const char* name : {"m", ".hidden", "m.onnx/", "m.onx/", "m.npy/", "."})
    EXPECT_EQ(target(name), ModelFormat::kFolder) << name;
  for (const char* name : {"m.onx", "m.sluice.text", "m.ONNX", "m.safetensors"}) {
    const absl::Status s = WriteModel(*Small(), folder / name);
    ExpectError(s, "says no format; there are .onnx (an ONNX model), .sluice (");
    ExpectError(s, absl::StrCat(name, "/\""));
  }
  ExpectError(WriteModel(*Small(), folder / "m.tflite"), "would be a TensorFlow Lite model");
  EXPECT_EQ(folder.Count(), 0u);
  EXPECT_TRUE(WriteModel(*Small(), folder / "v1.2", {.format = ModelFormat::kFolder}).ok());
  EXPECT_EQ(target("v1.2"), ModelFormat::kFolder) << "it is there now";
  EXPECT_TRUE(WriteModel(*Small(), folder / "v1.3/").ok());
  EXPECT_TRUE(ReadModel(folder / "v1.3/").ok());
}

TEST(Formats, OptionsAskForOne) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteModel(*Small(), folder / "m.txt", {.format = ModelFormat::kOnnx}).ok());
  EXPECT_TRUE(ReadModel(folder / "m.txt", {.format = ModelFormat::kOnnx}).ok());
  ExpectError(ReadModel(folder / "m.txt", {.format = ModelFormat::kFile}).status(),
              "not a safetensors file");
  const auto unknown = static_cast<ModelFormat>(99);
  ExpectError(ReadModel(folder / "m.txt", {.format = unknown}).status(), "no such format");
  ExpectError(WriteModel(*Small(), folder / "m.txt", {.format = unknown}), "no such format");
}

}  // namespace
}  // namespace sluice
