// Constants that an ONNX file holds at any byte: packed, read at run time, folded, fetched, written
// again.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "exchange/model.h"
#include "graph/builder.h"
#include "ops/op.h"
#include "runtime/session.h"

namespace sluice {
namespace {

// Bytes of its own: a seeded constant would stand in the file as its seed.
Tensor Numbers(const Dims& dims, uint64_t seed) {
  const Tensor seeded = *Tensor::Random(DType::kF32, dims, {.seed = seed});
  return Tensor::FromSpan<float>(dims, seeded.values<float>());
}

// All weights are above 64 KiB. `shift` characters move what follows in the file.
std::unique_ptr<Graph> Net(int shift) {
  auto graph = std::make_unique<Graph>(StandardOps(), "net");
  GraphBuilder b(graph.get());
  Value* x = b.Input("x", *Type::Parse("f32[n,128]"));
  Value* ids = b.Input("ids", *Type::Parse("i64[n]"));
  Value* image = b.Input("image", *Type::Parse("f32[n,32,9,9]"));
  const std::string tail(static_cast<size_t>(shift), 'x');
  Value* packed = b.Op("MatMul", {x, b.Constant(Numbers({128, 256}, 1), "w" + tail)});
  Value* rows = b.Op("Gather", {b.Constant(Numbers({300, 256}, 2), "table"), ids});
  Value* spread = b.Constant(Numbers({1, 20000}, 3), "spread");
  Value* folded = b.Op("Add", {spread, spread});
  b.Output(b.Op("Add", {packed, rows}), "sum");
  b.Output(b.Op("Mul", {b.Op("ReduceMax", {x}), spread}), "product");
  Value* conv = b.Op("Conv", {image, b.Constant(Numbers({64, 32, 3, 3}, 4), "filters")});
  const Tensor one = *Tensor::Random(DType::kF32, {64}, {.seed = 11, .offset = 2});
  Value* statistics = b.Constant(one, "statistics");
  b.Output(b.Op("BatchNormalization", {conv, statistics, statistics, statistics, statistics}),
           "conv");
  b.Output(folded, "folded");
  b.Output(b.Constant(Numbers({170, 100}, 5), "kept"), "constant");
  // A state that an LSTM reads with its weights.
  Value* sequence = b.Op("Unsqueeze", {x, b.Constant(Tensor::Vector<int64_t>({1}))});
  std::vector<Value*> lstm =
      b.OpN("LSTM",
            {sequence, b.Constant(Numbers({1, 256, 128}, 6), "W"),
             b.Constant(Numbers({1, 256, 64}, 7), "R"), b.Constant(Numbers({1, 512}, 8), "B")},
            1, {{"hidden_size", 64}});
  b.Output(lstm[0], "lstm");
  EXPECT_TRUE(b.status().ok()) << b.status();
  return graph;
}

std::vector<Tensor> Results(const Graph& graph, int64_t n, int threads) {
  auto session = Session::Create(graph, {.threads = threads});
  EXPECT_TRUE(session.ok()) << session.status();
  if (!session.ok()) return {};
  std::vector<Tensor> last;
  for (int64_t rows : {int64_t{1}, n}) {  // the second shape shares what the first one packed
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < rows; ++i) ids.push_back(i * 37 % 300);
    auto result = (*session)->Run({{"x", Numbers({rows, 128}, 9)},
                                   {"ids", Tensor::Vector<int64_t>(ids)},
                                   {"image", Numbers({rows, 32, 9, 9}, 10)}});
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return {};
    last = *result;
  }
  return last;
}

int Unaligned(const Graph& graph) {
  int count = 0;
  for (const auto& node : graph.nodes()) {
    const Tensor* t = node->Is("Constant") ? node->GetTensor("value") : nullptr;
    count += t != nullptr && !t->aligned();
  }
  return count;
}

TEST(FileConstants, LieWhereTheyLie) {
  const std::string base = absl::StrCat(testing::TempDir(), "/constants", getpid());
  int unaligned = 0;
  for (int shift = 0; shift < 4; ++shift) {
    auto graph = Net(shift);
    const std::string path = base + ".onnx";
    ASSERT_TRUE(WriteModel(*graph, path).ok());
    auto read = ReadModel(path);
    ASSERT_TRUE(read.ok()) << read.status();
    unlink(path.c_str());  // the mapping lives on
    unaligned += Unaligned(**read);
    for (int threads : {1, 2}) {
      const std::vector<Tensor> expected = Results(*graph, 5, threads);
      const std::vector<Tensor> results = Results(**read, 5, threads);
      ASSERT_EQ(results.size(), expected.size());
      for (size_t i = 0; i < results.size(); ++i) {
        EXPECT_TRUE(results[i] == expected[i]) << i;
        EXPECT_TRUE(results[i].aligned()) << i;
      }
    }
    // Written again in every form, they are the same numbers.
    for (const char* end : {".onnx", ".sluice", ".sluice.txt"}) {
      const std::string folder = absl::StrCat(base, "_again"), again = folder + "/m" + end;
      std::filesystem::create_directory(folder);
      ASSERT_TRUE(WriteModel(**read, again).ok());
      auto second = ReadModel(again);
      ASSERT_TRUE(second.ok()) << second.status();
      EXPECT_EQ(Results(**second, 3, 1), Results(*graph, 3, 1)) << end;
      std::filesystem::remove_all(folder);
    }
    const auto table = [](const Graph& g) {
      return g.FindValue("table")->producer()->GetTensor("value")->ToString(100);
    };
    EXPECT_EQ(table(**read), table(*graph));
  }
  EXPECT_GT(unaligned, 4);
}

}  // namespace
}  // namespace sluice
