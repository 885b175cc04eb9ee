#include "ops/conv_transpose.h"

#include <algorithm>

#include "ops/flops.h"
#include "ops/fused.h"
#include "ops/op.h"

namespace sluice {

absl::StatusOr<TransposedWindow> TransposedWindow::Read(const Node& node,
                                                        absl::Span<const int64_t> kernel) {
  absl::StatusOr<Window> window = Window::Read(node, kernel);
  if (!window.ok()) return window.status();
  TransposedWindow t{*std::move(window), node.Ints("output_padding"), node.Ints("output_shape")};
  const size_t rank = kernel.size();
  auto bad = [&](absl::string_view attr, size_t count) {
    return NodeError(node, absl::StatusCode::kInvalidArgument,
                     absl::StrCat(attr, " has ", count, " entries; expected ", rank));
  };
  if (t.output_padding.empty()) t.output_padding.assign(rank, 0);
  if (t.output_padding.size() != rank) return bad("output_padding", t.output_padding.size());
  // Some exporters write batch and channels too.
  if (t.output_shape.size() == rank + 2) {
    t.output_shape.erase(t.output_shape.begin(), t.output_shape.begin() + 2);
  }
  if (!t.output_shape.empty() && t.output_shape.size() != rank) {
    return bad("output_shape", t.output_shape.size());
  }
  for (size_t i = 0; i < rank; ++i) {
    const int64_t limit = std::max(t.window.strides[i], t.window.dilations[i]);
    if (t.output_padding[i] < 0 || t.output_padding[i] >= limit) {
      return NodeError(
          node, absl::StatusCode::kInvalidArgument,
          absl::StrCat("output_padding[", i, "] is ", t.output_padding[i], "; expected 0 to ",
                       limit - 1, ", below the larger of stride and dilation"));
    }
  }
  for (int64_t d : t.output_shape) {
    if (d < 0 || d > (int64_t{1} << 40)) {
      return NodeError(node, absl::StatusCode::kInvalidArgument,
                       absl::StrCat("output_shape holds ", d, "; expected an extent"));
    }
  }
  return t;
}

absl::StatusOr<Dim> TransposedWindow::Output(int i, const Dim& in) const {
  if (!output_shape.empty()) return Dim(output_shape[i]);
  const Window& w = window;
  if (w.auto_pad == Window::AutoPad::kSameUpper || w.auto_pad == Window::AutoPad::kSameLower) {
    return in * Dim(w.strides[i]);
  }
  if (in.is_number() && in.number() == 0) return Dim(0);
  const Dim out = (in - 1) * Dim(w.strides[i]) + output_padding[i] + w.extent(i) - w.pads_begin[i] -
                  w.pads_end[i];
  if (out.is_number() && out.number() < 0) {
    return absl::InvalidArgumentError(absl::StrCat("the pads of spatial axis ", i, " take away ",
                                                   -out.number(),
                                                   " elements more than the result has"));
  }
  return out;
}

void TransposedWindow::Resolve(absl::Span<const int64_t> in, absl::Span<const int64_t> out) {
  Window& w = window;
  const bool same =
      w.auto_pad == Window::AutoPad::kSameUpper || w.auto_pad == Window::AutoPad::kSameLower;
  for (int i = 0; i < w.rank(); ++i) {
    const int64_t full = (in[i] - 1) * w.strides[i] + output_padding[i] + w.extent(i);
    if (same || !output_shape.empty()) {
      // Where the wanted output is larger than the full one, the rest lies past the end: it holds
      // the bias alone.
      const int64_t total = std::max<int64_t>(0, full - out[i]), half = total / 2;
      w.pads_begin[i] = w.auto_pad == Window::AutoPad::kSameUpper ? half : total - half;
    }
    w.pads_end[i] = full - output_padding[i] - out[i] - w.pads_begin[i];
  }
  w.auto_pad = Window::AutoPad::kNone;
}

namespace {

absl::StatusOr<Type> ConvTransposeOutput(const InferContext& c) {
  const Type &x = c.InputType(0), &w = c.InputType(1), &bias = c.InputType(2);
  absl::StatusOr<std::optional<std::vector<int64_t>>> kernel = ConvKernel(c.node(), w);
  if (!kernel.ok()) return kernel.status();
  const int64_t group = c.Int("group");
  if (group < 1) return c.Error("group is ", group, "; expected 1 or more");
  const bool x_known = x.is_tensor() && x.has_shape(), w_known = w.is_tensor() && w.has_shape();
  if (x_known && x.rank() < 3) {
    return c.Error("the input is ", x.ToString(), "; expected [N,C,D1,...] of rank 3 or more");
  }
  if (x_known && w_known) {
    if (x.rank() != w.rank()) {
      return c.Error("input ", x.ToString(), " and weights ", w.ToString(), " differ in rank");
    }
    if (ProvablyDifferent(x.dim(1), w.dim(0))) {
      return c.Error("input ", x.ToString(), " has ", x.dim(1).ToString(),
                     " channels, but weights ", w.ToString(), " take ", w.dim(0).ToString());
    }
  }
  if (w_known && w.dim(0).is_number() && w.dim(0).number() % group != 0) {
    return c.Error(w.dim(0).number(), " input channels do not divide into ", group, " groups");
  }
  const Dim channels = w_known ? w.dim(1) * group : Dim::Unknown();
  if (bias.is_tensor() && bias.has_shape() &&
      (bias.rank() != 1 || ProvablyDifferent(bias.dim(0), channels))) {
    return c.Error("the bias is ", bias.ToString(), "; expected one number for each of ",
                   channels.ToString(), " output channels");
  }
  const int rank = x_known ? x.rank() : w_known ? w.rank() : 0;
  if (rank == 0) {
    return Type::Tensor(x.dtype());
  }
  Shape out(rank, Dim::Unknown());
  if (x_known) out[0] = x.dim(0);
  out[1] = channels;
  if (kernel->has_value()) {
    absl::StatusOr<TransposedWindow> window = TransposedWindow::Read(c.node(), **kernel);
    if (!window.ok()) return window.status();
    if (window->window.rank() != rank - 2) {
      return c.Error("kernel_shape has ", window->window.rank(), " entries for ", rank - 2,
                     " spatial axes");
    }
    for (int i = 0; x_known && i < rank - 2; ++i) {
      absl::StatusOr<Dim> d = window->Output(i, x.dim(2 + i));
      if (!d.ok()) return c.Error(d.status().message());
      out[2 + i] = *d;
    }
  }
  return Type::Tensor(x.dtype(), std::move(out));
}

absl::Status InferConvTranspose(InferContext& c) {
  absl::StatusOr<Type> type = ConvTransposeOutput(c);
  if (!type.ok()) return type.status();
  c.SetOutput(0, *std::move(type));
  return absl::OkStatus();
}

absl::Status InferFusedConvTranspose(InferContext& c) {
  return InferFused(c, ConvTransposeOutput(c), kFusedOperands);
}

absl::StatusOr<std::vector<Value*>> ExpandFusedConvTranspose(GraphBuilder& b, const Node& node) {
  return ExpandFused(b, node, "ConvTranspose", kFusedOperands);
}

Op ConvTransposeAttrs(Op op) {
  return op.Attr("auto_pad", "NOTSET", "NOTSET, VALID, SAME_UPPER or SAME_LOWER")
      .OptionalAttr("dilations", AttrKind::kInts, "ones")
      .Attr("group", 1)
      .OptionalAttr("kernel_shape", AttrKind::kInts, "that of the weights")
      .OptionalAttr("output_padding", AttrKind::kInts, "more elements at each end; zeros")
      .OptionalAttr("output_shape", AttrKind::kInts, "spatial extents, from which pads follow")
      .OptionalAttr("pads", AttrKind::kInts, "zeros")
      .OptionalAttr("strides", AttrKind::kInts, "ones");
}

double ConvTransposeFlops(const Node& node) {
  const Type& w = InputType(node, 1);
  const double in = Elements(InputType(node, 0)), n = Elements(w), channels = Extent(w, 0);
  return in < 0 || n < 0 || channels <= 0 ? -1 : 2 * in * n / channels;
}

}  // namespace

SLUICE_DECLARE_OP(ConvTranspose) {
  return ConvTransposeAttrs(Op("ConvTranspose"))
      .Doc("The transpose of a convolution: spreads [N,C,D1,...] with weights [C,M/group,k1,...].")
      .Input("X", "T")
      .Input("W", "T")
      .OptionalInput("B", "T")
      .Output("Y", "T")
      .Types("T", kFloatTypes)
      .Infer(InferConvTranspose)
      .GradientPending()
      .RowWise()
      .Flops(ConvTransposeFlops);
}

SLUICE_DECLARE_OP(FusedConvTranspose) {
  return WithPostOps(ConvTransposeAttrs(Op("FusedConvTranspose", "sluice"))
                         .Doc("ConvTranspose, then a chain of cheap steps: see ops/fused.h.")
                         .Input("X", "T")
                         .Input("W", "T")
                         .OptionalInput("B", "T"))
      .Infer(InferFusedConvTranspose)
      .Expansion(ExpandFusedConvTranspose)
      .RowWise()
      .Flops(ConvTransposeFlops);
}

}  // namespace sluice
