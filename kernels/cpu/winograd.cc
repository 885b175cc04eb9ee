// Conv and FusedConv with 3x3 filters and stride 1 by Winograd's F(2x2,3x3) and F(4x4,3x3): tiles
// of the image are transformed, each frequency is one product with the transformed filters, and the
// products are transformed back. 2.25 and 4 times fewer multiplications than the definition.
//
// A volume is a pile of images: a slice of the result is the sum, among the frequencies, of as many
// slices of the input as the filters are deep, each with filters of its own.
//
// Activations are channels-last; plain ones are transposed on the way in and out. Groups of tiles
// go through all three phases while they stay in the cache. Threads take whole groups; where the
// filters are large or the tiles few, they take parts of the features instead, each with its part
// of the filters, and all transform the image for themselves, which costs less than waiting for
// each other between the phases. Each result is the same sum in the same order either way.
//
// Tiles whose results are not all finite are computed again by the definition: a NaN, an infinity
// or an overflow reaches the results that see it, and no others.
#include <algorithm>

#include "absl/base/optimization.h"
#include "absl/strings/str_cat.h"
#include "kernels/cpu/conv_cost.h"
#include "kernels/cpu/conv_epilogue.h"
#include "kernels/cpu/conv_problem.h"
#include "kernels/cpu/cost/cost.h"
#include "kernels/cpu/direct_pixels.h"
#include "kernels/cpu/gemm/brgemm.h"
#include "kernels/cpu/gemm/packed_gemm.h"
#include "kernels/cpu/staging.h"
#include "kernels/cpu/winograd_transform.h"
#include "kernels/packed_weights.h"

namespace sluice::cpu {
namespace {

constexpr int kMaxPixels = 36;
constexpr int64_t kVector = 16;  // floats of the longest

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The axis in front of the image's two; an image is one slice.
struct Depth {
  explicit Depth(const ConvProblem& p) {
    if (p.spatial() == 2) return;
    in = p.in[0];
    out = p.out[0];
    taps = p.window.kernel[0];
    stride = p.window.strides[0];
    pad = p.window.pads_begin[0];
  }
  // Of the input, under tap `tap` for slice `slice` of the result; may lie outside.
  int64_t Slice(int64_t slice, int64_t tap) const { return slice * stride + tap - pad; }
  // Of the input, what two slices of the result may share.
  int64_t Held() const { return std::min(taps, in); }

  int64_t in = 1, out = 1, taps = 1, stride = 1, pad = 0;
};

// How a convolution is cut into tiles and groups of them.
struct Tiling {
  Tiling(const ConvProblem& p, int tile, int threads)
      : tile(tile),
        frequencies((tile + 2) * (tile + 2)),
        rows(CeilDiv(p.out.end()[-2], tile)),
        columns(CeilDiv(p.out.end()[-1], tile)),
        total(p.batch * rows * columns),
        depth(p) {
    const double filters = 4.0 * frequencies * depth.taps * p.channels * p.features;
    const double l2 = static_cast<double>(Costs().l2_bytes);
    const int64_t step = TileRows();
    // Each thread of a part reads all of its filters: worth it while these are small.
    if (threads > 1 && (filters > 4 * l2 || total < 2 * step * threads))
      parts = std::min<int64_t>(threads, CeilDiv(p.features, kVector));
    width = CeilDiv(CeilDiv(p.features, parts), kVector) * kVector;
    parts = CeilDiv(p.features, width);
    const double each =
        4.0 * static_cast<double>(frequencies * (p.channels * depth.Held() + width));
    const auto group_within = [&](double bytes) {
      return std::max(step, static_cast<int64_t>(bytes / each) / step * step);
    };
    // Small groups stay in the second-level cache, larger ones read large filters less often. What
    // spills is written and read in places, where filters are one stream: it weighs more.
    constexpr double kSpilled = 8;
    group = group_within(l2 / 2);
    groups = CeilDiv(total, group);
    const int64_t large = group_within(std::max(2.5 * l2, 2.5e6));
    const double mine = filters / static_cast<double>(parts);
    const double reads = mine * static_cast<double>(groups - CeilDiv(total, large));
    if (mine > l2 / 2 && reads > kSpilled * each * static_cast<double>(total))
      groups = CeilDiv(total, large);
    const int64_t sharers = CeilDiv(threads, parts);  // of the groups
    if (total >= 2 * step * sharers) groups = CeilDiv(groups, sharers) * sharers;
    group = CeilDiv(CeilDiv(total, groups), step) * step;
    groups = CeilDiv(total, group);
  }
  int64_t units() const { return groups * parts; }

  int64_t tile, frequencies, rows, columns, total;  // of one slice of each volume
  Depth depth;
  int64_t group, groups;     // tiles of one, and how many
  int64_t parts = 1, width;  // of the features
};

// An odd number of cache lines: the frequencies of a tile then fall into different sets.
int64_t FrequencyStride(int64_t elements) { return (CeilDiv(elements, 16) | 1) * 16; }

absl::Status Check(const PrepareContext& context, const ConvProblem& p) {
  const Window& w = p.window;
  const auto refuse = [](absl::string_view why) { return absl::UnimplementedError(why); };
  if (context.accuracy == Accuracy::kStrict) return refuse("accuracy is strict");
  if (w.rank() != 2 && w.rank() != 3) return refuse("images and volumes only");
  const int first = w.rank() - 2;
  if (w.kernel[first] != 3 || w.kernel[first + 1] != 3) return refuse("no 3x3 filter");
  for (int i = 0; i < w.rank(); ++i) {
    if (w.dilations[i] != 1 || (i >= first && w.strides[i] != 1) || p.group != 1)
      return refuse("stride 1, no dilation, one group only");
  }
  if (p.channels < 8 || p.features < 8) return refuse("fewer than 8 channels");
  for (const Type* t : {&context.inputs[0], &context.outputs[0]}) {
    if (t->layout() != Layout::kPlain && t->layout() != Layout::kChannelsLast)
      return refuse("plain and channels-last activations only");
  }
  return ConvEpilogue::Check(context, p);
}

class Winograd final : public Kernel {
 public:
  Winograd(const PrepareContext& context, ConvProblem problem, int tile)
      : p_(std::move(problem)),
        tiling_(p_, tile, context.threads),
        transform_(FindWinograd(tile)),
        threads_(std::max(1, context.threads)),
        plain_in_(context.inputs[0].layout() == Layout::kPlain && p_.in_size() > 1),
        plain_out_(context.outputs[0].layout() == Layout::kPlain && p_.out_size() > 1),
        height_(p_.in.end()[-2]),
        width_(p_.in.end()[-1]),
        v_stride_(FrequencyStride(tiling_.group * p_.channels)),
        m_stride_(FrequencyStride(tiling_.group * tiling_.width)),
        zeros_(static_cast<size_t>(p_.channels), 0.0f) {}

  absl::Status Finish(const PrepareContext& context) {
    if (absl::Status s = epilogue_.Make(p_, tiling_.parts == 1, plain_out_); !s.ok()) return s;
    if (absl::Status s = Pack(context); !s.ok()) return s;
    if (context.IsConstant(1)) source_ = context.constants[1];
    const size_t element = sizeof(float);
    if (plain_in_) x_ = layout_.Take(static_cast<size_t>(Product(p_.InDims())) * element);
    if (plain_out_) y_ = layout_.Take(static_cast<size_t>(Product(p_.OutDims())) * element);
    const size_t sets = static_cast<size_t>(std::min<int64_t>(threads_, tiling_.units()));
    // Once the unit is done, room for a tile by the definition.
    v_bytes_ = static_cast<size_t>(std::max(
                   v_stride_ * tiling_.frequencies * tiling_.depth.Held(),
                   CeilDiv(DirectPixelsFloats(p_, tiling_.tile * tiling_.tile), 16) * 16)) *
               element;
    m_bytes_ = static_cast<size_t>(m_stride_ * tiling_.frequencies) * element;
    v_ = layout_.Take(v_bytes_ * sets);
    m_ = layout_.Take(m_bytes_ * sets);
    dump_bytes_ = static_cast<size_t>(tiling_.width) * element;
    dump_ = layout_.Take(dump_bytes_ * sets);
    spoilt_bytes_ = static_cast<size_t>(CeilDiv(tiling_.depth.out * tiling_.group, 64) * 64);
    spoilt_ = layout_.Take(spoilt_bytes_ * sets);
    return absl::OkStatus();
  }

  absl::Status Launch(const LaunchContext& context) const override {
    char* const scratch = static_cast<char*>(context.scratch);
    Run run{.pool = context.pool,
            .x = context.input<float>(0),
            .y = context.output<float>(0),
            .w = source_.valid() ? source_.raw() : context.inputs[1],
            .u = packed_.data<float>(filters_, context),
            .operands = epilogue_.Bind(context)};
    if (plain_in_) {
      float* x = reinterpret_cast<float*>(scratch + x_);
      Transpose(run.x, p_.channels, p_.in_size(), x, run.pool);
      run.x = x;
    }
    if (plain_out_) run.y = reinterpret_cast<float*>(scratch + y_);
    const int tasks = static_cast<int>(std::min<int64_t>(threads_, tiling_.units()));
    const auto work = [&](int task, int tasks) {
      const Memory memory{reinterpret_cast<float*>(scratch + v_ + v_bytes_ * task),
                          reinterpret_cast<float*>(scratch + m_ + m_bytes_ * task),
                          reinterpret_cast<float*>(scratch + dump_ + dump_bytes_ * task),
                          scratch + spoilt_ + spoilt_bytes_ * task};
      for (int64_t unit = task; unit < tiling_.units(); unit += tasks)
        Unit(run, unit / tiling_.parts, unit % tiling_.parts, memory);
    };
    if (context.pool == nullptr || tasks == 1) {
      work(0, 1);
    } else {
      context.pool->RunTasks(tasks, work);
    }
    if (plain_out_) {
      float* y = context.output<float>(0);
      Transpose(run.y, p_.out_size(), p_.features, y, run.pool);
      epilogue_.All(y, run.operands, run.pool);
    }
    return absl::OkStatus();
  }

  std::string Description() const override {
    return absl::StrCat("winograd ", tiling_.tile, "x", tiling_.tile, ", ", tiling_.groups,
                        tiling_.groups == 1 ? " group" : " groups",
                        tiling_.parts > 1 ? absl::StrCat(" x ", tiling_.parts, " parts") : "",
                        plain_in_ && plain_out_ ? " between transposes"
                        : plain_in_             ? " behind a transpose"
                        : plain_out_            ? " before a transpose"
                                                : "");
  }
  size_t scratch_bytes() const override { return layout_.bytes(); }
  size_t packed_bytes() const override { return packed_.bytes(); }
  // But for tiles that are not finite, which read the constant itself.
  std::vector<int> unread_inputs() const override { return {1}; }
  absl::Span<const InputForm> forms() const override { return packed_.forms(); }

 private:
  struct Run {
    ThreadPool* pool;
    const float* x;
    float* y;
    const void* w;   // the filters as they are, aligned or not
    const float* u;  // transformed
    ConvEpilogue::Operands operands;
  };

  int64_t PartWidth(int64_t part) const {
    return std::min(tiling_.width, p_.features - part * tiling_.width);
  }

  // For each part, tap in depth and frequency one matrix [C, features of the part] in panels.
  absl::Status Pack(const PrepareContext& context) {
    u_size_ = PackedFloats(p_.channels, tiling_.width);
    const int64_t taps = tiling_.depth.taps;
    const int64_t floats = tiling_.parts * taps * tiling_.frequencies * u_size_;
    const std::string format =
        absl::StrCat("winograd ", tiling_.tile, ": ", p_.channels, " to ", p_.features, " in ",
                     tiling_.parts, " parts of ", tiling_.width, ", panels of ", PanelColumns(),
                     taps > 1 ? absl::StrCat(", ", taps, " deep") : "");
    absl::StatusOr<int> filters = packed_.Add(
        context, 1, format, floats * int64_t{sizeof(float)},
        [this, floats](const Tensor& w) { return Transformed(w.data<float>(), floats); });
    if (!filters.ok()) return filters.status();
    filters_ = *filters;
    return absl::OkStatus();
  }

  absl::StatusOr<Tensor> Transformed(const float* w, int64_t floats) const {
    const int64_t c = p_.channels, panel = PanelColumns();
    absl::StatusOr<Tensor> packed = Tensor::Allocate(DType::kF32, {floats});
    absl::StatusOr<Tensor> last = Tensor::Allocate(DType::kF32, {tiling_.frequencies, c, panel});
    if (!packed.ok()) return packed.status();
    if (!last.ok()) return last.status();
    float* const all = packed->mutable_data<float>();
    const int64_t taps = tiling_.depth.taps, filter = taps * 9;
    if (PartWidth(tiling_.parts - 1) < tiling_.width) std::fill_n(all, floats, 0.0f);
    for (int64_t i = 0; i < tiling_.parts * taps; ++i) {
      const int64_t part = i / taps, tap = i % taps;
      float* const out = all + i * tiling_.frequencies * u_size_;
      for (int64_t first = 0; first < PartWidth(part); first += panel) {
        const float* const from = w + (part * tiling_.width + first) * c * filter + tap * 9;
        const int64_t count = std::min(panel, PartWidth(part) - first);
        // A whole panel is what the transform writes; the last one has a width of its own.
        const bool whole = count == panel;
        float* const to = whole ? out + first * c : last->mutable_data<float>();
        const int64_t row = whole ? panel : count, stride = whole ? u_size_ : c * count;
        for (int64_t j = 0; j < c; ++j)
          transform_.filters(from + j * filter, c * filter, count, to + j * row, stride);
        for (int64_t f = 0; f < tiling_.frequencies && !whole; ++f)
          PackPanels(to + f * stride, count, 1, c, count, 1, out + f * u_size_ + first * c);
      }
    }
    return packed;
  }

  // Each image's [rows, columns] to [columns, rows].
  void Transpose(const float* from, int64_t rows, int64_t columns, float* to,
                 ThreadPool* pool) const {
    constexpr int64_t kBlock = 64;
    const int64_t blocks = CeilDiv(columns, kBlock);
    const auto body = [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / blocks * rows * columns, at = i % blocks * kBlock;
        TransposeTile(from + image + at, rows, std::min(kBlock, columns - at), columns,
                      to + image + at * rows, rows);
      }
    };
    if (pool == nullptr) return body(0, p_.batch * blocks);
    pool->ParallelFor(p_.batch * blocks, std::max<int64_t>(1, 16384 / (rows * kBlock)), body);
  }

  int64_t GroupSize(int64_t g) const {
    return std::min(tiling_.group, tiling_.total - g * tiling_.group);
  }
  // Of one task.
  struct Memory {
    float *v, *m, *dump;
    char* spoilt;  // [slices, tiles of a group]: a result is not finite
  };

  void Unit(const Run& run, int64_t group, int64_t part, const Memory& memory) const {
    const int64_t first = group * tiling_.group, count = GroupSize(group);
    const Depth& depth = tiling_.depth;
    int64_t next = 0;  // the first slice that was not transformed yet
    bool finite = true;
    for (int64_t slice = 0; slice < depth.out; ++slice) {
      bool begun = false;
      for (int64_t tap = 0; tap < depth.taps; ++tap) {
        const int64_t from = depth.Slice(slice, tap);
        if (from < 0 || from >= depth.in) continue;
        float* const v = memory.v + from % depth.Held() * tiling_.frequencies * v_stride_;
        if (from >= next) InputTiles(run, first, count, from, v);
        next = std::max(next, from + 1);
        Products(run, part, tap, count, begun, v, memory.m);
        begun = true;
      }
      if (!begun) std::fill_n(memory.m, m_stride_ * tiling_.frequencies, 0.0f);
      finite &= OutputTiles(run, first, count, slice, part, memory);
    }
    if (ABSL_PREDICT_FALSE(!finite)) SpoiltTiles(run, first, count, part, memory);
  }

  // One for each frequency.
  void Products(const Run& run, int64_t part, int64_t tap, int64_t count, bool accumulate,
                const float* v, float* m) const {
    const float* const u =
        run.u + (part * tiling_.depth.taps + tap) * tiling_.frequencies * u_size_;
    for (int64_t f = 0; f < tiling_.frequencies; ++f) {
      PackedGemmArgs g;
      g.m = count;
      g.n = PartWidth(part);
      g.k = p_.channels;
      g.a = v + f * v_stride_;
      g.a_row = p_.channels;
      g.panels = u + f * u_size_;
      g.c = m + f * m_stride_;
      g.c_row = tiling_.width;
      g.accumulate = accumulate;
      if (f + 1 < tiling_.frequencies || tap + 1 < tiling_.depth.taps) g.next = g.panels + u_size_;
      PackedGemm(g);
    }
  }

  struct Place {
    int64_t image, y, x;  // of the tile's first result; the image is a volume's
  };
  Place PlaceOf(int64_t tile) const {
    const int64_t x = tile % tiling_.columns, line = tile / tiling_.columns;
    return {line / tiling_.rows, line % tiling_.rows * tiling_.tile, x * tiling_.tile};
  }

  // Tiles [first, first + count) of a slice to the rows of each frequency's matrix.
  void InputTiles(const Run& run, int64_t first, int64_t count, int64_t slice, float* v) const {
    const int64_t height = height_, width = width_, c = p_.channels, side = tiling_.tile + 2;
    for (int64_t t = 0; t < count; ++t) {
      const Place at = PlaceOf(first + t);
      const float* image = run.x + (at.image * tiling_.depth.in + slice) * height * width * c;
      const int64_t y0 = at.y - p_.window.pads_begin.end()[-2];
      const int64_t x0 = at.x - p_.window.pads_begin.end()[-1];
      const float* pixels[kMaxPixels];
      const bool inner = y0 >= 0 && x0 >= 0 && y0 + side <= height && x0 + side <= width;
      for (int64_t i = 0; i < side; ++i) {
        const int64_t y = y0 + i;
        const bool line = y >= 0 && y < height;
        for (int64_t j = 0; j < side; ++j) {
          const int64_t x = x0 + j;
          pixels[i * side + j] =
              inner || (line && x >= 0 && x < width) ? image + (y * width + x) * c : zeros_.data();
        }
      }
      transform_.input(pixels, c, v + t * c, v_stride_);
    }
  }

  // False where a tile is spoilt.
  bool OutputTiles(const Run& run, int64_t first, int64_t count, int64_t slice, int64_t part,
                   const Memory& memory) const {
    const int64_t height = p_.out.end()[-2], width = p_.out.end()[-1], k = p_.features;
    const int64_t side = tiling_.tile;
    const int64_t from = part * tiling_.width, features = PartWidth(part);
    const float* const all = run.operands.bias;
    const float* const bias = all == nullptr ? nullptr : all + from;
    bool finite = true;
    for (int64_t t = 0; t < count;) {
      const Place start = PlaceOf(first + t);
      const int64_t at = start.image * tiling_.depth.out + slice;
      float* const image = run.y + at * height * width * k;
      int64_t x0 = start.x;
      for (; t < count && x0 < width; ++t, x0 += side) {  // along one line of tiles
        float* pixels[kMaxPixels];
        for (int64_t i = 0; i < side; ++i) {
          for (int64_t j = 0; j < side; ++j) {
            const int64_t y = start.y + i, x = x0 + j;
            pixels[i * side + j] =
                y < height && x < width ? image + (y * width + x) * k + from : memory.dump;
          }
        }
        const bool good = transform_.output(memory.m + t * tiling_.width, m_stride_, features, bias,
                                            epilogue_.low(), epilogue_.high(), pixels);
        memory.spoilt[slice * tiling_.group + t] = !good;
        finite &= good;
      }
      if (plain_out_ || epilogue_.empty()) continue;
      const int64_t last = std::min(x0, width);
      for (int64_t y = start.y; y < std::min(height, start.y + side); ++y) {
        epilogue_.Line(at * height + y, start.x, last, from, features, image + y * width * k,
                       run.operands);
      }
    }
    return finite;
  }

  // By the definition, when the memory of the frequencies is no longer needed.
  void SpoiltTiles(const Run& run, int64_t first, int64_t count, int64_t part,
                   const Memory& memory) const {
    const int64_t height = p_.out.end()[-2], width = p_.out.end()[-1], k = p_.features;
    const int64_t from = part * tiling_.width, features = PartWidth(part);
    for (int64_t i = 0; i < tiling_.depth.out * tiling_.group; ++i) {
      const int64_t slice = i / tiling_.group, t = i % tiling_.group;
      if (t >= count || memory.spoilt[i] == 0) continue;
      const Place at = PlaceOf(first + t);
      float* const y = run.y + at.image * p_.out_size() * k + from;
      const int64_t y1 = std::min(height, at.y + tiling_.tile);
      const int64_t x1 = std::min(width, at.x + tiling_.tile);
      int64_t positions[kMaxPixels];
      float* results[kMaxPixels];
      size_t pixels = 0;
      for (int64_t line = at.y; line < y1; ++line) {
        for (int64_t x = at.x; x < x1; ++x, ++pixels) {
          positions[pixels] = (slice * height + line) * width + x;
          results[pixels] = y + positions[pixels] * k;
        }
      }
      DirectPixels(p_, run.x + at.image * p_.in_size() * p_.channels, run.w, {positions, pixels},
                   from, features, memory.v, results);
      for (size_t pixel = 0; pixel < pixels; ++pixel) {
        for (int64_t f = 0; f < features; ++f) {
          float& v = results[pixel][f];
          if (run.operands.bias != nullptr) v += run.operands.bias[from + f];
          if (v < epilogue_.low()) v = epilogue_.low();  // NaN stays
          if (v > epilogue_.high()) v = epilogue_.high();
        }
      }
      if (plain_out_ || epilogue_.empty()) continue;
      for (int64_t line = at.y; line < y1; ++line) {
        const int64_t row = (at.image * tiling_.depth.out + slice) * height + line;
        epilogue_.Line(row, at.x, x1, from, features, run.y + row * width * k, run.operands);
      }
    }
  }

  const ConvProblem p_;
  const Tiling tiling_;
  const WinogradTransform transform_;
  const int threads_;
  const bool plain_in_, plain_out_;
  const int64_t height_, width_;       // of a slice of the input
  const int64_t v_stride_, m_stride_;  // elements from frequency to frequency
  const std::vector<float> zeros_;     // a pixel of the padding
  ConvEpilogue epilogue_;
  PackedInputs packed_;
  int filters_ = -1;
  Tensor source_;  // the filters, where they are constant
  int64_t u_size_ = 0;
  ScratchLayout layout_;
  size_t x_ = 0, y_ = 0, v_ = 0, m_ = 0, dump_ = 0, spoilt_ = 0;
  size_t v_bytes_ = 0, m_bytes_ = 0, dump_bytes_ = 0, spoilt_bytes_ = 0;
};

absl::StatusOr<std::unique_ptr<Kernel>> Prepare(const PrepareContext& context, int tile) {
  absl::StatusOr<ConvProblem> p = ConvProblem::Read(context, 0, 1, 2);
  if (!p.ok()) return p.status();
  if (absl::Status s = Check(context, *p); !s.ok()) return s;
  auto kernel = std::make_unique<Winograd>(context, *std::move(p), tile);
  if (absl::Status s = kernel->Finish(context); !s.ok()) return s;
  return kernel;
}

absl::StatusOr<double> Estimate(const PrepareContext& context, int tile) {
  absl::StatusOr<ConvProblem> p = ConvProblem::Read(context, 0, 1, 2);
  if (!p.ok()) return p.status();
  if (absl::Status s = Check(context, *p); !s.ok()) return s;
  const Tiling t(*p, tile, context.threads);
  const int threads = std::max(1, context.threads);
  const int64_t rounds = CeilDiv(t.units(), threads);
  // Threads that work at a time; the last round may leave some idle.
  const double workers = static_cast<double>(t.units()) / static_cast<double>(rounds);
  const double tiles = static_cast<double>(std::max<int64_t>(t.total, 4));
  const double f = static_cast<double>(t.frequencies), c = static_cast<double>(p->channels);
  const double k = static_cast<double>(p->features), parts = static_cast<double>(t.parts);
  const double taps = static_cast<double>(t.depth.taps), slices = static_cast<double>(t.depth.out);
  const double compute = ComputeNs(2 * tiles * slices * f * c * taps *
                                       static_cast<double>(CeilDiv(p->features, kVector) * kVector),
                                   1, 1);
  double ns = Costs().transform * tiles * f *
              (c * parts * static_cast<double>(t.depth.in) + k * slices) / workers;
  // All that the threads read, together.
  const double filters = 4 * f * c * k * taps * std::max(1.0, workers / parts);
  const int readers = static_cast<int>(workers);
  const double passes = static_cast<double>(rounds) * slices;  // over the filters
  if (filters > static_cast<double>(Costs().l3_bytes)) {
    ns += passes * StreamedNs(compute / workers / passes, filters, readers);
  } else {
    ns += StreamedNs(compute / workers, filters, readers);
    // The next groups and slices find the filters in a nearer cache, but read all of them again.
    if (4 * f * c * k * taps / parts > static_cast<double>(Costs().l2_bytes) / 2)
      ns += 0.5 * (passes - 1) * MoveNs(filters, filters, readers);
  }
  ns += ForkNs(threads);
  return ns + TransposesNs(context, *p);
}

}  // namespace

absl::StatusOr<double> EstimateWinograd2(const PrepareContext& context) {
  return Estimate(context, 2);
}
absl::StatusOr<double> EstimateWinograd4(const PrepareContext& context) {
  return Estimate(context, 4);
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareWinograd2(const PrepareContext& context) {
  return Prepare(context, 2);
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareWinograd4(const PrepareContext& context) {
  return Prepare(context, 4);
}

}  // namespace sluice::cpu
