// How the declarations of element-wise ops look: one call a family.
#ifndef SLUICE_OPS_ELEMENTWISE_UTIL_H_
#define SLUICE_OPS_ELEMENTWISE_UTIL_H_

#include "ops/infer_util.h"
#include "ops/op.h"

namespace sluice {

// y = f(x), T -> T.
inline Op UnaryOp(absl::string_view name, absl::string_view doc, DTypeSet types = kFloatTypes,
                  absl::string_view input = "X", absl::string_view output = "Y") {
  return Op(name)
      .Doc(doc)
      .Input(input, "T")
      .Output(output, "T")
      .Types("T", types)
      .Infer(SameAsInput)
      .Elementwise();
}

// c = f(a, b), T, T -> T, broadcast.
inline Op BinaryOp(absl::string_view name, absl::string_view doc, DTypeSet types,
                   InferFn infer = BroadcastInfer) {
  return Op(name)
      .Doc(doc)
      .Input("A", "T")
      .Input("B", "T")
      .Output("C", "T")
      .Types("T", types)
      .Infer(infer)
      .Elementwise();
}

// An expansion of one output from the first input `x` and the node.
template <Value* (*kBuild)(GraphBuilder& b, Value* x, const Node& node)>
absl::StatusOr<std::vector<Value*>> ExpandTo(GraphBuilder& b, const Node& node) {
  Value* y = kBuild(b, node.input(0), node);
  if (!b.status().ok()) return b.status();
  return std::vector<Value*>{y};
}

// A gradient dx = f(dy, x, y) of a unary op.
template <Value* (*kBuild)(GraphBuilder& b, Value* dy, Value* x, Value* y, const Node& node)>
absl::Status UnaryGradient(GradientContext& g) {
  g.SetInputGrad(0, kBuild(g.builder(), g.output_grad(), g.input(0), g.output(), g.node()));
  return g.builder().status();
}

// Constant almost everywhere: nothing flows back, which counts as zeros.
inline absl::Status ZeroGradient(GradientContext&) { return absl::OkStatus(); }

#define SLUICE_UNARY_GRADIENT(expression)                                         \
  UnaryGradient<+[]([[maybe_unused]] GraphBuilder& b, [[maybe_unused]] Value* dy, \
                    [[maybe_unused]] Value* x, [[maybe_unused]] Value* y,         \
                    [[maybe_unused]] const Node& node) -> Value* { return expression; }>
#define SLUICE_EXPANSION(expression)                                                     \
  ExpandTo<+[](GraphBuilder& b, Value* x, [[maybe_unused]] const Node& node) -> Value* { \
    return expression;                                                                   \
  }>

}  // namespace sluice

#endif  // SLUICE_OPS_ELEMENTWISE_UTIL_H_
