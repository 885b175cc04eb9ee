#include <cstdio>

#include "sluice.h"

int main() {
  using namespace sluice;
  Graph graph(StandardOps(), "line");
  GraphBuilder g(&graph);
  Value* x = g.Input("x", *Type::Parse("f32[batch,3]"));
  Value* target = g.Input("target", *Type::Parse("f32[batch,1]"));
  Value* w = g.Variable("w", *Tensor::Random(DType::kF32, {3, 1}, {.seed = 1}));
  Value* y = ops::MatMul(g, x, w);
  Value* miss = ops::Sub(g, y, target);
  Value* loss = ops::ReduceMean(g, ops::Mul(g, miss, miss));
  auto gradient = AddGradients(&graph, {loss}, {w});  // the backward half: nodes like any others
  if (!gradient.ok()) return std::puts(std::string(gradient.status().message()).c_str()), 1;
  Value* step = ops::Assign(g, w, ops::Sub(g, w, ops::Mul(g, g.Scalar(0.2f), (*gradient)[0])));
  g.Output(y, "y");
  g.Output(loss, "loss");
  graph.signatures()["predict"] = {{"x"}, {"y"}, {}};
  graph.signatures()["train"] = {{"x", "target"}, {"loss"}, {step->producer()->name()}};
  if (!g.status().ok()) return std::puts(std::string(g.status().message()).c_str()), 1;

  auto session = Session::Create(graph);
  if (!session.ok()) return std::puts(std::string(session.status().message()).c_str()), 1;
  Tensor rows = *Tensor::Random(DType::kF32, {64, 3}, {.seed = 2});
  auto wanted = (*session)->Run("predict", {{"x", rows}});  // of weights of its own
  if (!wanted.ok()) return std::puts(std::string(wanted.status().message()).c_str()), 1;
  if (!(*session)->AssignVariable("w", *Tensor::Random(DType::kF32, {3, 1}, {.seed = 3})).ok())
    return 1;
  for (int i = 0; i < 100; ++i) {
    auto losses = (*session)->Run("train", {{"x", rows}, {"target", (*wanted)[0]}});
    if (!losses.ok()) return std::puts(std::string(losses.status().message()).c_str()), 1;
    if (i % 33 == 0) std::printf("step %d: loss %g\n", i, *(*losses)[0].data<float>());
  }
  const StateSnapshot trained = (*session)->state()->Snapshot();
  return WriteModel(graph, "line.sluice", {.state = &trained}).ok() &&  // both programs in one file
                 WriteModel(graph, "line.onnx", {.state = &trained}).ok()  // what has no effects
             ? 0
             : 1;
}
