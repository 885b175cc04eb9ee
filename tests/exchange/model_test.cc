#include "exchange/model.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exchange/file.h"
#include "exchange/onnx_export.h"
#include "exchange/safetensors.h"
#include "graph/builder.h"
#include "graph/text.h"
#include "ops/op.h"
#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

// Weights large and small, strings, a generated constant, a body that captures, odd names.
std::unique_ptr<Graph> Sample() {
  auto graph = std::make_unique<Graph>(StandardOps(), "sample");
  GraphBuilder b(graph.get());
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("batch"), Dim(32)}));
  Value* c = b.Input("a \"choice\"\n", Type::Tensor(DType::kBool, Shape{}));
  Tensor w = *Tensor::Allocate(DType::kF32, {32, 16});
  for (int i = 0; i < 512; ++i) w.mutable_data<float>()[i] = static_cast<float>(i % 37) / 37;
  Value* h = b.Op("MatMul", {x, b.Constant(w, "w")});
  h = b.Op("Add", {h, b.Constant(*Tensor::Random(DType::kF32, {16}, {.seed = 7}), "bias")});
  Node* node = b.RawOp("If", {c}, 1);
  for (const char* name : {"then_branch", "else_branch"}) {
    Graph* body = node->AddBody(name);
    GraphBuilder inner(body);
    inner.Output(inner.Op(name[0] == 't' ? "Relu" : "Neg", {h}));
    EXPECT_TRUE(inner.status().ok()) << inner.status();
  }
  b.Finish(node);
  b.Output(node->output(), "y");
  EXPECT_TRUE(b.status().ok()) << b.status();
  graph->metadata()["author"] = "test";
  graph->signatures()["default"] = {{"x", c->name()}, {"y"}};
  return graph;
}

// Another model with other weights of the same names.
std::unique_ptr<Graph> Another() {
  auto graph = Sample();
  graph->metadata()["author"] = "another";
  Tensor w = *Tensor::Allocate(DType::kF32, {32, 16});
  for (int i = 0; i < 512; ++i) w.mutable_data<float>()[i] = static_cast<float>(i % 31) / 31;
  graph->FindValue("w")->producer()->SetAttr("value", w);
  return graph;
}

struct Format {
  const char* name;
  size_t files;
};
const Format kFormats[] = {{"m", 1}, {"m.sluice", 1}, {"m.sluice.txt", 2}};

TEST(Model, RoundTripsThroughEveryFormOfOurs) {
  const auto graph = Sample();
  for (const Format& f : kFormats) {
    TemporaryFolder folder;
    ASSERT_TRUE(WriteModel(*graph, folder / f.name).ok()) << WriteModel(*graph, folder / f.name);
    EXPECT_EQ(folder.Count(), f.files) << f.name;
    auto back = ReadModel(folder / f.name);
    ASSERT_TRUE(back.ok()) << back.status();
    std::string difference;
    EXPECT_TRUE(Equal(*graph, **back, &difference)) << f.name << ": " << difference;
    ASSERT_TRUE(WriteModel(**back, folder / f.name).ok()) << "a model may replace itself";
    EXPECT_TRUE(ReadModel(folder / f.name).ok());
  }
}

TEST(Model, OnnxKeepsMeaningAndNames) {
  const auto graph = Sample();
  TemporaryFolder folder;
  ASSERT_TRUE(WriteModel(*graph, folder / "m.onnx").ok()) << WriteModel(*graph, folder / "m.onnx");
  auto back = ReadModel(folder / "m.onnx");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ((*back)->inputs()[1]->name(), graph->inputs()[1]->name());
  EXPECT_EQ((*back)->output_names(), graph->output_names());
  EXPECT_EQ((*back)->outputs()[0]->type(), graph->outputs()[0]->type());
  EXPECT_EQ((*back)->metadata()["author"], "test");
}

// ONNX Runtime refuses two nodes of one name.
TEST(Model, OnnxNodesHaveNamesOfTheirOwn) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Origin origin;
  origin.name = "conv1";
  b.SetOrigin(origin);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{Dim(2)}));
  b.Output(b.Op("Relu", {b.Op("Neg", {b.Op("Relu", {x})})}), "y");
  ASSERT_TRUE(b.status().ok()) << b.status();
  auto bytes = ExportOnnxBytes(graph);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(*bytes));
  std::set<std::string> names;
  for (const auto& node : model.graph().node()) EXPECT_TRUE(names.insert(node.name()).second);
}

TEST(Model, WeightsAreMappedNotCopied) {
  const auto graph = Sample();
  TemporaryFolder folder;
  ASSERT_TRUE(WriteModel(*graph, folder / "m.sluice").ok());
  auto back = ReadModel(folder / "m.sluice");
  ASSERT_TRUE(back.ok()) << back.status();
  const Tensor* w = (*back)->FindValue("w")->constant();
  ASSERT_NE(w, nullptr);
  const auto* file = static_cast<const MappedFile*>(w->owner().get());
  EXPECT_GE(w->data<char>(), file->bytes().data());
  EXPECT_LT(w->data<char>(), file->bytes().data() + file->bytes().size());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(w->raw()) % 64, 0u);
}

// ATTACKS.md, class 15.
TEST(Model, DamageIsNoticed) {
  const auto graph = Sample();
  for (const Format& f : kFormats) {
    TemporaryFolder folder;
    ASSERT_TRUE(WriteModel(*graph, folder / f.name).ok());
    std::vector<std::string> files;
    for (const auto& e : std::filesystem::recursive_directory_iterator(folder.path())) {
      if (e.is_regular_file()) files.push_back(e.path());
    }
    for (const std::string& file : files) {
      const std::string good((*MappedFile::Open(file))->bytes());
      auto write = [&](const std::string& bytes) {
        std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
      };
      const bool text = absl::string_view(file).find(".txt") == file.size() - 4;
      for (size_t n = 0; n < good.size(); n += 1 + good.size() / 97) {
        write(good.substr(0, n));
        if (!text) EXPECT_FALSE(ReadModel(folder / f.name).ok()) << file << " cut at " << n;
        std::string flipped = good;
        flipped[n] = static_cast<char>(flipped[n] ^ 4);
        write(flipped);
        auto read = ReadModel(folder / f.name);  // an error, or the very same graph
        if (!text && read.ok()) EXPECT_TRUE(Equal(*graph, **read)) << file << " flipped at " << n;
      }
      write(good);
      EXPECT_TRUE(ReadModel(folder / f.name).ok());
    }
  }
}

TEST(Model, GraphAndWeightsOfDifferentWritingsAreToldApart) {
  TemporaryFolder folder;
  auto graph = Sample();
  ASSERT_TRUE(WriteModel(*graph, folder / "a").ok());
  graph->metadata()["author"] = "another";
  ASSERT_TRUE(WriteModel(*graph, folder / "b").ok());
  std::filesystem::copy_file(folder / "b/graph.pb", folder / "a/graph.pb",
                             std::filesystem::copy_options::overwrite_existing);
  ExpectError(ReadModel(folder / "a").status(), "not of one writing");
}

TEST(Model, WhatIsNoModelIsSaid) {
  TemporaryFolder folder;
  ExpectError(ReadModel(folder / "missing").status(), "cannot open");
  ExpectError(ReadModel(folder.path()).status(), "graph.pb");
  ExpectError(ReadModel(folder.Write("empty", "")).status(), "empty");
  EXPECT_FALSE(ReadModel(folder.Write("text", "hello world")).ok());
  EXPECT_FALSE(ReadModel(folder.Write("bytes", std::string(1000, '\x01'))).ok());
  Safetensors weights;
  weights.tensors.push_back({"w", Tensor::Scalar<float>(1)});
  ASSERT_TRUE(WriteSafetensors(weights, folder / "w.sluice").ok());
  ExpectError(ReadModel(folder / "w.sluice").status(), "no tensor sluice.graph");
}

// A disk that is full: here a limit on the size of files, in a process of its own.
TEST(Model, NothingIsLeftWhereWritingFails) {
  const auto graph = Sample();
  for (const char* name : {"m", "m.sluice", "m.sluice.txt", "m.onnx"}) {
    TemporaryFolder folder;
    const pid_t child = fork();
    if (child == 0) {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit = {512, 512};
      setrlimit(RLIMIT_FSIZE, &limit);
      _exit(WriteModel(*graph, folder / name).ok() ? 1 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << name;
    EXPECT_EQ(folder.Count(), 0u) << name;
  }
  EXPECT_FALSE(WriteModel(*graph, "/nonexistent/m.onnx").ok());
  EXPECT_FALSE(WriteModel(*graph, "/proc/m").ok());
}

TEST(Model, AnotherModelInItsPlaceLeavesNothingOfTheFirst) {
  auto graph = Sample();
  for (const Format& f : kFormats) {
    TemporaryFolder folder;
    const auto files = [&] {
      size_t n = 0;
      for (const auto& e : std::filesystem::recursive_directory_iterator(folder.path()))
        n += e.is_regular_file();
      return n;
    };
    ASSERT_TRUE(WriteModel(*Sample(), folder / f.name).ok());
    const size_t before = files();
    ASSERT_TRUE(WriteModel(*Another(), folder / f.name).ok());
    EXPECT_EQ(files(), before) << f.name;
    auto back = ReadModel(folder / f.name);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_TRUE(Equal(**back, *Another()));
  }
  TemporaryFolder folder;
  for (const auto& g : {Sample(), Another()}) {
    ASSERT_TRUE(ExportOnnx(*g, folder / "m.onnx", {.max_inline_bytes = 0}).ok());
    EXPECT_EQ(folder.Count(), 2u);
    auto back = ReadModel(folder / "m.onnx");
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ((*back)->metadata().at("author"), g->metadata().at("author"));
  }
}

// As they were named before names told contents.
TEST(Model, WeightsOfOldNamesAreReadAndReplaced) {
  const auto graph = Sample();
  TemporaryFolder folder;
  ASSERT_TRUE(WriteModel(*graph, folder / "m").ok());
  ASSERT_TRUE(WriteModel(*graph, folder / "m.sluice.txt").ok());
  for (const auto& e : std::filesystem::recursive_directory_iterator(folder.path())) {
    const std::string parent = e.path().parent_path();
    if (e.path().extension() != ".safetensors") continue;
    std::filesystem::rename(e.path(), parent == folder.path() ? folder / "m.sluice.txt.safetensors"
                                                              : folder / "m/weights.safetensors");
  }
  const std::string text((*MappedFile::Open(folder / "m.sluice.txt"))->bytes());
  folder.Write("m.sluice.txt", text.substr(text.find('\n') + 1));
  for (const char* name : {"m", "m.sluice.txt"}) {
    auto back = ReadModel(folder / name);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_TRUE(Equal(*graph, **back));
    ASSERT_TRUE(WriteModel(*Another(), folder / name).ok());
    EXPECT_TRUE(ReadModel(folder / name).ok());
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "m/weights.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(folder / "m.sluice.txt.safetensors"));
}

TEST(Model, ATextMayOnlyNameWeightsBesideIt) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteModel(*Sample(), folder / "m.sluice.txt").ok());
  const std::string text((*MappedFile::Open(folder / "m.sluice.txt"))->bytes());
  for (const char* name : {"../m.safetensors", "/etc/hostname", "", "missing"}) {
    folder.Write("m.sluice.txt", absl::StrCat("// weights: ", name, text.substr(text.find('\n'))));
    EXPECT_FALSE(ReadModel(folder / "m.sluice.txt").ok()) << name;
  }
}

absl::Status Write(const Graph& graph, const std::string& path) {
  if (!absl::EndsWith(path, ".onnx")) return WriteModel(graph, path);
  return ExportOnnx(graph, path, {.max_inline_bytes = 0});
}

// One of two models, by what tells them apart in every form.
void ExpectOneOfTwo(const std::string& path) {
  auto back = ReadModel(path);
  ASSERT_TRUE(back.ok()) << back.status();
  const std::string& author = (*back)->metadata()["author"];
  const auto expected = author == "another" ? Another() : Sample();
  EXPECT_EQ(author, expected->metadata()["author"]);
  const Tensor &a = *(*back)->FindValue("w")->constant(),
               &b = *expected->FindValue("w")->constant();
  EXPECT_TRUE(a == b);
}

// A process that writes the two in turns until it is killed.
pid_t StartWriter(const std::string& path) {
  const pid_t child = fork();
  if (child != 0) return child;
  const auto one = Sample(), two = Another();
  for (bool ok = true; ok;) ok = Write(*one, path).ok() && Write(*two, path).ok();
  _exit(1);
}
void Kill(pid_t child) {
  int status = 0;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << "writing failed";
}

constexpr const char* kEveryForm[] = {"m", "m.sluice", "m.sluice.txt", "m.onnx"};

TEST(Model, AKilledWriterLosesNothing) {
  uint32_t random = 1;
  for (const char* name : kEveryForm) {
    TemporaryFolder folder;
    ASSERT_TRUE(Write(*Sample(), folder / name).ok());
    for (int i = 0; i < 40; ++i) {
      const pid_t child = StartWriter(folder / name);
      random = random * 1664525u + 1013904223u;
      usleep(random >> 19);  // up to 8 ms
      Kill(child);
      ExpectOneOfTwo(folder / name);
    }
    // What a process left that was killed between giving a name and taking the place goes now.
    ASSERT_TRUE(Write(*Sample(), folder / name).ok());
    for (const auto& e : std::filesystem::recursive_directory_iterator(folder.path()))
      EXPECT_NE(e.path().filename().string()[0], '.') << e.path();
  }
}

TEST(Model, ManyWritersAndAReaderSeeWholeModels) {
  for (const char* name : kEveryForm) {
    TemporaryFolder folder;
    ASSERT_TRUE(Write(*Sample(), folder / name).ok());
    const pid_t children[] = {StartWriter(folder / name), StartWriter(folder / name),
                              StartWriter(folder / name)};
    for (int i = 0; i < 100; ++i) ExpectOneOfTwo(folder / name);
    for (pid_t child : children) Kill(child);
    ExpectOneOfTwo(folder / name);
  }
}

// Over 2 GB, by a sparse file: needs address space, not memory. Full form:
//   SLUICE_LARGE_TESTS=1 bazel test //tests/exchange:exchange_test
TEST(Model, FoldersOver2GigabytesLoadWithoutACopy) {
  if (std::getenv("SLUICE_LARGE_TESTS") == nullptr) GTEST_SKIP() << "SLUICE_LARGE_TESTS is not set";
  TemporaryFolder folder;
  const int64_t columns = int64_t{5} << 27;  // 2.5 GiB of f32
  Graph graph(StandardOps(), "large");
  GraphBuilder b(&graph);
  // Zero pages of an anonymous file cost nothing until they are read.
  folder.Write("zeros", "");
  std::filesystem::resize_file(folder / "zeros", static_cast<uintmax_t>(columns) * 4);
  auto zeros = *MappedFile::Open(folder / "zeros");
  Value* w = b.Constant(Tensor::Wrap(DType::kF32, {columns}, zeros->bytes().data(), zeros), "w");
  Value* x = b.Input("x", Type::Tensor(DType::kI64, Shape{Dim(1)}));
  b.Output(b.Op("Gather", {w, x}), "y");
  ASSERT_TRUE(b.status().ok()) << b.status();
  ASSERT_TRUE(WriteModel(graph, folder / "m").ok()) << WriteModel(graph, folder / "m");
  rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  const auto begin = std::chrono::steady_clock::now();
  auto back = ReadModel(folder / "m", {.verify_checksums = false});
  const std::chrono::duration<double, std::milli> ms = std::chrono::steady_clock::now() - begin;
  getrusage(RUSAGE_SELF, &after);
  printf("2.5 GiB loaded in %.1f ms with %ld KiB more at the peak\n", ms.count(),
         after.ru_maxrss - before.ru_maxrss);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ((*back)->FindValue("w")->constant()->elements(), columns);
  EXPECT_TRUE(WriteModel(**back, folder / "m.onnx").ok());
  EXPECT_LT(std::filesystem::file_size(folder / "m.onnx"), 1u << 20) << "the weights lie beside it";
  auto onnx = ReadModel(folder / "m.onnx");
  ASSERT_TRUE(onnx.ok()) << onnx.status();
  EXPECT_EQ((*onnx)->outputs()[0]->type().ToString(), "f32[1]");
}

constexpr char kTrainable[] = R"(graph g (%x: f32[2], %rate: f32[]) {
  %v = Variable {name = "v", value = f32[2] [1, 2]}
  %y = Mul(%x, %v)
  %step = Mul(%y, %rate)
  %next = Sub(%v, %step)
  %a = Assign(%v, %next)
  return %y, %next
}
signature predict (x) -> (y)
signature train (x, rate) -> (next) does (a)
)";

TEST(WriteModel, WithTheValuesOfASnapshotInEveryForm) {
  auto graph = Parse(kTrainable, StandardOps());
  ASSERT_TRUE(graph.ok()) << graph.status();
  const StateSnapshot state{7, {{"v", Tensor::Vector<float>({5, 6})}}};
  TemporaryFolder folder;
  for (const char* form : {"m.sluice", "m.sluice.txt", "m", "m.onnx"}) {
    ASSERT_TRUE(WriteModel(**graph, folder / form, {.state = &state}).ok()) << form;
    auto back = ReadModel(folder / form);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ((*back)->FindValue("v")->producer()->GetTensor("value")->data<float>()[1], 6) << form;
  }
  EXPECT_EQ((*graph)->FindValue("v")->producer()->GetTensor("value")->data<float>()[1], 2);
  const StateSnapshot wrong{7, {{"v", Tensor::Vector<float>({5})}}};
  ExpectError(WriteModel(**graph, folder / "wrong.sluice", {.state = &wrong}), "f32[1]");
}

TEST(WriteModel, OnnxGetsOneSignatureWithoutEffects) {
  auto graph = Parse(kTrainable, StandardOps());
  ASSERT_TRUE(graph.ok()) << graph.status();
  TemporaryFolder folder;
  ASSERT_TRUE(WriteModel(**graph, folder / "m.onnx").ok());
  auto back = ReadModel(folder / "m.onnx");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ((*back)->inputs().size(), 1u);
  EXPECT_EQ((*back)->output_names(), std::vector<std::string>{"y"});
  // What a step reads of an Assign is the value that it writes.
  auto momentum = Parse(R"(graph g (%x: f32[2]) {
  %m = Variable {name = "m", value = f32[2] [1, 2]}
  %w = Variable {name = "w", value = f32[2] [1, 2]}
  %n = Add(%m, %x)
  %a = Assign(%m, %n)
  %d = Sub(%w, %a)
  %b = Assign(%w, %d)
  %y = Mul(%x, %w)
  return %y
}
signature predict (x) -> (y)
signature train (x) -> () does (a, b)
)",
                        StandardOps());
  ASSERT_TRUE(momentum.ok()) << momentum.status();
  EXPECT_TRUE(WriteModel(**momentum, folder / "momentum.onnx").ok());
  const auto write = [&](const char* signature) {
    return WriteModel(**graph, folder / "n.onnx", {.signature = signature});
  };
  ExpectError(write("train"), "signature 'train' writes state ('a')");
  ExpectError(write("nope"), "there are: 'predict', 'train'");
  (*graph)->signatures()["also"] = {{"x"}, {"y"}, {}};
  ExpectError(write(""), "say which of the signatures 'also', 'predict'");
  EXPECT_TRUE(write("also").ok());
  (*graph)->signatures()["also"].inputs = {};
  ExpectError(write("also"), "needs input 'x', which it does not list");
  (*graph)->signatures().erase("also");
  (*graph)->signatures().erase("predict");
  ExpectError(write(""), "each of the graph's signatures ('train') writes state");
}

}  // namespace
}  // namespace sluice
