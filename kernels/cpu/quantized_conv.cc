// QuantizedConv by oneDNN: exact sums of 8-bit products, steps and the result's scale in the same
// loop, constant weights packed.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/cpu/conv_onednn.h"
#include "kernels/cpu/layout/layouts.h"
#include "kernels/cpu/quantized.h"

namespace sluice::cpu {
namespace {

using Desc = dnnl::memory::desc;
using In = QuantizedInput;

// Some result lies in the padding alone.
bool SeesPaddingAlone(const ConvProblem& p) {
  for (int i = 0; i < p.spatial(); ++i) {
    const Window& w = p.window;
    const int64_t extent = (w.kernel[i] - 1) * w.dilations[i] + 1;
    if (w.pads_begin[i] >= extent || w.pads_end[i] >= extent || w.dilations[i] > p.in[i])
      return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareQuantizedConv(const PrepareContext& context) {
  absl::StatusOr<ConvProblem> read = ConvProblem::Read(context, In::kX, In::kW, In::kBias);
  if (!read.ok()) return read.status();
  const ConvProblem& p = *read;
  if (p.empty() || p.channels == 0 || p.in_size() == 0) {
    return absl::UnimplementedError("an extent is 0");
  }
  if (p.spatial() > 3) return absl::UnimplementedError("more than 3 spatial axes");
  if (p.group > 1 && p.group_channels() == 1 && SeesPaddingAlone(p)) {
    return absl::UnimplementedError(
        "oneDNN's depthwise kernels add the zero point's part to results in the padding alone");
  }
  const Dims in = p.InDims(), out = p.OutDims(), weights = DnnlWeightDims(p);
  absl::StatusOr<QuantizedAttributes> attributes =
      QuantizedAttributes::Read(context, p.steps, p.operands, out, p.group > 1 ? 3 : 1);
  if (!attributes.ok()) return attributes.status();

  const DnnlGeometry g(p);
  const DType y_dtype = context.output_dtype(0);
  const auto given = [&](const Dims& dims, DType dtype, Layout layout) {
    return DnnlLaidOut(dims, dtype, !p.plain && SameMemory(dims) ? Layout::kChannelsLast : layout);
  };
  const auto asked = [&](const Dims& dims, DType dtype) {
    return p.plain ? DnnlAny(dims, dtype) : DnnlLaidOut(dims, dtype, Layout::kChannelsLast);
  };
  const Desc x_given = given(in, p.dtype, p.x_layout), y_given = given(out, y_dtype, p.y_layout);
  const Desc bias = p.bias >= 0 ? DnnlPlain({p.features}, DType::kF32) : Desc();
  return DnnlPrepare(context, [&]() -> absl::StatusOr<std::unique_ptr<Kernel>> {
    auto kernel = std::make_unique<DnnlNode>(context, DType::kF32);
    const dnnl::convolution_forward::primitive_desc pd(
        DnnlEngine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
        asked(in, p.dtype), DnnlAny(weights, DType::kI8), bias, asked(out, y_dtype), g.strides,
        g.dilations, g.begin, g.end, attributes->attr());
    if (DnnlIsReference(pd.impl_info_str())) {
      return absl::UnimplementedError(absl::StrCat("oneDNN has only ", pd.impl_info_str()));
    }
    // Seen with one channel a group and filters that are flat along an axis.
    if (p.group > 1 && p.spatial() == 3 && absl::StrContains(pd.impl_info_str(), "gemm_s8")) {
      return absl::UnimplementedError(
          absl::StrCat("oneDNN's ", pd.impl_info_str(), " is wrong for volumes in groups"));
    }
    kernel->Input(DNNL_ARG_SRC, In::kX, x_given, pd.src_desc());
    kernel->Input(DNNL_ARG_WEIGHTS, In::kW, DnnlPlain(weights, DType::kI8), pd.weights_desc());
    if (p.bias >= 0) attributes->BindBias(context, bias, kernel.get());
    attributes->Bind(context, pd, kernel.get());
    kernel->Output(y_given, pd.dst_desc());
    const bool reordered = pd.src_desc() != x_given || pd.dst_desc() != y_given;
    kernel->Finish(dnnl::convolution_forward(pd), pd.scratchpad_desc(),
                   absl::StrCat("onednn ", pd.impl_info_str(), p.plain ? "" : " nhwc",
                                reordered ? " between reorders" : ""));
    if (!kernel->status().ok()) return kernel->status();
    return kernel;
  });
}

}  // namespace sluice::cpu
