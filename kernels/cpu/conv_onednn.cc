// Conv and FusedConv by oneDNN. Channels-last activations are taken and given as they are. Plain
// ones are reordered inside, to the layout that it prefers and back, where its plain code is slow.
#include "kernels/cpu/conv_onednn.h"

#include "absl/strings/str_cat.h"
#include "kernels/cpu/layout/layouts.h"
#include "kernels/cpu/onednn/dnnl_node.h"
#include "kernels/cpu/onednn/dnnl_post_ops.h"

namespace sluice::cpu {
namespace {

using Desc = dnnl::memory::desc;

// What the primitive is asked to take as its input and give as its result; else they are reordered.
enum class Ask : uint8_t { kAny, kAsGiven, kChannelsLast };

// `inside`: the steps are post-ops, where oneDNN's are right; else they follow. Throws dnnl::error.
absl::StatusOr<std::unique_ptr<Kernel>> Make(const PrepareContext& context, const ConvProblem& p,
                                             DType compute, Ask ask_x, Ask ask_y,
                                             bool inside = true) {
  const Dims in = p.InDims(), out = p.OutDims(), weights = DnnlWeightDims(p);
  const DnnlGeometry g(p);
  // As they lie; where both orders are one, in the one that the other side has.
  const auto lies = [](const Dims& dims, Layout layout, Ask ask) {
    return SameMemory(dims) && ask != Ask::kAny ? Layout::kChannelsLast : layout;
  };
  const auto asked = [&](const Dims& dims, const Desc& given, Ask ask) {
    return ask == Ask::kAny       ? DnnlAny(dims, compute)
           : ask == Ask::kAsGiven ? given
                                  : DnnlLaidOut(dims, compute, Layout::kChannelsLast);
  };
  const Layout y_lies = lies(out, p.y_layout, ask_y);
  const Desc x_given = DnnlLaidOut(in, compute, lies(in, p.x_layout, ask_x));
  const Desc y_given = DnnlLaidOut(out, compute, y_lies);
  const Desc bias = p.bias >= 0 ? DnnlPlain({p.features}, compute) : Desc();
  const auto operand_given = [&](size_t i) {
    return DnnlLaidOut(p.operands[i], compute, lies(p.operands[i], p.operand_layouts[i], ask_y));
  };
  absl::StatusOr<DnnlSteps> steps = DnnlSteps::Split(
      p, p.dtype, compute, out, y_lies,
      [&](size_t i) {
        return p.operands[i] != out ? operand_given(i)
               : ask_y == Ask::kAny ? DnnlAny(out, compute)
                                    : asked(out, y_given, ask_y);
      },
      inside);
  if (!steps.ok()) return steps.status();
  auto kernel = std::make_unique<DnnlNode>(context, compute);
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(steps->post.ops);
  const dnnl::convolution_forward::primitive_desc pd(
      DnnlEngine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
      asked(in, x_given, ask_x), DnnlAny(weights, compute), bias, asked(out, y_given, ask_y),
      g.strides, g.dilations, g.begin, g.end, attr);
  if (DnnlIsReference(pd.impl_info_str())) {
    return absl::UnimplementedError(absl::StrCat("oneDNN has only ", pd.impl_info_str()));
  }
  if (steps->post.ops.len() > 0 && DnnlHasScalarSteps(pd.impl_info_str()))
    return Make(context, p, compute, ask_x, ask_y, /*inside=*/false);
  kernel->Input(DNNL_ARG_SRC, 0, x_given, pd.src_desc());
  kernel->Input(DNNL_ARG_WEIGHTS, 1, DnnlPlain(weights, compute), pd.weights_desc());
  if (p.bias >= 0) kernel->Input(DNNL_ARG_BIAS, p.bias, bias, pd.bias_desc());
  for (size_t i = 0; i < steps->post.operands.size(); ++i) {
    const DnnlPostOps::Operand& o = steps->post.operands[i];
    const Desc wanted = p.operands[i] == out ? pd.dst_desc() : o.desc;
    kernel->Input(o.id, o.input, operand_given(i), wanted);
  }
  kernel->Output(y_given, pd.dst_desc());
  if (!steps->tail.empty()) kernel->Tail(std::move(steps->tail), std::move(steps->tail_inputs));
  const bool reordered = pd.src_desc() != x_given || pd.dst_desc() != y_given;
  kernel->Finish(dnnl::convolution_forward(pd), pd.scratchpad_desc(),
                 absl::StrCat("onednn ", pd.impl_info_str(), compute == p.dtype ? "" : " in f32",
                              p.plain ? "" : " nhwc", reordered ? " between reorders" : ""));
  if (!kernel->status().ok()) return kernel->status();
  return kernel;
}

// Plain on both sides: what oneDNN likes best, reordered inside; else its code for plain tensors.
// Channels last: just so; a plain image of few channels is read as it is.
absl::StatusOr<std::unique_ptr<Kernel>> MakeBest(const PrepareContext& context,
                                                 const ConvProblem& p, DType compute) {
  using Asks = std::vector<std::pair<Ask, Ask>>;
  const bool as_one = SameMemory(p.InDims()) && SameMemory(p.OutDims());
  const bool image = p.x_layout == Layout::kPlain && !SameMemory(p.InDims());
  Asks asks = {{Ask::kAny, Ask::kAny}, {Ask::kAsGiven, Ask::kAsGiven}};
  if (!p.plain || as_one) {
    asks.insert(asks.begin(), {Ask::kChannelsLast, Ask::kChannelsLast});
    if (image) asks.insert(asks.begin(), {Ask::kAsGiven, Ask::kChannelsLast});
  }
  absl::StatusOr<std::unique_ptr<Kernel>> kernel;
  for (const auto& [ask_x, ask_y] : asks) {
    kernel = DnnlPrepare(context, [&] { return Make(context, p, compute, ask_x, ask_y); });
    if (kernel.ok() || !absl::IsUnimplemented(kernel.status())) break;
  }
  return kernel;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareDnnlConv(const PrepareContext& context) {
  absl::StatusOr<ConvProblem> p = ConvProblem::Read(context, 0, 1, 2);
  if (!p.ok()) return p.status();
  if (!IsFloat(p->dtype) || p->dtype == DType::kF64) {
    return absl::UnimplementedError(absl::StrCat("oneDNN convolves no ", ToString(p->dtype)));
  }
  if (p->empty() || p->channels == 0 || p->in_size() == 0) {
    return absl::UnimplementedError("an extent is 0");
  }
  if (p->spatial() > 3) return absl::UnimplementedError("more than 3 spatial axes");
  if (p->dtype != DType::kF32 && DnnlPairsUp(p->dtype, p->group_channels())) {
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = MakeBest(context, *p, p->dtype);
    if (kernel.ok() || !absl::IsUnimplemented(kernel.status())) return kernel;
  }
  return MakeBest(context, *p, DType::kF32);
}

}  // namespace sluice::cpu
