// Ops of old opsets whose meaning is spelled out with others: their numbers.
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/session.h"
#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

// Statistics for each position of a sample.
TEST(OldOpsets, BatchNormalizationWithoutSpatial) {
  for (int64_t opset : {7, 8}) {
    onnx::ModelProto model = EmptyModel(opset);
    auto* graph = model.mutable_graph();
    AddInput(graph, "x", {2, 3, 2});
    std::vector<float> statistics[4];  // scale, bias, mean, variance
    const char* names[] = {"s", "b", "m", "v"};
    for (int i = 0; i < 4; ++i) {
      for (int j = 0; j < 6; ++j) statistics[i].push_back(0.5f + 0.25f * ((i * 5 + j * 3) % 7));
      AddInitializer(graph, names[i], {3, 2}, statistics[i]);
    }
    auto* node = AddNode(graph, "BatchNormalization", {"x", "s", "b", "m", "v"}, {"y"});
    AddInt(node, "spatial", 0);
    AddFloat(node, "epsilon", 0.125f);
    AddFloat(node, "momentum", 0.5f);
    AddOutput(graph, "y");
    auto imported = Import(model);
    ASSERT_TRUE(imported.ok()) << imported.status();
    EXPECT_EQ((*imported)->outputs()[0]->type().ToString(), "f32[2,3,2]");
    auto session = Session::Create(**imported, {.threads = 1});
    ASSERT_TRUE(session.ok()) << session.status();
    const Tensor x = *Tensor::Random(DType::kF32, {2, 3, 2}, {.seed = 1});
    auto y = (*session)->Run({{"x", x}});
    ASSERT_TRUE(y.ok()) << y.status();
    for (int i = 0; i < 12; ++i) {
      const int j = i % 6;
      const double expected = (x.data<float>()[i] - statistics[2][j]) /
                                  std::sqrt(statistics[3][j] + 0.125) * statistics[0][j] +
                              statistics[1][j];
      EXPECT_NEAR((*y)[0].data<float>()[i], expected, 1e-5) << i;
    }
    node->add_output("mean");
    node->add_output("variance");
    ExpectError(Import(model).status(), "spatial=0");
  }
}

}  // namespace
}  // namespace sluice
