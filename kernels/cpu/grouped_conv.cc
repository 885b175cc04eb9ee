// Conv and FusedConv in groups with channels-last images, by the definition.
//
// The channels that a vector of results reads are copied line by line into a small image of their
// own, with its padding: the sums then meet no border, and neighbours lie side by side.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/cpu/conv_cost.h"
#include "kernels/cpu/conv_epilogue.h"
#include "kernels/cpu/conv_problem.h"
#include "kernels/cpu/cost/cost.h"
#include "kernels/cpu/grouped_conv_pixels.h"
#include "kernels/cpu/layout/layouts.h"
#include "kernels/cpu/staging.h"
#include "kernels/packed_weights.h"

namespace sluice::cpu {
namespace {

constexpr int64_t kCopyBytes = 32 << 10;  // of the small image: it stays in the L1 cache
constexpr int64_t kLines = 4;           // of results at a time, at least: their borders are shared
constexpr double kMaxReach = 64 << 20;  // bytes

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

absl::Status Check(const PrepareContext& context, const ConvProblem& p) {
  const auto refuse = [](absl::string_view why) { return absl::UnimplementedError(why); };
  if (p.group == 1) return refuse("one group");
  if (p.group_channels() == 1 && p.group_features() == 1) return refuse("depthwise");
  if (p.spatial() > 2) return refuse("more than 2 spatial axes");
  for (const Type* t : {&context.inputs[0], &context.outputs[0]}) {
    if (!IsChannelsLast(*t)) return refuse("channels-last activations only");
  }
  // The lines under a window, padding and all, are copied: dilations may spread a few
  // taps over any extent.
  double reach = 4.0 * static_cast<double>(std::max(FindGroupedConv().lanes, p.group_channels()));
  for (int i = 0; i < p.spatial(); ++i) {
    const double extent = static_cast<double>(p.window.extent(i));
    const double step = static_cast<double>(p.window.strides[i]);
    const double results =
        static_cast<double>(i + 1 < p.spatial() ? std::min(kLines, p.out[i]) : p.out[i]);
    reach *= (results - 1) * step + extent;
  }
  if (reach > kMaxReach) return refuse("the window reaches too far");
  return ConvEpilogue::Check(context, p);
}

// How a convolution is cut. A bundle is what one copy of the input serves: the features of a
// vector, or those of a group where one fills a vector.
struct Cut {
  Cut(const ConvProblem& p, int threads)
      : lanes(FindGroupedConv().lanes),
        many(p.group_features() < lanes && lanes % p.group_features() == 0 &&
             p.group_channels() == p.group_features()),
        bundles(many ? CeilDiv(p.features, lanes) : p.group),
        vectors(many ? 1 : CeilDiv(p.group_features(), lanes)),
        features(many ? lanes : p.group_features()),
        channels(many ? lanes : p.group_channels()) {
    const Window& w = p.window;
    const int x = p.spatial() - 1;
    const bool flat = x == 0;
    kernel_y = flat ? 1 : w.kernel[0];
    stride_y = flat ? 1 : w.strides[0];
    dilation_y = flat ? 1 : w.dilations[0];
    pad_y = flat ? 0 : w.pads_begin[0];
    in_y = flat ? 1 : p.in[0];
    out_y = flat ? 1 : p.out[0];
    columns = (p.out[x] - 1) * w.strides[x] + w.extent(x);

    const int64_t fit = kCopyBytes / std::max<int64_t>(1, 4 * columns * channels);
    lines = std::clamp<int64_t>((fit - Halo()) / stride_y, std::min(kLines, out_y), out_y);
    bands = CeilDiv(out_y, lines);
    const int64_t units = p.batch * bands;
    if (threads > 1 && units < 4 * threads) {
      bands = std::min(out_y, CeilDiv(CeilDiv(units, threads) * threads, p.batch));
      parts = std::clamp<int64_t>(threads / (p.batch * bands), 1, bundles);
    }
    lines = CeilDiv(out_y, bands);
    bands = CeilDiv(out_y, lines);
  }
  int64_t Halo() const { return (kernel_y - 1) * dilation_y + 1 - stride_y; }
  int64_t InLines(int64_t count) const { return count * stride_y + Halo(); }

  int64_t lanes;
  bool many;                   // groups share a vector
  int64_t bundles, vectors;    // vectors of one bundle
  int64_t features, channels;  // of one bundle
  int64_t kernel_y, stride_y, dilation_y, pad_y, in_y, out_y;
  int64_t columns;       // of the copy
  int64_t lines, bands;  // lines of results in a band
  int64_t parts = 1;     // of the bundles
};

class GroupedConvKernel final : public Kernel {
 public:
  GroupedConvKernel(const PrepareContext& context, ConvProblem problem)
      : p_(std::move(problem)),
        cut_(p_, context.threads),
        threads_(std::max(1, context.threads)),
        units_(p_.batch * cut_.bands * cut_.parts) {}

  absl::Status Finish(const PrepareContext& context) {
    if (absl::Status s = epilogue_.Make(p_, cut_.parts == 1, /*plain=*/false); !s.ok()) return s;
    if (cut_.many) {
      for (int64_t c = 0; c < p_.group_channels(); ++c) {
        for (int64_t lane = 0; lane < cut_.lanes; ++lane)
          spread_.push_back(
              static_cast<int32_t>(lane / p_.group_channels() * p_.group_channels() + c));
      }
    }
    vector_floats_ = p_.depth() * cut_.lanes;
    const int64_t floats = cut_.bundles * cut_.vectors * vector_floats_;
    const std::string format =
        absl::StrCat("grouped: ", p_.group, " groups of ", p_.group_channels(), " to ",
                     p_.group_features(), ", ", absl::StrJoin(p_.window.kernel, "x"), " taps, ",
                     cut_.lanes, " lanes", cut_.many ? ", shared" : "");
    absl::StatusOr<int> filters =
        packed_.Add(context, 1, format, floats * int64_t{sizeof(float)},
                    [this, floats](const Tensor& w) { return Packed(w.data<float>(), floats); });
    if (!filters.ok()) return filters.status();
    filters_ = *filters;
    copy_bytes_ = static_cast<size_t>(cut_.InLines(cut_.lines) * cut_.columns * cut_.channels) *
                  sizeof(float);
    copies_ = layout_.Take(CopyStride() * static_cast<size_t>(Tasks()));
    return absl::OkStatus();
  }

  absl::Status Launch(const LaunchContext& context) const override {
    const ConvEpilogue::Operands operands = epilogue_.Bind(context);
    const float* const filters = packed_.data<float>(filters_, context);
    const auto work = [&](int task, int tasks) {
      float* copy = reinterpret_cast<float*>(static_cast<char*>(context.scratch) + copies_ +
                                             CopyStride() * static_cast<size_t>(task));
      for (int64_t unit = task; unit < units_; unit += tasks) {
        Unit(context.input<float>(0), filters, context.output<float>(0), operands,
             unit / cut_.parts / cut_.bands, unit / cut_.parts % cut_.bands, unit % cut_.parts,
             copy);
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
    return absl::StrCat(
        "grouped, ",
        cut_.many ? absl::StrCat(cut_.lanes / p_.group_features(), " groups") : "one group",
        " a vector, ", units_, units_ == 1 ? " piece" : " pieces");
  }
  size_t scratch_bytes() const override { return layout_.bytes(); }
  size_t packed_bytes() const override { return packed_.bytes(); }
  std::vector<int> unread_inputs() const override { return {1}; }
  absl::Span<const InputForm> forms() const override { return packed_.forms(); }

 private:
  int Tasks() const { return static_cast<int>(std::min<int64_t>(threads_, units_)); }
  size_t CopyStride() const { return (copy_bytes_ + 63) / 64 * 64; }

  // [bundle, vector][kernel_y][channels of a group][kernel_x][lanes] of W [M, C/group, y, x].
  absl::StatusOr<Tensor> Packed(const float* w, int64_t floats) const {
    absl::StatusOr<Tensor> packed = Tensor::Allocate(DType::kF32, {floats});
    if (!packed.ok()) return packed;
    float* to = packed->mutable_data<float>();
    std::fill_n(to, floats, 0.0f);
    const int64_t kx = p_.window.kernel.back(), channels = p_.group_channels();
    for (int64_t i = 0; i < cut_.bundles * cut_.vectors; ++i, to += vector_floats_) {
      const int64_t first = FirstFeature(i), count = Features(i);
      for (int64_t t = 0; t < p_.depth(); ++t) {
        const int64_t y = t / (kx * channels), c = t / kx % channels, x = t % kx;
        for (int64_t lane = 0; lane < count; ++lane) {
          to[t * cut_.lanes + lane] = w[((first + lane) * channels + c) * p_.taps() + y * kx + x];
        }
      }
    }
    return packed;
  }

  // Of vector i, counted over all bundles.
  int64_t FirstFeature(int64_t i) const {
    return i / cut_.vectors * cut_.features + i % cut_.vectors * cut_.lanes;
  }
  int64_t Features(int64_t i) const {
    const int64_t end = std::min(p_.features, (i / cut_.vectors + 1) * cut_.features);
    return std::min(cut_.lanes, end - FirstFeature(i));
  }

  void Unit(const float* x, const float* filters, float* y, const ConvEpilogue::Operands& operands,
            int64_t image, int64_t band, int64_t part, float* copy) const {
    const int64_t y0 = band * cut_.lines, y1 = std::min(y0 + cut_.lines, cut_.out_y);
    const int64_t begin = part * cut_.bundles / cut_.parts;
    const int64_t end = (part + 1) * cut_.bundles / cut_.parts;
    const int64_t width = p_.out.back();
    for (int64_t bundle = begin; bundle < end; ++bundle) {
      Copy(x, image, y0 * cut_.stride_y - cut_.pad_y, cut_.InLines(y1 - y0), bundle, copy);
      for (int64_t v = 0; v < cut_.vectors; ++v)
        Vector(bundle * cut_.vectors + v, filters, copy, image, y0, y1, operands.bias, y);
    }
    if (epilogue_.empty()) return;
    const int64_t from = begin * cut_.features;
    const int64_t count = std::min(end * cut_.features, p_.features) - from;
    for (int64_t line = y0; line < y1; ++line) {
      const int64_t row = image * cut_.out_y + line;
      epilogue_.Line(row, 0, width, from, count, y + row * width * p_.features, operands);
    }
  }

  // `lines` lines from `first` on, which may lie outside, of a bundle's channels.
  void Copy(const float* x, int64_t image, int64_t first, int64_t lines, int64_t bundle,
            float* to) const {
    const int64_t width = p_.in.back(), pad = p_.window.pads_begin.back(), n = cut_.channels;
    const int64_t channel = bundle * n, count = std::min(n, p_.channels - channel);
    const int64_t left = std::min(pad, cut_.columns), inside = std::min(width, cut_.columns - left);
    for (int64_t i = first; i < first + lines; ++i, to += cut_.columns * n) {
      if (i < 0 || i >= cut_.in_y) {
        std::fill_n(to, cut_.columns * n, 0.0f);
        continue;
      }
      std::fill_n(to, left * n, 0.0f);
      const float* from = x + (image * cut_.in_y + i) * width * p_.channels + channel;
      FindGroupedConv().copy({from, p_.channels, inside, count, n, to + left * n});
      std::fill_n(to + (left + inside) * n, (cut_.columns - left - inside) * n, 0.0f);
    }
  }

  void Vector(int64_t i, const float* filters, const float* copy, int64_t image, int64_t y0,
              int64_t y1, const float* bias, float* y) const {
    const GroupedConv& conv = FindGroupedConv();
    const Window& w = p_.window;
    const int64_t width = p_.out.back(), n = cut_.channels, feature = FirstFeature(i);
    GroupedPixels g;
    g.step = w.strides.back() * n;
    g.tap_x = w.dilations.back() * n;
    g.tap_y = cut_.dilation_y * cut_.columns * n;
    g.channels = p_.group_channels();
    g.kernel_y = cut_.kernel_y;
    g.kernel_x = w.kernel.back();
    g.w = filters + i * vector_floats_;
    g.spread = cut_.many ? spread_.data() : nullptr;
    g.bias = bias == nullptr ? nullptr : bias + feature;
    g.low = epilogue_.low();
    g.high = epilogue_.high();
    g.y_pixel = p_.features;
    g.features = Features(i);
    // Pieces of one length; the last overlaps the one before it.
    const int64_t piece = CeilDiv(width, CeilDiv(width, GroupedConv::kMaxPixels));
    for (int64_t line = y0; line < y1; ++line) {
      const float* in = copy + (line - y0) * cut_.stride_y * cut_.columns * n;
      float* out = y + (image * cut_.out_y + line) * width * p_.features + feature;
      for (int64_t at = 0; at < width; at += piece) {
        const int64_t from = std::min(at, width - piece);
        g.x = in + from * g.step;
        g.y = out + from * p_.features;
        conv.run[piece](g);
      }
    }
  }

  const ConvProblem p_;
  const Cut cut_;
  const int threads_;
  const int64_t units_;
  ConvEpilogue epilogue_;
  std::vector<int32_t> spread_;
  PackedInputs packed_;
  int filters_ = -1;
  int64_t vector_floats_ = 0;
  ScratchLayout layout_;
  size_t copies_ = 0, copy_bytes_ = 0;
};

}  // namespace

absl::StatusOr<double> EstimateGroupedConv(const PrepareContext& context) {
  absl::StatusOr<ConvProblem> p = ConvProblem::Read(context, 0, 1, 2);
  if (!p.ok()) return p.status();
  if (absl::Status s = Check(context, *p); !s.ok()) return s;
  const Cut cut(*p, context.threads);
  const int64_t lanes = cut.bundles * cut.vectors * cut.lanes;
  const double flops =
      2.0 * static_cast<double>(p->batch * p->out_size()) * static_cast<double>(p->depth() * lanes);
  const Window& w = p->window;
  const bool three = w.kernel.back() == 3 && w.strides.back() == w.dilations.back();
  const double copied = 4.0 * static_cast<double>(p->batch * p->channels * p->in_size());
  const double weights = 4.0 * static_cast<double>(p->depth() * lanes);
  const int threads = context.threads;
  return ForkNs(threads) + MoveNs(2 * copied, copied, threads) +
         StreamedNs(ComputeNs(flops, three ? 0.8 : 0.55, threads), weights, threads);
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareGroupedConv(const PrepareContext& context) {
  absl::StatusOr<ConvProblem> p = ConvProblem::Read(context, 0, 1, 2);
  if (!p.ok()) return p.status();
  if (absl::Status s = Check(context, *p); !s.ok()) return s;
  auto kernel = std::make_unique<GroupedConvKernel>(context, *std::move(p));
  if (absl::Status s = kernel->Finish(context); !s.ok()) return s;
  return kernel;
}

}  // namespace sluice::cpu
