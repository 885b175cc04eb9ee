// Conv and FusedConv by oneDNN. Activations are plain in and out; where its plain code is slow they
// are reordered inside, to the layout that it prefers and back.
#include "kernels/cpu/conv_onednn.h"

#include "absl/strings/str_cat.h"
#include "kernels/cpu/dnnl_node.h"

namespace sluice::cpu {
namespace {

using Desc = dnnl::memory::desc;

absl::StatusOr<std::unique_ptr<Kernel>> Make(const PrepareContext& context, const ConvProblem& p,
                                             DType compute, bool plain) {
  const Dims in = p.InDims(), out = p.OutDims(), weights = DnnlWeightDims(p);
  const DnnlGeometry g(p);
  const Desc x_plain = DnnlPlain(in, compute), y_plain = DnnlPlain(out, compute);
  const Desc bias = p.bias >= 0 ? DnnlPlain({p.features}, compute) : Desc();
  // Steps that oneDNN lacks, and all behind them, are applied to the result.
  DnnlPostOps post;
  Epilogue tail(compute, out);
  std::vector<int> tail_inputs;
  size_t binary = 0;
  for (PostOp step : p.steps) {
    const Dims* dims = step.operand >= 0 ? &p.operands[binary++] : nullptr;
    if (tail.empty()) {
      const Desc operand = dims == nullptr ? Desc()
                           : *dims == out  ? DnnlAny(*dims, compute)
                                           : DnnlPlain(*dims, compute);
      if (AppendDnnlStep(step, operand, &post).ok()) continue;
    }
    if (compute != DType::kF32 || (dims != nullptr && p.dtype != compute)) {
      return absl::UnimplementedError(absl::StrCat("oneDNN has no post-op ", step.def->name));
    }
    if (dims != nullptr) {
      tail_inputs.push_back(step.operand);
      step.operand = static_cast<int>(tail_inputs.size()) - 1;
    }
    if (absl::Status s = tail.Append(step, dims == nullptr ? Dims() : *dims); !s.ok()) return s;
  }
  auto kernel = std::make_unique<DnnlNode>(context, compute);
  absl::Status refused;
  absl::Status made = DnnlTry(context.threads, [&] {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    attr.set_post_ops(post.ops);
    const dnnl::convolution_forward::primitive_desc pd(
        DnnlEngine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
        plain ? x_plain : DnnlAny(in, compute), DnnlAny(weights, compute), bias,
        plain ? y_plain : DnnlAny(out, compute), g.strides, g.dilations, g.begin, g.end, attr);
    if (DnnlIsReference(pd.impl_info_str())) {
      refused = absl::UnimplementedError(absl::StrCat("oneDNN has only ", pd.impl_info_str()));
      return;
    }
    kernel->Input(DNNL_ARG_SRC, 0, x_plain, pd.src_desc());
    kernel->Input(DNNL_ARG_WEIGHTS, 1, DnnlPlain(weights, compute), pd.weights_desc());
    if (p.bias >= 0) kernel->Input(DNNL_ARG_BIAS, p.bias, bias, pd.bias_desc());
    for (size_t i = 0; i < post.operands.size(); ++i) {
      const DnnlPostOps::Operand& o = post.operands[i];
      const Desc wanted = p.operands[i] == out ? pd.dst_desc() : o.desc;
      kernel->Input(o.id, o.input, DnnlPlain(p.operands[i], compute), wanted);
    }
    kernel->Output(y_plain, pd.dst_desc());
    if (!tail.empty()) kernel->Tail(std::move(tail), std::move(tail_inputs));
    const bool reordered = pd.src_desc() != x_plain || pd.dst_desc() != y_plain;
    kernel->Finish(dnnl::convolution_forward(pd), pd.scratchpad_desc(),
                   absl::StrCat("onednn ", pd.impl_info_str(), compute == p.dtype ? "" : " in f32",
                                reordered ? " between reorders" : ""));
  });
  if (!made.ok()) return made;
  if (!refused.ok()) return refused;
  if (!kernel->status().ok()) return kernel->status();
  return kernel;
}

absl::StatusOr<std::unique_ptr<Kernel>> MakeBest(const PrepareContext& context,
                                                 const ConvProblem& p, DType compute) {
  absl::StatusOr<std::unique_ptr<Kernel>> kernel = Make(context, p, compute, /*plain=*/false);
  if (kernel.ok() || !absl::IsUnimplemented(kernel.status())) return kernel;
  return Make(context, p, compute, /*plain=*/true);
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
  if (p->dtype != DType::kF32) {
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = MakeBest(context, *p, p->dtype);
    if (kernel.ok() || !absl::IsUnimplemented(kernel.status())) return kernel;
  }
  return MakeBest(context, *p, DType::kF32);
}

}  // namespace sluice::cpu
