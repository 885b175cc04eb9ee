#include "ops/matmul_gradient.h"

#include "ops/gradient_util.h"

namespace sluice {
namespace {

bool KnownRank(const Value* v) { return v->type().is_tensor() && v->type().has_shape(); }

// [..., m, k] as [m', k]: all leading axes in one.
Value* AsMatrix(GraphBuilder& b, Value* v) {
  const Dim& last = v->type().shape().back();
  if (v->type().rank() == 2) return v;
  if (last.is_number() && last.number() > 0) {
    return b.Op("Reshape", {v, b.Ints({-1, last.number()})});
  }
  return b.Op("Flatten", {v}, {{"axis", v->type().rank() - 1}});
}

}  // namespace

absl::Status MatMulGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  Value* x = c.input(0);
  Value* y = c.input(1);
  Value* g = c.output_grad();
  if (g == nullptr) return absl::OkStatus();
  if (!KnownRank(x) || !KnownRank(y) || x->type().rank() == 0 || y->type().rank() == 0) {
    return absl::UnimplementedError("the gradient needs operands of known rank");
  }
  // A vector is a matrix of one row on the left, of one column on the right.
  const bool row = x->type().rank() == 1, column = y->type().rank() == 1;
  Value* a = row ? b.Op("Unsqueeze", {x, b.Ints({0})}) : x;
  Value* w = column ? b.Op("Unsqueeze", {y, b.Ints({1})}) : y;
  if (column) g = b.Op("Unsqueeze", {g, b.Ints({-1})});
  if (row) g = b.Op("Unsqueeze", {g, b.Ints({-2})});
  if (!b.status().ok()) return b.status();
  if (!KnownRank(g)) return absl::UnimplementedError("the gradient needs a result of known rank");

  if (c.wants(0)) {
    Value* da = SumToShapeOf(b, b.Op("MatMul", {g, SwapLastTwo(b, w)}), a);
    c.SetInputGrad(0, row ? b.Op("Squeeze", {da, b.Ints({0})}) : da);
  }
  if (!c.wants(1)) return b.status();
  // One matrix against a whole batch: one product of tall matrices instead of a sum of products.
  Value* dw = w->type().rank() == 2
                  ? b.Op("MatMul", {SwapLastTwo(b, AsMatrix(b, a)), AsMatrix(b, g)})
                  : SumToShapeOf(b, b.Op("MatMul", {SwapLastTwo(b, a), g}), w);
  c.SetInputGrad(1, column ? b.Op("Squeeze", {dw, b.Ints({1})}) : dw);
  return b.status();
}

// With Y = alpha A' B' + beta C: dA' = alpha g B'^T, dB' = alpha A'^T g, each of which is one Gemm,
// whatever is transposed.
absl::Status GemmGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  const int64_t ta = c.node().Int("transA"), tb = c.node().Int("transB");
  Value* g = c.output_grad();
  if (g == nullptr) return absl::OkStatus();
  const auto product = [&](Value* x, Value* y, int64_t tx, int64_t ty) {
    return b.Op("Gemm", {x, y},
                {{"alpha", c.node().Float("alpha")}, {"transA", tx}, {"transB", ty}});
  };
  if (c.wants(0)) {
    c.SetInputGrad(0, ta != 0 ? product(c.input(1), g, tb, 1) : product(g, c.input(1), 0, 1 - tb));
  }
  if (c.wants(1)) {
    c.SetInputGrad(1, tb != 0 ? product(g, c.input(0), 1, ta) : product(c.input(0), g, 1 - ta, 0));
  }
  if (c.wants(2)) {
    const float beta = c.node().Float("beta");
    c.SetBroadcastInputGrad(2, beta == 1 ? g : b.Op("Mul", {g, b.ScalarLike(g, beta)}));
  }
  return b.status();
}

}  // namespace sluice
