#include "ops/flops.h"
#include "ops/fused.h"
#include "ops/op.h"
#include "ops/window.h"

namespace sluice {
namespace {

absl::StatusOr<Type> PoolOutput(const InferContext& c) {
  const Type& x = c.InputType(0);
  absl::StatusOr<Window> window = Window::Read(c.node(), c.Ints("kernel_shape"));
  if (!window.ok()) return window.status();
  if (window->rank() == 0) return c.Error("kernel_shape is empty");
  Shape out(window->rank() + 2, Dim::Unknown());
  if (x.is_tensor() && x.has_shape()) {
    if (x.rank() != window->rank() + 2) {
      return c.Error("kernel_shape has ", window->rank(), " entries, so the input must have rank ",
                     window->rank() + 2, ", but it is ", x.ToString());
    }
    out[0] = x.dim(0);
    out[1] = x.dim(1);
    for (int i = 0; i < window->rank(); ++i) {
      absl::StatusOr<Dim> d = window->Positions(i, x.dim(2 + i));
      if (!d.ok()) return c.Error(d.status().message());
      out[2 + i] = *d;
    }
  }
  return Type::Tensor(x.dtype(), std::move(out));
}

absl::Status InferPool(InferContext& c) {
  absl::StatusOr<Type> type = PoolOutput(c);
  if (!type.ok()) return type.status();
  c.SetOutput(1, Type::Tensor(DType::kI64, type->shape()));
  c.SetOutput(0, *std::move(type));
  return absl::OkStatus();
}

absl::Status InferFusedPool(InferContext& c) { return InferFused(c, PoolOutput(c), kPoolOperands); }

absl::StatusOr<std::vector<Value*>> ExpandFusedMaxPool(GraphBuilder& b, const Node& node) {
  return ExpandFused(b, node, "MaxPool", kPoolOperands);
}
absl::StatusOr<std::vector<Value*>> ExpandFusedAveragePool(GraphBuilder& b, const Node& node) {
  return ExpandFused(b, node, "AveragePool", kPoolOperands);
}

absl::Status InferLpPool(InferContext& c) {
  if (c.Int("p") < 1) return c.Error("p is ", c.Int("p"), "; expected 1 or more");
  return InferPool(c);
}

absl::Status InferGlobal(InferContext& c) {
  const Type& x = c.InputType(0);
  if (c.HasAttr("p") && c.Int("p") < 1) return c.Error("p is ", c.Int("p"), "; expected 1 or more");
  if (!x.is_tensor() || !x.has_shape()) {
    c.SetOutput(0, Type::Tensor(x.dtype()));
    return absl::OkStatus();
  }
  if (x.rank() < 2) return c.Error("the input is ", x.ToString(), "; expected [N,C,D1,...]");
  Shape out(x.rank(), Dim(1));
  out[0] = x.dim(0);
  out[1] = x.dim(1);
  c.SetOutput(0, Type::Tensor(x.dtype(), std::move(out)));
  return absl::OkStatus();
}

Op PoolAttrs(Op op) {
  return op.Attr("auto_pad", "NOTSET", "NOTSET, VALID, SAME_UPPER or SAME_LOWER")
      .Attr("ceil_mode", 0, "round the number of windows up")
      .OptionalAttr("dilations", AttrKind::kInts, "ones")
      .RequiredAttr("kernel_shape", AttrKind::kInts)
      .OptionalAttr("pads", AttrKind::kInts, "zeros")
      .OptionalAttr("strides", AttrKind::kInts, "ones");
}

Op FusedPool(Op op) {
  return WithPostOps(PoolAttrs(std::move(op)).Input("X", "T")).Infer(InferFusedPool);
}

double PoolFlops(const Node& node) {
  double n = Elements(node.output()->type());
  if (n < 0) return -1;
  for (int64_t k : node.Ints("kernel_shape")) n *= static_cast<double>(k);
  return n;
}

}  // namespace

SLUICE_DECLARE_OP(MaxPool) {
  return PoolAttrs(Op("MaxPool"))
      .Doc("The largest element under each window of [N,C,D1,...], and where it stands.")
      .Input("X", "T")
      .Output("Y", "T")
      .OptionalOutput("Indices", "i64")
      .Types("T", kFloatTypes | DTypeSet{DType::kI8, DType::kU8})
      .Attr("storage_order", 0, "1: Indices count column-major in the spatial axes")
      .Infer(InferPool)
      .GradientPending()
      .RowWise(+[](const Node& node) { return node.num_outputs() == 1; })
      .Flops(PoolFlops);
}

SLUICE_DECLARE_OP(AveragePool) {
  return PoolAttrs(Op("AveragePool"))
      .Doc("The mean of the elements under each window of [N,C,D1,...].")
      .Input("X", "T")
      .Output("Y", "T")
      .Types("T", kFloatTypes)
      .Attr("count_include_pad", 0, "divide by the padded elements too")
      .Infer(InferPool)
      .GradientPending()
      .RowWise()
      .Flops(PoolFlops);
}

SLUICE_DECLARE_OP(FusedMaxPool) {
  return FusedPool(Op("FusedMaxPool", "sluice"))
      .Doc("MaxPool, then a chain of cheap steps: see ops/fused.h.")
      .Expansion(ExpandFusedMaxPool)
      .RowWise()
      .Flops(PoolFlops);
}

SLUICE_DECLARE_OP(FusedAveragePool) {
  return FusedPool(Op("FusedAveragePool", "sluice"))
      .Doc("AveragePool, then a chain of cheap steps: see ops/fused.h.")
      .Attr("count_include_pad", 0, "divide by the padded elements too")
      .Expansion(ExpandFusedAveragePool)
      .RowWise()
      .Flops(PoolFlops);
}

SLUICE_DECLARE_OP(LpPool) {
  return PoolAttrs(Op("LpPool"))
      .Doc("The p-norm of the elements under each window of [N,C,D1,...].")
      .Input("X", "T")
      .Output("Y", "T")
      .Types("T", kFloatTypes)
      .Attr("p", 2)
      .Infer(InferLpPool)
      .GradientPending()
      .RowWise()
      .Flops(PoolFlops);
}

SLUICE_DECLARE_OP(GlobalAveragePool) {
  return Op("GlobalAveragePool")
      .Doc("The mean over all spatial axes of [N,C,D1,...].")
      .Input("X", "T")
      .Output("Y", "T")
      .Types("T", kFloatTypes)
      .Infer(InferGlobal)
      .GradientPending()
      .RowWise();
}

SLUICE_DECLARE_OP(GlobalMaxPool) {
  return Op("GlobalMaxPool")
      .Doc("The largest element over all spatial axes of [N,C,D1,...].")
      .Input("X", "T")
      .Output("Y", "T")
      .Types("T", kFloatTypes)
      .Infer(InferGlobal)
      .GradientPending()
      .RowWise();
}

SLUICE_DECLARE_OP(GlobalLpPool) {
  return Op("GlobalLpPool")
      .Doc("The p-norm over all spatial axes of [N,C,D1,...].")
      .Input("X", "T")
      .Output("Y", "T")
      .Types("T", kFloatTypes)
      .Attr("p", 2)
      .Infer(InferGlobal)
      .GradientPending()
      .RowWise();
}

}  // namespace sluice
