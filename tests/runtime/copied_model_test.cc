// Models that were read with FileAccess::kCopy: nothing that becomes of their files matters.
#include <cstring>
#include <filesystem>

#include "exchange/model.h"
#include "exchange/npy.h"
#include "exchange/tensor_proto.h"
#include "graph/builder.h"
#include "graph/file_pages.h"
#include "ops/op.h"
#include "runtime/session.h"
#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

// Bytes of its own: a seeded constant would stand in a file as its seed.
Tensor Weights() {
  const Tensor seeded = *Tensor::Random(DType::kF32, {256, 96}, {.seed = 3});
  Tensor w = *Tensor::Allocate(DType::kF32, seeded.dims());
  std::memcpy(w.mutable_raw(), seeded.raw(), seeded.bytes());
  return w;
}

// A product, whose weights are packed, and the weights as they are.
std::unique_ptr<Graph> Net() {
  auto graph = std::make_unique<Graph>(StandardOps(), "net");
  GraphBuilder b(graph.get());
  Value* x = b.Input("x", *Type::Parse("f32[n,256]"));
  Value* w = b.Constant(Weights(), "w");
  b.Output(b.Op("MatMul", {x, w}), "y");
  b.Output(b.Op("Add", {w, b.Op("ReduceSum", {x})}), "z");
  EXPECT_TRUE(b.status().ok()) << b.status();
  return graph;
}

std::vector<Tensor> Results(const Graph& graph, std::shared_ptr<const PackedSet> packed = nullptr) {
  SessionOptions options{.threads = 1};
  options.packed = std::move(packed);
  auto session = Session::Create(graph, std::move(options));
  EXPECT_TRUE(session.ok()) << session.status();
  if (!session.ok()) return {};
  auto results = (*session)->Run({{"x", *Tensor::Random(DType::kF32, {3, 256}, {.seed = 5})}});
  EXPECT_TRUE(results.ok()) << results.status();
  return results.ok() ? *std::move(results) : std::vector<Tensor>();
}

// To overwrite a file in place is half of the harm, to truncate it the other.
void Destroy(const std::string& folder, bool truncate) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    if (truncate) {
      std::filesystem::resize_file(entry.path(), 0);
    } else {
      std::fstream file(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
      file << std::string(entry.file_size(), '\xff');
    }
  }
}

TEST(CopiedModel, RunsWhateverBecomesOfItsFiles) {
  const auto net = Net();
  const std::vector<Tensor> expected = Results(*net);
  for (const char* form : {"m.onnx", "m.sluice", "m.sluice.txt", "m"}) {
    for (const bool truncate : {false, true}) {
      TemporaryFolder folder;
      ASSERT_TRUE(WriteModel(*net, folder / form).ok());
      auto graph = ReadModel(folder / form, {.access = FileAccess::kCopy});
      ASSERT_TRUE(graph.ok()) << form << ": " << graph.status();
      Destroy(folder.path(), truncate);
      EXPECT_EQ(Results(**graph), expected) << form;
    }
  }
}

TEST(CopiedModel, WithExternalData) {
  const Tensor w = Weights();
  for (const bool truncate : {false, true}) {
    TemporaryFolder folder;
    folder.Write("w.bin", "1" + std::string(w.data<char>(), w.bytes()));
    auto model = EmptyModel();
    auto* g = model.mutable_graph();
    AddInput(g, "x", {-1, 256});
    onnx::TensorProto* t = AddInitializer(g, "w", {256, 96}, {});
    t->set_data_location(onnx::TensorProto::EXTERNAL);
    for (const auto& [key, value] :
         {std::pair("location", "w.bin"), std::pair("offset", "1")}) {  // aligned to nothing
      auto* entry = t->add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    }
    AddNode(g, "MatMul", {"x", "w"}, {"y"});
    AddOutput(g, "y");
    auto graph =
        ReadModel(folder.Write("m.onnx", model.SerializeAsString()), {.access = FileAccess::kCopy});
    ASSERT_TRUE(graph.ok()) << graph.status();
    Destroy(folder.path(), truncate);
    EXPECT_EQ(Results(**graph)[0], Results(*Net())[0]);
  }
}

TEST(CopiedModel, WithPackedWeights) {
  const auto net = Net();
  auto session = *Session::Create(*net, {.threads = 1});
  const PackedSet packed = session->Packed();
  TemporaryFolder folder;
  WriteOptions write;
  write.packed = &packed;
  ASSERT_TRUE(WriteModel(*net, folder / "m.sluice", write).ok());
  auto read_packed = std::make_shared<PackedSet>();
  auto graph =
      ReadModel(folder / "m.sluice", {.access = FileAccess::kCopy, .packed = read_packed.get()});
  ASSERT_TRUE(graph.ok()) << graph.status();
  Destroy(folder.path(), /*truncate=*/true);
  EXPECT_EQ(Results(**graph, read_packed), Results(*net));
}

TEST(CopiedModel, TensorsAloneToo) {
  TemporaryFolder folder;
  const Tensor w = Weights();
  ASSERT_TRUE(WriteNpy(w, folder / "w.npy").ok());
  ASSERT_TRUE(WriteNpz({{"w", w}}, folder / "w.npz").ok());
  ASSERT_TRUE(WriteTensorPb(w, "w", folder / "w.pb").ok());
  auto npy = ReadNpy(folder / "w.npy", FileAccess::kCopy);
  auto npz = ReadNpz(folder / "w.npz", {.access = FileAccess::kCopy});
  auto pb = ReadTensorPb(folder / "w.pb", FileAccess::kCopy);
  ASSERT_TRUE(npy.ok() && npz.ok() && pb.ok());
  Destroy(folder.path(), /*truncate=*/true);
  for (const Tensor& t : {*npy, (*npz)[0].second, *pb}) {
    ReleasePages(t);  // would lose what no file stands behind, were it not left alone
    EXPECT_EQ(t, w);
  }
}

}  // namespace
}  // namespace sluice
