#include <cstdio>

#include "sluice.h"

int main() {
  using namespace sluice;
  Graph graph(StandardOps(), "classify");
  GraphBuilder g(&graph);
  Value* image = g.Input("image", *Type::Parse("f32[batch,1,8,8]"));
  Value* filters = g.Constant(*Tensor::Random(DType::kF32, {8, 1, 3, 3}, {.seed = 1}));
  Value* w = g.Constant(*Tensor::Random(DType::kF32, {8 * 6 * 6, 10}, {.seed = 2, .scale = 0.1}));
  Value* hidden = ops::Relu(g, ops::Conv(g, image, filters));
  Value* scores = ops::MatMul(g, ops::Flatten(g, hidden), w);
  g.Output(ops::Softmax(g, scores), "probabilities");
  if (!g.status().ok()) return std::puts(std::string(g.status().message()).c_str()), 1;

  auto session = Session::Create(graph, {.threads = 2});
  if (!session.ok()) return std::puts(std::string(session.status().message()).c_str()), 1;
  Tensor two_images = *Tensor::Random(DType::kF32, {2, 1, 8, 8}, {.seed = 3});
  auto result = (*session)->Run({{"image", two_images}}, {"probabilities"});
  if (!result.ok()) return std::puts(std::string(result.status().message()).c_str()), 1;
  std::puts((*result)[0].ToString().c_str());
  return WriteModel(graph, "classify.onnx").ok() ? 0 : 1;
}
