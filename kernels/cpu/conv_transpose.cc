// ConvTranspose and FusedConvTranspose: oneDNN's deconvolution between reorders, or our own product
// with the transposed weights whose columns are added into the result where their windows lie.
#include "ops/conv_transpose.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/layout/layouts.h"
#include "kernels/cpu/onednn/dnnl_node.h"
#include "kernels/cpu/onednn/dnnl_post_ops.h"
#include "kernels/cpu/staging.h"

namespace sluice::cpu {
namespace {

using Desc = dnnl::memory::desc;

constexpr int64_t kBlockBytes = 256 << 10;

struct Problem : PostOps {
  DType dtype = DType::kInvalid;
  int64_t batch = 0, channels = 0, features = 0, group = 1;
  Dims in, out;
  Window window;
  bool has_bias = false;

  int64_t taps() const { return Product(window.kernel); }
  int64_t in_size() const { return Product(in); }
  int64_t out_size() const { return Product(out); }
  int64_t group_channels() const { return channels / group; }
  int64_t group_features() const { return features / group; }
  bool empty() const { return batch == 0 || features == 0 || out_size() == 0; }
  Dims OutDims() const {
    Dims dims = {batch, features};
    dims.insert(dims.end(), out.begin(), out.end());
    return dims;
  }

  static absl::StatusOr<Problem> Read(const PrepareContext& context) {
    const Node& node = context.node;
    const Dims in = context.input_dims(0), w = context.input_dims(1), out = context.output_dims(0);
    Problem p;
    p.dtype = context.input_dtype(0);
    p.batch = in[0];
    p.channels = in[1];
    p.group = node.Int("group");
    if (in.size() != w.size() || in.size() < 3 || in.size() > 60 || p.group < 1 || in[1] != w[0] ||
        in[1] % p.group != 0) {
      return NodeError(node, absl::StatusCode::kInvalidArgument,
                       absl::StrCat("input ", DimsToString(in), " does not fit weights ",
                                    DimsToString(w), " in ", p.group, " groups"));
    }
    p.features = w[1] * p.group;
    p.in.assign(in.begin() + 2, in.end());
    p.out.assign(out.begin() + 2, out.end());
    const std::vector<int64_t> kernel(w.begin() + 2, w.end());
    absl::StatusOr<TransposedWindow> window = TransposedWindow::Read(node, kernel);
    if (!window.ok()) return window.status();
    window->Resolve(p.in, p.out);
    p.window = window->window;
    p.has_bias = context.HasInput(2);
    if (p.has_bias && context.input_dims(2) != Dims{p.features}) {
      return NodeError(node, absl::StatusCode::kInvalidArgument,
                       absl::StrCat("the bias is ", DimsToString(context.input_dims(2)),
                                    "; expected [", p.features, "]"));
    }
    if (node.Is("FusedConvTranspose")) {
      if (absl::Status s = p.PostOps::Read(context, kFusedOperands, out); !s.ok()) return s;
    }
    return p;
  }
};

// `inside`: the steps are post-ops; else they follow. Throws dnnl::error.
absl::StatusOr<std::unique_ptr<Kernel>> MakeDnnl(const PrepareContext& context, const Problem& p,
                                                 DType compute, bool inside) {
  Dims in = {p.batch, p.channels};
  const Dims out = p.OutDims();
  in.insert(in.end(), p.in.begin(), p.in.end());
  // Ours are [group, channels, features, taps]; oneDNN names features first.
  dnnl::memory::dims weights = {p.group_features(), p.group_channels()};
  dnnl::memory::dims strides = {p.taps(), p.group_features() * p.taps()};
  if (p.group > 1) {
    weights.insert(weights.begin(), p.group);
    strides.insert(strides.begin(), p.group_channels() * p.group_features() * p.taps());
  }
  int64_t stride = p.taps();
  dnnl::memory::dims steps, dilations, begin, end;
  for (int i = 0; i < p.window.rank(); ++i) {
    weights.push_back(p.window.kernel[i]);
    stride /= p.window.kernel[i];
    strides.push_back(stride);
    steps.push_back(p.window.strides[i]);
    dilations.push_back(p.window.dilations[i] - 1);
    begin.push_back(p.window.pads_begin[i]);
    // Output padding makes the end negative, by less than a stride: 0 means the same.
    const int64_t pad = p.window.pads_end[i];
    if (pad <= -p.window.strides[i]) {
      return absl::UnimplementedError("the output is padded by a stride or more");
    }
    end.push_back(std::max<int64_t>(pad, 0));
  }
  const dnnl::memory::data_type type = DnnlType(compute);
  const bool last = HasLayouts(context);
  const auto lies = [&](const Dims& dims, Layout layout) {
    return last && SameMemory(dims) ? Layout::kChannelsLast : layout;
  };
  const Layout y_lies = lies(out, context.outputs[0].layout());
  const Desc x = DnnlLaidOut(in, compute, lies(in, context.inputs[0].layout()));
  const Desc y = DnnlLaidOut(out, compute, y_lies);
  const Desc x_asked =
      last ? DnnlLaidOut(in, compute, Layout::kChannelsLast) : DnnlAny(in, compute);
  const Desc y_asked =
      last ? DnnlLaidOut(out, compute, Layout::kChannelsLast) : DnnlAny(out, compute);
  const Desc w(weights, type, strides), w_any(weights, type, dnnl::memory::format_tag::any);
  const Desc bias = p.has_bias ? DnnlPlain({p.features}, compute) : Desc();
  const auto operand = [&](size_t i) {
    return DnnlLaidOut(p.operands[i], compute, lies(p.operands[i], p.operand_layouts[i]));
  };
  absl::StatusOr<DnnlSteps> split = DnnlSteps::Split(
      p, p.dtype, compute, out, y_lies,
      [&](size_t i) { return p.operands[i] == out ? y_asked : operand(i); }, inside);
  if (!split.ok()) return split.status();
  auto kernel = std::make_unique<DnnlNode>(context, compute);
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(split->post.ops);
  const dnnl::deconvolution_forward::primitive_desc pd(
      DnnlEngine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::deconvolution_direct,
      x_asked, w_any, bias, y_asked, steps, dilations, begin, end, attr);
  if (DnnlIsReference(pd.impl_info_str())) {
    return absl::UnimplementedError(absl::StrCat("oneDNN has only ", pd.impl_info_str()));
  }
  if (split->post.ops.len() > 0 && DnnlHasScalarSteps(pd.impl_info_str()))
    return absl::UnimplementedError("oneDNN's post-ops are scalar code here");
  kernel->Input(DNNL_ARG_SRC, 0, x, pd.src_desc());
  kernel->Input(DNNL_ARG_WEIGHTS, 1, w, pd.weights_desc());
  if (p.has_bias) kernel->Input(DNNL_ARG_BIAS, 2, bias, pd.bias_desc());
  for (size_t i = 0; i < split->post.operands.size(); ++i) {
    const DnnlPostOps::Operand& o = split->post.operands[i];
    kernel->Input(o.id, o.input, operand(i), p.operands[i] == out ? pd.dst_desc() : o.desc);
  }
  kernel->Output(y, pd.dst_desc());
  if (!split->tail.empty()) kernel->Tail(std::move(split->tail), std::move(split->tail_inputs));
  kernel->Finish(dnnl::deconvolution_forward(pd), pd.scratchpad_desc(),
                 absl::StrCat("onednn ", pd.impl_info_str(), compute == p.dtype ? "" : " in f32",
                              last ? " nhwc" : "",
                              pd.src_desc() != x || pd.dst_desc() != y ? " between reorders" : ""));
  if (!kernel->status().ok()) return kernel->status();
  return kernel;
}

class OwnConvTranspose final : public Kernel {
 public:
  static absl::StatusOr<std::unique_ptr<Kernel>> Make(const PrepareContext& context,
                                                      Problem problem) {
    auto kernel = std::make_unique<OwnConvTranspose>(std::move(problem), context.threads);
    const Problem& p = kernel->p_;
    kernel->inputs_ = {0, 1, p.has_bias ? 2 : -1};
    int operand = 0;
    size_t binary = 0;
    for (PostOp step : p.steps) {
      Dims dims;
      if (step.operand >= 0) {
        dims = p.operands[binary++];
        kernel->inputs_.push_back(step.operand);
        step.operand = operand++;
      }
      if (absl::Status s = kernel->epilogue_.Append(step, dims); !s.ok()) return s;
    }
    if (kernel->compute_ != p.dtype) {
      for (int i : kernel->inputs_) {
        const int64_t n = i < 0 ? 0 : Product(context.input_dims(i));
        kernel->elements_.push_back(n);
        kernel->offsets_.push_back(kernel->layout_.Take(static_cast<size_t>(n) * kernel->element_));
      }
      kernel->out_offset_ =
          kernel->layout_.Take(static_cast<size_t>(Product(p.OutDims())) * kernel->element_);
    }
    return kernel;
  }

  OwnConvTranspose(Problem problem, int threads)
      : p_(std::move(problem)),
        compute_(ComputeType(p_.dtype)),
        element_(ByteSize(compute_)),
        gemm_(FindGemm(compute_)),
        epilogue_(compute_, p_.OutDims()),
        threads_(std::max(1, threads)) {
    const int64_t es = static_cast<int64_t>(element_);
    // A task owns some features of one image, so that nobody adds to the same element.
    const int64_t wanted = 4 * threads_, parts = std::max<int64_t>(1, p_.batch * p_.group);
    features_ = std::max<int64_t>(
        1, p_.group_features() / std::max<int64_t>(1, (wanted + parts - 1) / parts));
    features_ = std::min<int64_t>(features_, 32);
    block_ = std::clamp<int64_t>(kBlockBytes / std::max<int64_t>(1, features_ * p_.taps() * es), 16,
                                 std::max<int64_t>(16, p_.in_size()));
    buffer_bytes_ = static_cast<size_t>((block_ * features_ * p_.taps() * es + 63) / 64 * 64);
    buffers_ = layout_.Take(buffer_bytes_ * static_cast<size_t>(threads_));
  }

  absl::Status Launch(const LaunchContext& context) const override {
    if (p_.empty()) return absl::OkStatus();
    char* const scratch = static_cast<char*>(context.scratch);
    absl::InlinedVector<const void*, 8> in;  // X, W, B or null, operands
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const void* data = inputs_[i] < 0 ? nullptr : context.inputs[inputs_[i]];
      if (data != nullptr && compute_ != p_.dtype) {
        ConvertParallel(FindConversion(p_.dtype, compute_), data, ByteSize(p_.dtype),
                        scratch + offsets_[i], element_, elements_[i], context.pool);
        data = scratch + offsets_[i];
      }
      in.push_back(data);
    }
    char* const out =
        compute_ != p_.dtype ? scratch + out_offset_ : static_cast<char*>(context.outputs[0]);
    const int64_t parts = (p_.group_features() + features_ - 1) / features_;
    const int64_t total = p_.batch * p_.group * parts;
    auto work = [&](int task, int tasks) {
      char* buffer = scratch + buffers_ + static_cast<size_t>(task) * buffer_bytes_;
      for (int64_t i = task; i < total; i += tasks) {
        const int64_t first = i % parts * features_;
        const int64_t count = std::min(features_, p_.group_features() - first);
        if (compute_ == DType::kF64) {
          Part<double>(in, i / parts / p_.group, i / parts % p_.group, first, count, buffer, out);
        } else {
          Part<float>(in, i / parts / p_.group, i / parts % p_.group, first, count, buffer, out);
        }
      }
    };
    if (context.pool == nullptr) {
      work(0, 1);
    } else {
      context.pool->RunTasks(static_cast<int>(std::min<int64_t>(total, threads_)), work);
    }
    if (compute_ != p_.dtype) {
      ConvertParallel(FindConversion(compute_, p_.dtype), out, element_, context.outputs[0],
                      ByteSize(p_.dtype), p_.batch * p_.features * p_.out_size(), context.pool);
    }
    return absl::OkStatus();
  }

  std::string Description() const override {
    return absl::StrCat("gemm + scatter ", ToString(compute_));
  }
  size_t scratch_bytes() const override { return layout_.bytes(); }

 private:
  // Features [first, first + count) of one group of one image.
  template <typename T>
  void Part(absl::Span<const void* const> in, int64_t image, int64_t group, int64_t first,
            int64_t count, char* buffer, char* out) const {
    const int64_t feature = group * p_.group_features() + first, taps = p_.taps();
    T* y = reinterpret_cast<T*>(out) + (image * p_.features + feature) * p_.out_size();
    for (int64_t f = 0; f < count; ++f) {
      std::fill_n(y + f * p_.out_size(), p_.out_size(),
                  in[2] == nullptr ? T{0} : static_cast<const T*>(in[2])[feature + f]);
    }
    const int64_t channel = group * p_.group_channels();
    const T* x = static_cast<const T*>(in[0]) + (image * p_.channels + channel) * p_.in_size();
    T* columns = reinterpret_cast<T*>(buffer);
    for (int64_t at = 0; at < p_.in_size(); at += block_) {
      const int64_t positions = std::min(block_, p_.in_size() - at);
      GemmArgs g{count * taps, positions, p_.group_channels()};
      g.a = static_cast<const T*>(in[1]) + (channel * p_.group_features() + first) * taps;
      g.a_row = 1;
      g.a_col = p_.group_features() * taps;
      g.b = x + at;
      g.b_row = p_.in_size();
      g.c = columns;
      g.c_row = positions;
      gemm_(g);
      Scatter(columns, at, at + positions, count, y);
    }
    if (epilogue_.empty()) return;
    const int64_t width = p_.out.back(), lines = p_.out_size() / width;
    for (int64_t f = 0; f < count; ++f) {
      epilogue_.RunTile((image * p_.features + feature + f) * lines, lines, 0, width,
                        y + f * p_.out_size(), width, in.subspan(3));
    }
  }

  // Adds column element (feature, tap, position) to where window `position` has its tap.
  template <typename T>
  void Scatter(const T* columns, int64_t first, int64_t last, int64_t features, T* y) const {
    const Window& w = p_.window;
    const int inner = w.rank() - 1;
    const int64_t width = p_.in[inner], out_width = p_.out[inner], stride = w.strides[inner];
    const int64_t taps = p_.taps(), positions = last - first;
    for (int64_t begin = first; begin < last;) {
      const int64_t at = begin % width, count = std::min(width - at, last - begin);
      int64_t origin[64];
      for (int64_t rest = begin / width, i = inner - 1; i >= 0; --i) {
        origin[i] = rest % p_.in[i] * w.strides[i] - w.pads_begin[i];
        rest /= p_.in[i];
      }
      for (int64_t tap = 0; tap < taps; ++tap) {
        int64_t rest = tap / w.kernel[inner], line = 0, scale = out_width;
        bool inside = true;
        for (int i = inner - 1; i >= 0; --i) {
          const int64_t o = origin[i] + rest % w.kernel[i] * w.dilations[i];
          rest /= w.kernel[i];
          inside = inside && o >= 0 && o < p_.out[i];
          line += o * scale;
          scale *= p_.out[i];
        }
        if (!inside) continue;
        const int64_t shift =
            tap % w.kernel[inner] * w.dilations[inner] - w.pads_begin[inner] + at * stride;
        const int64_t lo = std::min(count, shift >= 0 ? 0 : (-shift + stride - 1) / stride);
        const int64_t hi =
            shift >= out_width ? lo : std::clamp((out_width - 1 - shift) / stride + 1, lo, count);
        for (int64_t f = 0; f < features; ++f) {
          const T* from = columns + (f * taps + tap) * positions + (begin - first);
          T* to = y + f * p_.out_size() + line + shift;
          for (int64_t j = lo; j < hi; ++j) to[j * stride] += from[j];
        }
      }
      begin += count;
    }
  }

  const Problem p_;
  const DType compute_;
  const size_t element_;
  const GemmFn gemm_;
  Epilogue epilogue_;
  const int threads_;
  std::vector<int> inputs_;  // X, W, B (-1: none), then the epilogue's operands
  std::vector<int64_t> elements_;
  std::vector<size_t> offsets_;
  ScratchLayout layout_;
  size_t out_offset_ = 0, buffers_ = 0, buffer_bytes_ = 0;
  int64_t features_ = 1, block_ = 1;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareDnnlConvTranspose(const PrepareContext& context) {
  absl::StatusOr<Problem> p = Problem::Read(context);
  if (!p.ok()) return p.status();
  if (!IsFloat(p->dtype) || p->dtype == DType::kF64) {
    return absl::UnimplementedError(absl::StrCat("oneDNN convolves no ", ToString(p->dtype)));
  }
  if (p->empty() || p->channels == 0 || p->in_size() == 0) {
    return absl::UnimplementedError("an extent is 0");
  }
  if (p->window.rank() > 3) return absl::UnimplementedError("more than 3 spatial axes");
  const auto make = [&](DType compute) {
    absl::StatusOr<std::unique_ptr<Kernel>> kernel =
        DnnlPrepare(context, [&] { return MakeDnnl(context, *p, compute, /*inside=*/true); });
    if (kernel.ok() || p->steps.empty() || !absl::IsUnimplemented(kernel.status())) return kernel;
    return DnnlPrepare(context, [&] { return MakeDnnl(context, *p, compute, /*inside=*/false); });
  };
  if (p->dtype != DType::kF32 && DnnlPairsUp(p->dtype, p->group_channels())) {
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = make(p->dtype);
    if (kernel.ok() || !absl::IsUnimplemented(kernel.status())) return kernel;
  }
  return make(DType::kF32);
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareOwnConvTranspose(const PrepareContext& context) {
  absl::StatusOr<Problem> p = Problem::Read(context);
  if (!p.ok()) return p.status();
  if (HasLayouts(context)) return absl::UnimplementedError("plain activations only");
  return OwnConvTranspose::Make(context, *std::move(p));
}

}  // namespace sluice::cpu
