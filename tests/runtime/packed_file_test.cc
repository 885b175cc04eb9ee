// Packed weights from a session to a file and back.
#include "exchange/packed_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "exchange/model.h"
#include "graph/builder.h"
#include "ops/op.h"
#include "runtime/session.h"

namespace sluice {
namespace {

// A strided convolution with an open batch: its weights are packed. They are bytes of their own: a
// seeded constant would stand in the file as its seed.
std::unique_ptr<Graph> Net() {
  const Tensor seeded = *Tensor::Random(DType::kF32, {32, 16, 5, 5}, {.seed = 3});
  Tensor w = *Tensor::Allocate(DType::kF32, seeded.dims());
  std::memcpy(w.mutable_raw(), seeded.raw(), seeded.bytes());
  auto graph = std::make_unique<Graph>(StandardOps(), "net");
  GraphBuilder b(graph.get());
  Value* x = b.Input("x", *Type::Parse("f32[n,16,20,20]"));
  b.Output(b.Op("Conv", {x, b.Constant(w, "w")}, {{"strides", std::vector<int64_t>{2, 2}}}), "y");
  EXPECT_TRUE(b.status().ok()) << b.status();
  return graph;
}

Tensor Result(Session* session, int64_t n) {
  auto result = session->Run({{"x", *Tensor::Random(DType::kF32, {n, 16, 20, 20}, {.seed = 5})}});
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? (*result)[0] : Tensor();
}

std::unique_ptr<Session> Make(const Graph& graph, std::shared_ptr<const PackedSet> packed) {
  SessionOptions options{.threads = 1};
  options.packed = std::move(packed);
  auto session = Session::Create(graph, std::move(options));
  EXPECT_TRUE(session.ok()) << session.status();
  return *std::move(session);
}

struct Saved {
  std::string path = testing::TempDir() + "/packed" + std::to_string(getpid()) + ".sluice";
  PackedSet packed;
  Tensor expected;
  Saved() {
    auto graph = Net();
    auto session = Make(*graph, nullptr);
    expected = Result(session.get(), 2);
    packed = session->Packed();
    EXPECT_EQ(packed.entries.size(), 1u);
    WriteOptions write;
    write.packed = &packed;
    EXPECT_TRUE(WriteModel(*graph, path, write).ok());
  }
  ~Saved() { unlink(path.c_str()); }
  // The session over what is read back, and its report.
  std::string Reload(const std::string& key) {
    auto set = std::make_shared<PackedSet>();
    ReadOptions read;
    read.packed = set.get();
    auto graph = ReadModel(path, read);
    EXPECT_TRUE(graph.ok()) << graph.status();
    if (!graph.ok()) return "";
    if (key != packed.key) set->key = key;  // as on another machine
    auto session = Make(**graph, set);
    EXPECT_EQ(Result(session.get(), 2), expected);
    return session->Explain();
  }
};

TEST(PackedFile, TakenFromTheFileOnTheSameMachine) {
  Saved saved;
  const std::string report = saved.Reload(saved.packed.key);
  EXPECT_NE(report.find("weights packed: 0 made, 0 shared with another plan, 1 from the file"),
            std::string::npos)
      << report;
}

TEST(PackedFile, PackedAgainOnAnother) {
  Saved saved;
  const std::string report = saved.Reload("another machine");
  EXPECT_NE(report.find("packed again: the file's are for 'another machine'"), std::string::npos)
      << report;
}

TEST(PackedFile, DamageIsNoticedAndPackedAgain) {
  Saved saved;
  std::stringstream content;
  content << std::ifstream(saved.path, std::ios::binary).rdbuf();
  std::string bytes = content.str();
  const std::string inside(reinterpret_cast<const char*>(saved.packed.entries[0].bytes.raw()), 64);
  const size_t at = bytes.find(inside);
  ASSERT_NE(at, std::string::npos);
  bytes[at] ^= 1;
  std::ofstream(saved.path, std::ios::binary) << bytes;
  const std::string report = saved.Reload(saved.packed.key);
  EXPECT_NE(report.find("1 damaged there"), std::string::npos) << report;
}

// Both what is packed and what it was packed of, wherever the bit lies.
TEST(PackedFile, OneFlippedBitIsAnErrorOrChangesNothing) {
  Saved saved;
  std::stringstream content;
  content << std::ifstream(saved.path, std::ios::binary).rdbuf();
  const std::string good = content.str();
  const Tensor x = *Tensor::Random(DType::kF32, {2, 16, 20, 20}, {.seed = 5});
  int errors = 0, same = 0;
  for (size_t at = 0; at < good.size(); at += 1 + (at < 4096 ? 61 : good.size() / 97)) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
    std::ofstream(saved.path, std::ios::binary) << bytes;
    auto set = std::make_shared<PackedSet>();
    ReadOptions read;
    read.packed = set.get();
    auto graph = ReadModel(saved.path, read);
    SessionOptions options{.threads = 1};
    options.packed = set;
    auto session = graph.ok() ? Session::Create(**graph, options) : graph.status();
    auto result = session.ok() ? (*session)->Run({{"x", x}}) : session.status();
    ++(result.ok() ? same : errors);
    if (result.ok()) EXPECT_EQ((*result)[0], saved.expected) << "bit " << at % 8 << " of " << at;
  }
  EXPECT_GT(errors, 40) << "of the constant";
  EXPECT_GT(same, 40) << "of its packed form, which is packed again";
}

// Entries that are sound by themselves, but stand under each other's names.
TEST(PackedFile, SwappedEntriesArePackedAgain) {
  Graph graph(StandardOps(), "two");
  GraphBuilder b(&graph);
  Value* x = b.Input("x", *Type::Parse("f32[2,16,20,20]"));
  const std::vector<int64_t> strides = {2, 2};
  for (const char* name : {"v", "w"}) {
    Tensor t = *Tensor::Random(DType::kF32, {32, 16, 5, 5}, {.seed = uint64_t(name[0])});
    (void)t.mutable_raw();  // numbers of its own, no seed
    b.Output(b.Op("Conv", {x, b.Constant(t, name)}, {{"strides", strides}}),
             std::string("y") + name);
  }
  ASSERT_TRUE(b.status().ok()) << b.status();
  const Tensor in = *Tensor::Random(DType::kF32, {2, 16, 20, 20}, {.seed = 5});
  auto session = Make(graph, nullptr);
  auto expected = session->Run({{"x", in}});
  ASSERT_TRUE(expected.ok()) << expected.status();
  const PackedSet packed = session->Packed();
  ASSERT_EQ(packed.entries.size(), 2u);
  const std::string path = testing::TempDir() + "/swapped" + std::to_string(getpid()) + ".sluice";
  WriteOptions write;
  write.packed = &packed;
  ASSERT_TRUE(WriteModel(graph, path, write).ok());
  auto content = ReadSafetensors(path);
  ASSERT_TRUE(content.ok()) << content.status();
  for (const char* field : {".constant", ".source"}) {
    std::swap(content->metadata[std::string("sluice.packed.0") + field],
              content->metadata[std::string("sluice.packed.1") + field]);
  }
  ASSERT_TRUE(WriteSafetensors(*content, path).ok());
  auto set = std::make_shared<PackedSet>();
  ReadOptions read;
  read.packed = set.get();
  auto again = ReadModel(path, read);
  ASSERT_TRUE(again.ok()) << again.status();
  session = Make(**again, set);
  auto results = session->Run({{"x", in}});
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(*results, *expected);
  EXPECT_NE(session->Explain().find("2 damaged there"), std::string::npos) << session->Explain();
  unlink(path.c_str());
}

TEST(PackedFile, ABrokenSectionIsDroppedWithANote) {
  const Tensor bytes = *Tensor::Random(DType::kU8, {64}, {.seed = 1, .scale = 200});
  Safetensors content;
  content.metadata["sluice.packed"] = "key";
  content.tensors.push_back({"sluice.packed.0", bytes});
  content.tensors.push_back({"other", bytes});
  for (const char* wrong : {"", "-1", "65", "99999999999999999999", "many"}) {
    Safetensors broken = content;
    broken.metadata["sluice.packed.0.constant"] = "w";
    broken.metadata["sluice.packed.0.seal"] = "s";
    broken.metadata["sluice.packed.0.bytes"] = wrong;
    const PackedSet set = TakePacked(&broken);
    EXPECT_TRUE(set.entries.empty()) << wrong;
    EXPECT_NE(set.note.find("sluice.packed.0"), std::string::npos);
    EXPECT_EQ(broken.tensors.size(), 1u);
  }
}

// A graph of one node over `x` and constant weights.
struct OneNode {
  const char* op;
  const char* x;
  std::vector<Dims> weights;
  AttrList attrs;
};

// Whatever kernel packs weights, another session takes them as they are, with the same results.
TEST(PackedFile, EveryKernelThatPacksTakesWhatAnotherSessionPacked) {
  using Ints = std::vector<int64_t>;
  const OneNode nodes[] = {
      {"Conv", "f32[2,16,24,24]", {{32, 16, 3, 3}}, {{"pads", Ints{1, 1, 1, 1}}}},  // Winograd
      {"Conv", "f32[1,16,9,9]", {{40, 16, 3, 3}}, {}},
      {"ConvTranspose", "f32[1,16,8,8]", {{16, 8, 2, 2}}, {{"strides", Ints{2, 2}}}},
      {"MatMul", "f32[128,256]", {{256, 192}}, {}},
      {"LSTM", "f32[6,2,32]", {{1, 192, 32}, {1, 192, 48}}, {{"hidden_size", 48}}},
      {"GRU",
       "f32[6,1,32]",
       {{2, 144, 32}, {2, 144, 48}},
       {{"hidden_size", 48}, {"direction", "bidirectional"}}},
      {"RNN", "f32[6,2,32]", {{1, 48, 32}, {1, 48, 48}}, {{"hidden_size", 48}}},
  };
  for (const OneNode& node : nodes) {
    SCOPED_TRACE(node.op);
    Graph graph(StandardOps(), "one");
    GraphBuilder b(&graph);
    std::vector<Value*> inputs = {b.Input("x", *Type::Parse(node.x))};
    for (size_t i = 0; i < node.weights.size(); ++i) {
      inputs.push_back(
          b.Constant(*Tensor::Random(DType::kF32, node.weights[i], {.seed = i + 1, .scale = 0.2}),
                     "w" + std::to_string(i)));
    }
    b.Output(b.OpN(node.op, inputs, 1, node.attrs)[0], "y");
    ASSERT_TRUE(b.status().ok()) << b.status();
    const Tensor x = *Tensor::Random(DType::kF32, *Type::Parse(node.x)->StaticDims(), {.seed = 9});
    for (int threads : {1, 2}) {
      SessionOptions options{.threads = threads};
      auto first = Session::Create(graph, options);
      ASSERT_TRUE(first.ok()) << first.status();
      auto expected = (*first)->Run({{"x", x}});
      ASSERT_TRUE(expected.ok()) << expected.status();
      const auto packed = std::make_shared<PackedSet>((*first)->Packed());
      EXPECT_EQ(packed->entries.size(), node.weights.size()) << (*first)->Explain();
      options.packed = packed;
      auto second = Session::Create(graph, options);
      ASSERT_TRUE(second.ok()) << second.status();
      auto results = (*second)->Run({{"x", x}});
      ASSERT_TRUE(results.ok()) << results.status();
      EXPECT_EQ((*results)[0], (*expected)[0]);
      EXPECT_NE((*second)->Explain().find("weights packed: 0 made"), std::string::npos)
          << (*second)->Explain();
    }
  }
}

TEST(PackedFile, ANewShapeSharesWhatIsPacked) {
  auto graph = Net();
  auto session = Make(*graph, nullptr);
  (void)Result(session.get(), 1);
  (void)Result(session.get(), 1);
  const int64_t before = session->Memory().plans;
  (void)Result(session.get(), 3);
  EXPECT_EQ(session->Memory().plans, before + 1);
  EXPECT_NE(session->Explain().find("1 made, 1 shared"), std::string::npos) << session->Explain();
}

}  // namespace
}  // namespace sluice
