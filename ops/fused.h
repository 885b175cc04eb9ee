// The fused library ops of domain "sluice": FusedConv, FusedConvTranspose, FusedMatMul,
// FusedMaxPool and FusedAveragePool.
//
//   y = Conv(X, W, B)      or   alpha * op(A) op(B) + C      or   MaxPool(X)
//   for each step of `activations`: y = step(y)
//
// A step is a unary function with a fixed number of parameters, or a binary one that takes the next
// of the trailing `operands`: so a residual is the step "Add", a scale "Mul", and any chain of
// cheap ops, in any order, is expressible without a new attribute. Example, a ResNet block's end:
//
//   %y = FusedConv(%x, %w, %b, %shortcut) {activations = ["Add", "Relu"]}
//
// `activation_params` holds the parameters of all steps one after the other, each step's in full:
// PostOpDef below says how many. An operand broadcasts to the result's shape (numpy's rule) and
// never enlarges it. The expansion, in ordinary ops of the same names, is the meaning. Which steps
// a kernel takes is the kernel's to say (it refuses with the reason, and the expansion runs).
#ifndef SLUICE_OPS_FUSED_H_
#define SLUICE_OPS_FUSED_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "graph/builder.h"
#include "graph/graph.h"
#include "graph/infer.h"
#include "ops/op.h"

namespace sluice {

struct PostOpDef {
  const char* name;  // also the name of the ordinary op
  int params;        // entries of activation_params
  bool binary;       // y = name(y, operand)
  // The names of the ordinary op's attributes that the parameters stand for, in order; null where
  // they become inputs (Clip's bounds) or a choice (Gelu's).
  const char* attrs[2];
};
// All known steps: unary Relu, Sigmoid, Tanh, HardSwish, Softplus, Softsign, Mish, Abs, Neg, Sqrt,
// Exp, Log, Erf, Ceil, Floor, Round, Reciprocal (no parameters), LeakyRelu(alpha), Elu(alpha),
// Celu(alpha), ThresholdedRelu(alpha), HardSigmoid(alpha, beta), Swish(alpha), Selu(alpha, gamma),
// Clip(min, max; infinite where open), Gelu(0: erf, 1: tanh); binary Add, Sub, Mul, Div, Max, Min.
absl::Span<const PostOpDef> PostOpDefs();
const PostOpDef* FindPostOp(absl::string_view name);

// One step of a fused node, its parameters resolved.
struct PostOp {
  const PostOpDef* def;
  float params[2] = {0, 0};
  int operand = -1;  // the node's input that a binary step reads
};

// The steps of `node`, whose operands begin at input `first_operand`. InvalidArgument for unknown
// names and counts that do not fit.
absl::StatusOr<std::vector<PostOp>> ReadPostOps(const Node& node, size_t first_operand);

// Appends the steps to `y` in ordinary ops. `operand` gives the value of a binary step's operand by
// the node's input; in the second form that input itself.
Value* ExpandPostOps(GraphBuilder& b, absl::Span<const PostOp> steps, Value* y,
                     absl::FunctionRef<Value*(int input)> operand);
Value* ExpandPostOps(GraphBuilder& b, const Node& node, absl::Span<const PostOp> steps, Value* y);

// The inputs of FusedConv and FusedConvTranspose: X, W, B (optional), operands...; of FusedMatMul:
// A, B, C (optional; it broadcasts to the product), operands...
inline constexpr size_t kFusedOperands = 3;
// Those of the fused pools: X, operands...
inline constexpr size_t kPoolOperands = 1;

// What all fused ops declare behind the inputs of their own: operands, the result, the steps.
Op WithPostOps(Op op);
// Inference of a fused node whose own op gives `result`: the steps must be known and their operands
// broadcast to it.
absl::Status InferFused(InferContext& c, absl::StatusOr<Type> result, size_t operands);
// The expansion of a fused node: `op` with the inputs before the operands and the other attributes,
// then the steps.
absl::StatusOr<std::vector<Value*>> ExpandFused(GraphBuilder& b, const Node& node,
                                                absl::string_view op, size_t operands);

}  // namespace sluice

#endif  // SLUICE_OPS_FUSED_H_
