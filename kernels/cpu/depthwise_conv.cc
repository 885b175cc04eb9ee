// Depthwise Conv and FusedConv with channels-last images, by the definition.
//
// These read and write far more than they compute: so each line of the input is read from memory
// once, and asked for while the lines before it are at work. oneDNN's waits for it.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/cpu/conv_cost.h"
#include "kernels/cpu/conv_epilogue.h"
#include "kernels/cpu/conv_problem.h"
#include "kernels/cpu/cost/cost.h"
#include "kernels/cpu/depthwise_pixels.h"
#include "kernels/cpu/layout/layouts.h"
#include "kernels/cpu/staging.h"
#include "kernels/packed_weights.h"

namespace sluice::cpu {
namespace {

constexpr double kMaxReach = 64 << 20;  // bytes

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

absl::Status Check(const PrepareContext& context, const ConvProblem& p) {
  const auto refuse = [](absl::string_view why) { return absl::UnimplementedError(why); };
  if (p.group == 1 || p.group_channels() != 1 || p.group_features() != 1)
    return refuse("not depthwise");
  if (p.spatial() > 2) return refuse("more than 2 spatial axes");
  if (p.channels < FindDepthwise().lanes) return refuse("fewer channels than a vector has lanes");
  for (const Type* t : {&context.inputs[0], &context.outputs[0]}) {
    if (!IsChannelsLast(*t)) return refuse("channels-last activations only");
  }
  // The lines under a window, padding and all, are held by their pixels: dilations may spread a few
  // taps over any extent.
  double reach = sizeof(void*);
  for (int i = 0; i < p.spatial(); ++i) {
    const double extent = static_cast<double>(p.window.extent(i));
    const double step = static_cast<double>(p.window.strides[i]);
    const double results = static_cast<double>(i + 1 < p.spatial() ? 1 : p.out[i]);
    reach *= (results - 1) * step + extent;
  }
  if (reach > kMaxReach) return refuse("the window reaches too far");
  return ConvEpilogue::Check(context, p);
}

class DepthwiseConv final : public Kernel {
 public:
  DepthwiseConv(const PrepareContext& context, ConvProblem problem)
      : p_(std::move(problem)), threads_(std::max(1, context.threads)) {
    const Window& w = p_.window;
    const int x = p_.spatial() - 1;
    if (x > 0) {
      kernel_y_ = w.kernel[0];
      stride_y_ = w.strides[0];
      dilation_y_ = w.dilations[0];
      pad_y_ = w.pads_begin[0];
      in_y_ = p_.in[0];
      out_y_ = p_.out[0];
    }
    columns_ = (p_.out[x] - 1) * w.strides[x] + w.extent(x);
    held_ = (kernel_y_ - 1) * dilation_y_ + 1;
    lanes_ = FindDepthwise().lanes;
    // Lines that lie in the second-level cache anyway need nobody to ask for them.
    ahead_ = 4 * p_.batch * p_.channels * p_.in_size() > Costs().l2_bytes;
  }

  absl::Status Finish(const PrepareContext& context) {
    if (absl::Status s = epilogue_.Make(p_, /*whole_pixels=*/true, /*plain=*/false); !s.ok())
      return s;
    zeros_.assign(static_cast<size_t>(p_.channels), 0.0f);
    outside_.assign(static_cast<size_t>(columns_), zeros_.data());
    const int64_t taps = p_.taps(), vectors = CeilDiv(p_.channels, lanes_);
    const int64_t floats = vectors * taps * lanes_;
    absl::StatusOr<int> filters = packed_.Add(
        context, 1,
        absl::StrCat("depthwise: ", p_.channels, " channels, ", taps, " taps, ", lanes_, " lanes"),
        floats * int64_t{sizeof(float)},
        [=, this](const Tensor& filters) -> absl::StatusOr<Tensor> {
          absl::StatusOr<Tensor> t = Tensor::Allocate(DType::kF32, {floats});
          if (!t.ok()) return t;
          const float* w = filters.data<float>();
          float* to = t->mutable_data<float>();
          for (int64_t v = 0; v < vectors; ++v) {
            const int64_t channel = std::min(v * lanes_, p_.channels - lanes_);
            for (int64_t tap = 0; tap < taps; ++tap) {
              for (int64_t lane = 0; lane < lanes_; ++lane)
                *to++ = w[(channel + lane) * taps + tap];
            }
          }
          return t;
        });
    if (!filters.ok()) return filters.status();
    filters_ = *filters;
    // Of one task: where the pixels of each held line lie, and the lines under the window.
    table_bytes_ = static_cast<size_t>(held_ * columns_ + kernel_y_) * sizeof(void*);
    table_bytes_ = (table_bytes_ + 63) / 64 * 64;
    tables_ = layout_.Take(table_bytes_ * static_cast<size_t>(Tasks()));
    return absl::OkStatus();
  }

  absl::Status Launch(const LaunchContext& context) const override {
    const ConvEpilogue::Operands operands = epilogue_.Bind(context);
    const float* const filters = packed_.data<float>(filters_, context);
    const auto work = [&](int task, int tasks) {
      const float** table = reinterpret_cast<const float**>(
          static_cast<char*>(context.scratch) + tables_ + table_bytes_ * static_cast<size_t>(task));
      const int64_t lines = p_.batch * out_y_;
      // Lines that follow one another share what they read.
      for (int64_t at = lines * task / tasks, end = lines * (task + 1) / tasks; at < end;) {
        const int64_t image = at / out_y_, last = std::min(end, (image + 1) * out_y_);
        Lines(context.input<float>(0), filters, context.output<float>(0), operands, image,
              at % out_y_, last - image * out_y_, table);
        at = last;
      }
    };
    if (context.pool == nullptr || Tasks() == 1) {
      work(0, 1);
    } else {
      context.pool->RunTasks(Tasks(), work);
    }
    return absl::OkStatus();
  }

  std::string Description() const override {
    return absl::StrCat("depthwise ", absl::StrJoin(p_.window.kernel, "x"),
                        ahead_ ? ", reading ahead" : "");
  }
  size_t scratch_bytes() const override { return layout_.bytes(); }
  size_t packed_bytes() const override { return packed_.bytes(); }
  std::vector<int> unread_inputs() const override { return {1}; }
  absl::Span<const InputForm> forms() const override { return packed_.forms(); }

 private:
  int Tasks() const { return static_cast<int>(std::min<int64_t>(threads_, p_.batch * out_y_)); }

  // Lines [begin, end) of one image of the result.
  void Lines(const float* x, const float* filters, float* y, const ConvEpilogue::Operands& operands,
             int64_t image, int64_t begin, int64_t end, const float** table) const {
    const int64_t c = p_.channels, in_width = p_.in.back(), width = p_.out.back();
    const float* const** lines = reinterpret_cast<const float* const**>(table + held_ * columns_);
    const float* const from = x + image * in_y_ * in_width * c;
    const Depthwise& depthwise = FindDepthwise();
    DepthwisePixels d;
    d.kernel_y = kernel_y_;
    d.kernel_x = p_.window.kernel.back();
    d.stride = p_.window.strides.back();
    d.dilation = p_.window.dilations.back();
    d.channels = c;
    d.lines = lines;
    d.w = filters;
    d.bias = operands.bias;
    d.low = epilogue_.low();
    d.high = epilogue_.high();
    // Pieces of one length; the last overlaps the one before it.
    const int64_t piece = CeilDiv(width, CeilDiv(width, Depthwise::kMaxPixels));
    int64_t known = 0;  // the first line of the input that is not in the table
    for (int64_t line = begin; line < end; ++line) {
      const int64_t first = line * stride_y_ - pad_y_;
      known = std::max(known, std::max<int64_t>(first, 0));
      for (; known < std::min(first + held_, in_y_); ++known)
        FillLine(from + known * in_width * c, table + known % held_ * columns_);
      for (int64_t ky = 0; ky < kernel_y_; ++ky) {
        const int64_t at = first + ky * dilation_y_;
        lines[ky] = at < 0 || at >= in_y_ ? outside_.data() : table + at % held_ * columns_;
      }
      // What the next line of the result reads first is asked for piece by piece.
      const int64_t ahead = std::max<int64_t>(0, first + held_);
      const int64_t ahead_lines = std::min(stride_y_, in_y_ - ahead);
      const int64_t ahead_elements = std::max<int64_t>(0, ahead_lines) * in_width * c;
      float* const out = y + (image * out_y_ + line) * width * c;
      for (int64_t at = 0; at < width; at += piece) {
        const int64_t pixel = std::min(at, width - piece);
        d.first = pixel * d.stride;
        d.y = out + pixel * c;
        d.next = nullptr;
        if (ahead_ && ahead_elements > 0) {
          d.next = from + ahead * in_width * c + ahead_elements / width * at;
          d.next_elements = ahead_elements / width * piece / c * lanes_;
        }
        depthwise.run[piece](d);
      }
      epilogue_.Line(image * out_y_ + line, 0, width, 0, c, out, operands);
    }
  }

  void FillLine(const float* line, const float** table) const {
    const int64_t pad = std::min(p_.window.pads_begin.back(), columns_);
    const int64_t inside = std::min(p_.in.back(), columns_ - pad);
    std::fill_n(table, pad, zeros_.data());
    for (int64_t i = 0; i < inside; ++i) table[pad + i] = line + i * p_.channels;
    std::fill_n(table + pad + inside, columns_ - pad - inside, zeros_.data());
  }

  const ConvProblem p_;
  const int threads_;
  int64_t kernel_y_ = 1, stride_y_ = 1, dilation_y_ = 1, pad_y_ = 0, in_y_ = 1, out_y_ = 1;
  int64_t columns_ = 0;  // of the input and its padding, from the first tap to the last
  int64_t held_ = 1;     // lines under the window
  int64_t lanes_ = 1;
  bool ahead_ = false;
  ConvEpilogue epilogue_;
  std::vector<float> zeros_;           // a pixel of the padding
  std::vector<const float*> outside_;  // a line of it
  PackedInputs packed_;
  int filters_ = -1;
  ScratchLayout layout_;
  size_t tables_ = 0, table_bytes_ = 0;
};

}  // namespace

absl::StatusOr<double> EstimateDepthwiseConv(const PrepareContext& context) {
  absl::StatusOr<ConvProblem> p = ConvProblem::Read(context, 0, 1, 2);
  if (!p.ok()) return p.status();
  if (absl::Status s = Check(context, *p); !s.ok()) return s;
  constexpr double kPiece = 10, kVector = 1;  // ns beside the multiplications, measured
  const int64_t lanes = FindDepthwise().lanes, lines = p->batch * p->out_size() / p->out.back();
  const int64_t pieces = lines * CeilDiv(p->out.back(), Depthwise::kMaxPixels);
  const int64_t vectors = p->batch * p->out_size() * CeilDiv(p->channels, lanes);
  const int threads = std::max(1, context.threads);
  const double flops = 2.0 * static_cast<double>(vectors * lanes * p->taps());
  // Windows that depthwise_pixels.cc has no code of their own for.
  const Window& w = p->window;
  const bool any = w.dilations.back() != 1 || w.strides.back() > 2 || w.kernel.back() % 2 == 0 ||
                   w.kernel.back() == 1 || w.kernel.back() > 7;
  // oneDNN's is that much faster than our step.
  constexpr double kGelu = 0.3;
  const double elements = static_cast<double>(vectors * lanes);
  double steps = 0;
  for (const PostOp& s : p->steps) steps += absl::string_view(s.def->name) == "Gelu" ? kGelu : 0;
  const double around = steps * elements + kPiece * static_cast<double>(pieces) +
                        kVector * static_cast<double>(vectors);
  return ForkNs(threads) +
         DepthwiseNs(*p, ComputeNs(flops, any ? 0.6 : 1, threads) + around / threads, threads);
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareDepthwiseConv(const PrepareContext& context) {
  absl::StatusOr<ConvProblem> p = ConvProblem::Read(context, 0, 1, 2);
  if (!p.ok()) return p.status();
  if (absl::Status s = Check(context, *p); !s.ok()) return s;
  auto kernel = std::make_unique<DepthwiseConv>(context, *std::move(p));
  if (absl::Status s = kernel->Finish(context); !s.ok()) return s;
  return kernel;
}

}  // namespace sluice::cpu
