#include <algorithm>

#include "ops/flops.h"
#include "ops/fused.h"
#include "ops/matmul_gradient.h"
#include "ops/matmul_shape.h"
#include "ops/op.h"

namespace sluice {

inline constexpr DTypeSet kMatMulTypes =
    kFloatTypes | kIndexTypes | DTypeSet{DType::kU32, DType::kU64};

absl::StatusOr<Type> MatMulType(InferContext& c, const Type& a, const Type& b, DType dtype,
                                bool transpose_a, bool transpose_b) {
  if (!a.is_tensor() || !b.is_tensor() || !a.has_shape() || !b.has_shape()) {
    return Type::Tensor(dtype);
  }
  if (a.rank() == 0 || b.rank() == 0) {
    return c.Error("inputs are ", a.ToString(), " and ", b.ToString(), "; expected no scalar");
  }
  Shape x = a.shape(), y = b.shape();
  const bool row = x.size() == 1, column = y.size() == 1;
  if (row) x.insert(x.begin(), Dim(1));
  if (column) y.push_back(Dim(1));
  if (transpose_a && !row) std::swap(x[x.size() - 1], x[x.size() - 2]);
  if (transpose_b && !column) std::swap(y[y.size() - 1], y[y.size() - 2]);
  const Dim m = x[x.size() - 2], n = y.back();
  if (ProvablyDifferent(x.back(), y[y.size() - 2])) {
    return c.Error("cannot multiply ", a.ToString(), " by ", b.ToString(), ": ",
                   x.back().ToString(), " columns meet ", y[y.size() - 2].ToString(), " rows");
  }
  x.resize(x.size() - 2);
  y.resize(y.size() - 2);
  absl::StatusOr<Shape> out = BroadcastShapes(x, y, [&] { return c.FreshDim(); });
  if (!out.ok()) return c.Error("batch axes: ", out.status().message());
  if (!row) out->push_back(m);
  if (!column) out->push_back(n);
  return Type::Tensor(dtype, *std::move(out));
}

namespace {

absl::Status InferMatMul(InferContext& c) {
  absl::StatusOr<Type> type = MatMulType(c, c.InputType(0), c.InputType(1), c.InputType(0).dtype());
  if (!type.ok()) return type.status();
  c.SetOutput(0, *std::move(type));
  return absl::OkStatus();
}

absl::Status InferInteger(InferContext& c) {
  absl::StatusOr<Type> type = MatMulType(c, c.InputType(0), c.InputType(1), DType::kI32);
  if (!type.ok()) return type.status();
  c.SetOutput(0, *std::move(type));
  return absl::OkStatus();
}

absl::Status InferQLinear(InferContext& c) {
  absl::StatusOr<Type> type = MatMulType(c, c.InputType(0), c.InputType(3), c.InputType(7).dtype());
  if (!type.ok()) return type.status();
  c.SetOutput(0, *std::move(type));
  return absl::OkStatus();
}

// `operand` broadcasts to `type` without enlarging it.
absl::Status CheckOperand(InferContext& c, size_t i, const Type& type) {
  const Type& operand = c.InputType(i);
  if (!operand.is_tensor() || !operand.has_shape() || !type.has_shape()) return absl::OkStatus();
  bool fits = operand.rank() <= type.rank();
  for (int d = 0; fits && d < operand.rank(); ++d) {
    const Dim &x = operand.dim(d), &y = type.dim(type.rank() - operand.rank() + d);
    fits = (x.is_number() && x.number() == 1) || !ProvablyDifferent(x, y);
  }
  if (fits) return absl::OkStatus();
  return c.Error("input ", i, " is ", operand.ToString(), ", which does not broadcast to ",
                 type.ToString());
}

absl::Status InferGemm(InferContext& c) {
  const Type &a = c.InputType(0), &b = c.InputType(1);
  for (const Type* t : {&a, &b}) {
    if (t->is_tensor() && t->has_shape() && t->rank() != 2) {
      return c.Error("inputs A and B must be matrices, but one is ", t->ToString());
    }
  }
  absl::StatusOr<Type> type =
      MatMulType(c, a, b, a.dtype(), c.Int("transA") != 0, c.Int("transB") != 0);
  if (!type.ok()) return type.status();
  if (!type->has_shape()) {
    Shape shape(2, Dim::Unknown());
    if (a.is_tensor() && a.has_shape()) shape[0] = a.dim(c.Int("transA") != 0 ? 1 : 0);
    if (b.is_tensor() && b.has_shape()) shape[1] = b.dim(c.Int("transB") != 0 ? 0 : 1);
    type = Type::Tensor(a.dtype(), shape);
  }
  if (absl::Status s = CheckOperand(c, 2, *type); !s.ok()) return s;
  c.SetOutput(0, *std::move(type));
  return absl::OkStatus();
}

absl::Status InferFusedMatMul(InferContext& c) {
  absl::StatusOr<Type> type = MatMulType(c, c.InputType(0), c.InputType(1), c.InputType(0).dtype(),
                                         c.Int("transpose_a") != 0, c.Int("transpose_b") != 0);
  if (!type.ok()) return type.status();
  if (absl::Status s = CheckOperand(c, 2, *type); !s.ok()) return s;
  return InferFused(c, *std::move(type), kFusedOperands);
}

Value* SwapLastTwo(GraphBuilder& b, Value* x, bool wanted) {
  if (!wanted || !x->type().has_shape() || x->type().rank() < 2) return x;
  std::vector<int64_t> perm(x->type().rank());
  for (size_t i = 0; i < perm.size(); ++i) perm[i] = static_cast<int64_t>(i);
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return b.Op("Transpose", {x}, {{"perm", perm}});
}

absl::StatusOr<std::vector<Value*>> ExpandFusedMatMul(GraphBuilder& b, const Node& node) {
  absl::StatusOr<std::vector<PostOp>> steps = ReadPostOps(node, kFusedOperands);
  if (!steps.ok()) return steps.status();
  Value* y = b.Op("MatMul", {SwapLastTwo(b, node.input(0), node.Int("transpose_a") != 0),
                             SwapLastTwo(b, node.input(1), node.Int("transpose_b") != 0)});
  if (node.Float("alpha") != 1) y = b.Op("Mul", {y, b.ScalarLike(y, node.Float("alpha"))});
  if (node.input(2) != nullptr) y = b.Op("Add", {y, node.input(2)});
  return std::vector<Value*>{ExpandPostOps(b, node, *steps, y)};
}

double GemmFlops(const Node& node) {
  const double out = Elements(node.output()->type());
  const double k = Extent(InputType(node, 0), node.Int("transA") != 0 ? 0 : 1);
  return out < 0 || k < 0 ? -1 : 2 * out * k;
}

}  // namespace

SLUICE_DECLARE_OP(MatMul) {
  return Op("MatMul")
      .Doc("Matrix product with numpy's rules for 1-D operands and batch axes.")
      .Input("A", "T")
      .Input("B", "T")
      .Output("Y", "T")
      .Types("T", kMatMulTypes)
      .Infer(InferMatMul)
      .Gradient(MatMulGradient)
      .RowWise()
      .Flops(ProductFlops);
}

SLUICE_DECLARE_OP(Gemm) {
  return Op("Gemm")
      .Doc("alpha * A' * B' + beta * C, where ' transposes if transA or transB says so.")
      .Input("A", "T")
      .Input("B", "T")
      .OptionalInput("C", "T")
      .Output("Y", "T")
      .Types("T", kMatMulTypes)
      .Attr("alpha", 1.0f)
      .Attr("beta", 1.0f)
      .Attr("transA", 0)
      .Attr("transB", 0)
      .Infer(InferGemm)
      .Gradient(GemmGradient)
      .RowWise()
      .Flops(GemmFlops);
}

SLUICE_DECLARE_OP(MatMulInteger) {
  return Op("MatMulInteger")
      .Doc(
          "Matrix product of 8-bit integers less their zero points (a scalar, one for each row of "
          "A, one for each column of B), in 32 bits.")
      .Input("A", "T1")
      .Input("B", "T2")
      .OptionalInput("a_zero_point", "T1")
      .OptionalInput("b_zero_point", "T2")
      .Output("Y", "i32")
      .Types("T1", {DType::kI8, DType::kU8})
      .Types("T2", {DType::kI8, DType::kU8})
      .Infer(InferInteger)
      .NotDifferentiable("its inputs are integers")
      .Flops(ProductFlops);
}

SLUICE_DECLARE_OP(QLinearMatMul) {
  return Op("QLinearMatMul")
      .Doc("Matrix product of quantized matrices, quantized again.")
      .Input("a", "T1")
      .Input("a_scale", "TS")
      .Input("a_zero_point", "T1")
      .Input("b", "T2")
      .Input("b_scale", "TS")
      .Input("b_zero_point", "T2")
      .Input("y_scale", "TS")
      .Input("y_zero_point", "T3")
      .Output("y", "T3")
      .Types("TS", {DType::kF32, DType::kF16, DType::kBF16})
      .Types("T1", {DType::kI8, DType::kU8})
      .Types("T2", {DType::kI8, DType::kU8})
      .Types("T3", {DType::kI8, DType::kU8})
      .Infer(InferQLinear)
      .NotDifferentiable("its inputs are integers")
      .Flops(ProductFlops);
}

SLUICE_DECLARE_OP(FusedMatMul) {
  return WithPostOps(Op("FusedMatMul", "sluice")
                         .Doc("alpha * A' * B' + C, then a chain of cheap steps: see ops/fused.h.")
                         .Input("A", "T")
                         .Input("B", "T")
                         .OptionalInput("C", "T")
                         .Attr("alpha", 1.0f)
                         .Attr("transpose_a", 0, "swap the last two axes of A")
                         .Attr("transpose_b", 0, "swap the last two axes of B"))
      .Infer(InferFusedMatMul)
      .Expansion(ExpandFusedMatMul)
      .RowWise()
      .Flops(ProductFlops);
}

}  // namespace sluice
