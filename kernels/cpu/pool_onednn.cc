// MaxPool and AveragePool, fused or not, by oneDNN: channels last, where a vector is the channels
// of one place.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/cpu/onednn/dnnl_node.h"
#include "kernels/cpu/onednn/dnnl_post_ops.h"
#include "kernels/cpu/pool_problem.h"

namespace sluice::cpu {
namespace {

using Desc = dnnl::memory::desc;

// `inside`: the steps are post-ops; else they follow.
absl::StatusOr<std::unique_ptr<Kernel>> Make(const PrepareContext& context, const PoolProblem& p,
                                             DType compute, bool inside) {
  const Dims in = context.input_dims(0), out = context.output_dims(0);
  const Window& w = p.window;
  dnnl::memory::dims strides, kernel_dims, dilations, begin, end;
  for (int i = 0; i < w.rank(); ++i) {
    // Rounding up may need more room at the end than the pads give.
    const int64_t needed = (p.out[i] - 1) * w.strides[i] + w.extent(i) - p.in[i] - w.pads_begin[i];
    const int64_t pad = std::max(w.pads_end[i], needed);
    if (p.include_pad && needed > w.pads_end[i]) {
      return absl::UnimplementedError("a window reaches past the padding that it counts");
    }
    if (w.pads_begin[i] >= w.extent(i) || pad >= w.extent(i)) {
      return absl::UnimplementedError("a window lies outside the input");
    }
    strides.push_back(w.strides[i]);
    kernel_dims.push_back(w.kernel[i]);
    dilations.push_back(w.dilations[i] - 1);
    begin.push_back(w.pads_begin[i]);
    end.push_back(pad);
  }
  const auto algorithm = p.kind == PoolKind::kMax ? dnnl::algorithm::pooling_max
                         : p.include_pad          ? dnnl::algorithm::pooling_avg_include_padding
                                                  : dnnl::algorithm::pooling_avg_exclude_padding;
  const auto lies = [](const Dims& dims, Layout layout) {
    return SameMemory(dims) ? Layout::kChannelsLast : layout;
  };
  const Layout y_lies = lies(out, context.outputs[0].layout());
  return DnnlPrepare(context, [&]() -> absl::StatusOr<std::unique_ptr<Kernel>> {
    const Desc x = DnnlLaidOut(in, compute, lies(in, context.inputs[0].layout()));
    const Desc y = DnnlLaidOut(out, compute, y_lies);
    const auto operand = [&](size_t i) {
      return DnnlLaidOut(p.operands[i], compute, lies(p.operands[i], p.operand_layouts[i]));
    };
    absl::StatusOr<DnnlSteps> steps = DnnlSteps::Split(
        p, p.dtype, compute, out, y_lies,
        [&](size_t i) {
          return p.operands[i] == out ? DnnlLaidOut(out, compute, Layout::kChannelsLast)
                                      : operand(i);
        },
        inside);
    if (!steps.ok()) return steps.status();
    auto kernel = std::make_unique<DnnlNode>(context, compute);
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    attr.set_post_ops(steps->post.ops);
    const dnnl::pooling_forward::primitive_desc pd(
        DnnlEngine(), dnnl::prop_kind::forward_inference, algorithm,
        DnnlLaidOut(in, compute, Layout::kChannelsLast),
        DnnlLaidOut(out, compute, Layout::kChannelsLast), strides, kernel_dims, dilations, begin,
        end, attr);
    // Its plain code for odd windows takes the larger of two without a look for NaN.
    const bool simple = absl::StrContains(pd.impl_info_str(), "simple");
    if (DnnlIsReference(pd.impl_info_str()) || (simple && p.kind == PoolKind::kMax)) {
      return absl::UnimplementedError(absl::StrCat("oneDNN has only ", pd.impl_info_str()));
    }
    kernel->Input(DNNL_ARG_SRC, 0, x, pd.src_desc());
    for (size_t i = 0; i < steps->post.operands.size(); ++i) {
      const DnnlPostOps::Operand& o = steps->post.operands[i];
      kernel->Input(o.id, o.input, operand(i), p.operands[i] == out ? pd.dst_desc() : o.desc);
    }
    kernel->Output(y, pd.dst_desc());
    if (!steps->tail.empty()) kernel->Tail(std::move(steps->tail), std::move(steps->tail_inputs));
    kernel->Finish(dnnl::pooling_forward(pd), pd.scratchpad_desc(),
                   absl::StrCat("onednn ", pd.impl_info_str(), " nhwc"));
    if (!kernel->status().ok()) return kernel->status();
    return kernel;
  });
}

absl::StatusOr<std::unique_ptr<Kernel>> Prepare(const PrepareContext& context, PoolKind kind) {
  if (!HasLayouts(context)) return absl::UnimplementedError("channels last only");
  if (context.HasOutput(1)) return absl::UnimplementedError("it says where its maxima are");
  absl::StatusOr<PoolProblem> p = PoolProblem::Read(context, kind);
  if (!p.ok()) return p.status();
  if (p->dtype == DType::kF64) {
    return absl::UnimplementedError(absl::StrCat("oneDNN pools no ", ToString(p->dtype)));
  }
  if (p->window.rank() > 3) return absl::UnimplementedError("more than 3 spatial axes");
  if (Product(context.input_dims(0)) == 0 || Product(context.output_dims(0)) == 0) {
    return absl::UnimplementedError("an extent is 0");
  }
  std::vector<DType> computes = {p->dtype};
  if (IsFloat(p->dtype) && p->dtype != DType::kF32) computes.push_back(DType::kF32);
  absl::StatusOr<std::unique_ptr<Kernel>> kernel;
  for (DType compute : computes) {
    for (bool inside : {true, false}) {
      if (!inside && p->steps.empty()) continue;
      kernel = Make(context, *p, compute, inside);
      if (kernel.ok() || !absl::IsUnimplemented(kernel.status())) return kernel;
    }
  }
  return kernel;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareDnnlMaxPool(const PrepareContext& context) {
  return Prepare(context, PoolKind::kMax);
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareDnnlAveragePool(const PrepareContext& context) {
  return Prepare(context, PoolKind::kAverage);
}

}  // namespace sluice::cpu
