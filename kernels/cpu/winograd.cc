// Conv and FusedConv with 3x3 filters and stride 1 by Winograd's F(2x2,3x3) and F(4x4,3x3): tiles
// of the image are transformed, each frequency is one product with the transformed filters, and the
// products are transformed back. 2.25 and 4 times fewer multiplications than the definition.
//
// Activations are channels-last; plain ones are transposed on the way in and out. Groups of tiles
// go through all three phases while they stay in the cache. Threads take whole groups; where the
// filters are large or the tiles few, they take parts of the features instead, each with its part
// of the filters, and all transform the image for themselves, which costs less than waiting for
// each other between the phases. Each result is the same sum in the same order either way.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/brgemm.h"
#include "kernels/cpu/conv_cost.h"
#include "kernels/cpu/conv_problem.h"
#include "kernels/cpu/cost.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/packed_gemm.h"
#include "kernels/cpu/staging.h"
#include "kernels/cpu/winograd_transform.h"
#include "kernels/packed_weights.h"

namespace sluice::cpu {
namespace {

constexpr int kMaxPixels = 36;
constexpr int64_t kVector = 16;  // floats of the longest

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How a convolution is cut into tiles and groups of them.
struct Tiling {
  Tiling(const ConvProblem& p, int tile, int threads)
      : tile(tile),
        frequencies((tile + 2) * (tile + 2)),
        rows(CeilDiv(p.out[0], tile)),
        columns(CeilDiv(p.out[1], tile)),
        total(p.batch * rows * columns) {
    const double filters = 4.0 * frequencies * p.channels * p.features;
    const double l2 = static_cast<double>(Costs().l2_bytes);
    const int64_t step = TileRows();
    // Each thread of a part reads all of its filters: worth it while these are small.
    if (threads > 1 && (filters > 4 * l2 || total < 2 * step * threads))
      parts = std::min<int64_t>(threads, CeilDiv(p.features, kVector));
    width = CeilDiv(CeilDiv(p.features, parts), kVector) * kVector;
    parts = CeilDiv(p.features, width);
    const double each = 4.0 * static_cast<double>(frequencies * (p.channels + width));
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

  int64_t tile, frequencies, rows, columns, total;
  int64_t group, groups;     // tiles of one, and how many
  int64_t parts = 1, width;  // of the features
};

// An odd number of cache lines: the frequencies of a tile then fall into different sets.
int64_t FrequencyStride(int64_t elements) { return (CeilDiv(elements, 16) | 1) * 16; }

absl::Status Check(const PrepareContext& context, const ConvProblem& p) {
  const Window& w = p.window;
  const auto refuse = [](absl::string_view why) { return absl::UnimplementedError(why); };
  if (context.accuracy == Accuracy::kStrict) return refuse("accuracy is strict");
  if (p.dtype != DType::kF32) return refuse("f32 only");
  if (w.rank() != 2 || w.kernel != std::vector<int64_t>{3, 3}) return refuse("no 3x3 filter");
  if (w.strides != std::vector<int64_t>{1, 1} || w.dilations != std::vector<int64_t>{1, 1} ||
      p.group != 1) {
    return refuse("stride 1, no dilation, one group only");
  }
  if (p.empty() || p.channels == 0 || p.in_size() == 0) return refuse("an extent is 0");
  if (p.channels < 8 || p.features < 8) return refuse("fewer than 8 channels");
  if (!context.IsConstant(1)) return refuse("the filters are not constant");
  for (const Type* t : {&context.inputs[0], &context.outputs[0]}) {
    if (t->layout() != Layout::kPlain && t->layout() != Layout::kChannelsLast)
      return refuse("plain and channels-last activations only");
  }
  const Layout layout = context.outputs[0].layout();
  size_t binary = 0;
  for (const PostOp& step : p.steps) {
    if (step.operand < 0) continue;
    const Dims& d = p.operands[binary++];
    if (context.input_dtype(step.operand) != DType::kF32) return refuse("an operand is not f32");
    if (d[1] != 1 && d[2] * d[3] != 1 && context.inputs[step.operand].layout() != layout)
      return refuse("an operand has another layout than the result");
  }
  return absl::OkStatus();
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
        v_stride_(FrequencyStride(tiling_.group * p_.channels)),
        m_stride_(FrequencyStride(tiling_.group * tiling_.width)),
        zeros_(static_cast<size_t>(p_.channels), 0.0f),
        epilogue_(DType::kF32, {1}) {}

  absl::Status Finish(const PrepareContext& context) {
    if (absl::Status s = MakeEpilogue(); !s.ok()) return s;
    if (absl::Status s = Pack(context); !s.ok()) return s;
    const size_t element = sizeof(float);
    if (plain_in_) x_ = layout_.Take(static_cast<size_t>(Product(p_.InDims())) * element);
    if (plain_out_) y_ = layout_.Take(static_cast<size_t>(Product(p_.OutDims())) * element);
    const size_t sets = static_cast<size_t>(std::min<int64_t>(threads_, tiling_.units()));
    v_bytes_ = static_cast<size_t>(v_stride_ * tiling_.frequencies) * element;
    m_bytes_ = static_cast<size_t>(m_stride_ * tiling_.frequencies) * element;
    v_ = layout_.Take(v_bytes_ * sets);
    m_ = layout_.Take(m_bytes_ * sets);
    dump_bytes_ = static_cast<size_t>(tiling_.width) * element;
    dump_ = layout_.Take(dump_bytes_ * sets);
    return absl::OkStatus();
  }

  absl::Status Launch(const LaunchContext& context) const override {
    char* const scratch = static_cast<char*>(context.scratch);
    Run run{.pool = context.pool,
            .x = context.input<float>(0),
            .y = context.output<float>(0),
            .bias = p_.bias >= 0 ? context.input<float>(p_.bias) : nullptr};
    for (size_t i = 0; i < operands_.size(); ++i) run.operands[i] = context.inputs[operands_[i]];
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
                          reinterpret_cast<float*>(scratch + dump_ + dump_bytes_ * task)};
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
      epilogue_.RunAll(y, run.Operands(operands_.size()), run.pool);
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
  std::vector<int> unread_inputs() const override { return {1}; }

 private:
  static constexpr size_t kMaxOperands = 16;

  struct Run {
    ThreadPool* pool;
    const float* x;
    float* y;
    const float* bias;
    const void* operands[kMaxOperands] = {};
    absl::Span<const void* const> Operands(size_t n) const { return {operands, n}; }
  };

  // Bias and a first clamp are the output transform's; other steps run on what it has just written,
  // or on the plain result.
  absl::Status MakeEpilogue() {
    size_t next = 0, binary = 0;
    if (!p_.steps.empty() && absl::string_view(p_.steps[0].def->name) == "Relu") {
      low_ = 0;
      next = 1;
    } else if (!p_.steps.empty() && absl::string_view(p_.steps[0].def->name) == "Clip") {
      low_ = p_.steps[0].params[0];
      high_ = p_.steps[0].params[1];
      next = 1;
    }
    const Dims out = p_.OutDims();
    lines_ = tiling_.parts == 1;
    for (const Dims& d : p_.operands) lines_ &= d == out || Product(d) == 1;
    const auto in_memory = [&](const Dims& d) -> Dims {
      if (plain_out_) return d;
      if (lines_) return {d[0], d[2], d[3] * d[1]};
      return {d[0], d[2], d[3], d[1]};
    };
    epilogue_ = Epilogue(DType::kF32, in_memory(out));
    for (; next < p_.steps.size(); ++next) {
      PostOp step = p_.steps[next];
      Dims dims;
      if (step.def->binary) {
        if (operands_.size() == kMaxOperands)
          return absl::UnimplementedError(absl::StrCat("more than ", kMaxOperands, " operands"));
        dims = in_memory(p_.operands[binary++]);
        operands_.push_back(step.operand);
        step.operand = static_cast<int>(operands_.size()) - 1;
      }
      if (absl::Status s = epilogue_.Append(step, dims); !s.ok()) return s;
    }
    return absl::OkStatus();
  }

  int64_t PartWidth(int64_t part) const {
    return std::min(tiling_.width, p_.features - part * tiling_.width);
  }

  // For each part and frequency one matrix [C, features of the part] in panels.
  absl::Status Pack(const PrepareContext& context) {
    u_size_ = PackedFloats(p_.channels, tiling_.width);
    const int64_t floats = tiling_.parts * tiling_.frequencies * u_size_;
    const std::string format =
        absl::StrCat("winograd ", tiling_.tile, ": ", p_.channels, " to ", p_.features, " in ",
                     tiling_.parts, " parts of ", tiling_.width, ", panels of ", PanelColumns());
    absl::StatusOr<Tensor> packed =
        PackConstant(context, 1, format, floats * int64_t{sizeof(float)},
                     [&] { return Transformed(context.constants[1].data<float>(), floats); });
    if (!packed.ok()) return packed.status();
    packed_ = *std::move(packed);
    return absl::OkStatus();
  }

  absl::StatusOr<Tensor> Transformed(const float* w, int64_t floats) const {
    const int64_t c = p_.channels, panel = PanelColumns();
    absl::StatusOr<Tensor> packed = Tensor::Allocate(DType::kF32, {floats});
    absl::StatusOr<Tensor> last = Tensor::Allocate(DType::kF32, {tiling_.frequencies, c, panel});
    if (!packed.ok()) return packed.status();
    if (!last.ok()) return last.status();
    float* const all = packed->mutable_data<float>();
    if (PartWidth(tiling_.parts - 1) < tiling_.width) std::fill_n(all, floats, 0.0f);
    for (int64_t part = 0; part < tiling_.parts; ++part) {
      float* const out = all + part * tiling_.frequencies * u_size_;
      for (int64_t first = 0; first < PartWidth(part); first += panel) {
        const float* const from = w + (part * tiling_.width + first) * c * 9;
        const int64_t count = std::min(panel, PartWidth(part) - first);
        // A whole panel is what the transform writes; the last one has a width of its own.
        const bool whole = count == panel;
        float* const to = whole ? out + first * c : last->mutable_data<float>();
        const int64_t row = whole ? panel : count, stride = whole ? u_size_ : c * count;
        for (int64_t i = 0; i < c; ++i)
          transform_.filters(from + i * 9, c * 9, count, to + i * row, stride);
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
  };

  void Unit(const Run& run, int64_t group, int64_t part, const Memory& memory) const {
    const int64_t first = group * tiling_.group, count = GroupSize(group);
    const float* const u =
        static_cast<const float*>(packed_.raw()) + part * tiling_.frequencies * u_size_;
    InputTiles(run, first, count, memory.v);
    for (int64_t f = 0; f < tiling_.frequencies; ++f) {
      PackedGemmArgs g;
      g.m = count;
      g.n = PartWidth(part);
      g.k = p_.channels;
      g.a = memory.v + f * v_stride_;
      g.a_row = p_.channels;
      g.panels = u + f * u_size_;
      g.c = memory.m + f * m_stride_;
      g.c_row = tiling_.width;
      if (f + 1 < tiling_.frequencies) g.next = g.panels + u_size_;
      PackedGemm(g);
    }
    OutputTiles(run, first, count, part, memory);
  }

  struct Place {
    int64_t image, y, x;  // of the tile's first result
  };
  Place PlaceOf(int64_t tile) const {
    const int64_t x = tile % tiling_.columns, line = tile / tiling_.columns;
    return {line / tiling_.rows, line % tiling_.rows * tiling_.tile, x * tiling_.tile};
  }

  // Tiles [first, first + count) to the rows of each frequency's matrix.
  void InputTiles(const Run& run, int64_t first, int64_t count, float* v) const {
    const int64_t height = p_.in[0], width = p_.in[1], c = p_.channels, side = tiling_.tile + 2;
    for (int64_t t = 0; t < count; ++t) {
      const Place at = PlaceOf(first + t);
      const float* image = run.x + at.image * height * width * c;
      const int64_t y0 = at.y - p_.window.pads_begin[0], x0 = at.x - p_.window.pads_begin[1];
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

  void OutputTiles(const Run& run, int64_t first, int64_t count, int64_t part,
                   const Memory& memory) const {
    const int64_t height = p_.out[0], width = p_.out[1], k = p_.features, side = tiling_.tile;
    const int64_t from = part * tiling_.width, features = PartWidth(part);
    const float* const bias = run.bias == nullptr ? nullptr : run.bias + from;
    for (int64_t t = 0; t < count;) {
      const Place start = PlaceOf(first + t);
      float* const image = run.y + start.image * height * width * k;
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
        transform_.output(memory.m + t * tiling_.width, m_stride_, features, bias, low_, high_,
                          pixels);
      }
      if (plain_out_ || epilogue_.empty()) continue;
      const int64_t last = std::min(x0, width);
      for (int64_t y = start.y; y < std::min(height, start.y + side); ++y) {
        float* line = image + y * width * k;
        const int64_t row = start.image * height + y;
        const auto operands = run.Operands(operands_.size());
        if (lines_) {
          epilogue_.Run(row, start.x * k, (last - start.x) * k, line + start.x * k, operands);
        } else {
          for (int64_t x = start.x; x < last; ++x)
            epilogue_.Run(row * width + x, from, features, line + x * k + from, operands);
        }
      }
    }
  }

  const ConvProblem p_;
  const Tiling tiling_;
  const WinogradTransform transform_;
  const int threads_;
  const bool plain_in_, plain_out_;
  const int64_t v_stride_, m_stride_;  // elements from frequency to frequency
  const std::vector<float> zeros_;     // a pixel of the padding
  float low_ = -INFINITY, high_ = INFINITY;
  Epilogue epilogue_;
  bool lines_ = true;  // the epilogue's rows are lines of the image, not pixels
  std::vector<int> operands_;
  Tensor packed_;
  int64_t u_size_ = 0;
  ScratchLayout layout_;
  size_t x_ = 0, y_ = 0, v_ = 0, m_ = 0, dump_ = 0;
  size_t v_bytes_ = 0, m_bytes_ = 0, dump_bytes_ = 0;
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
  const double compute = ComputeNs(
      2 * tiles * f * c * static_cast<double>(CeilDiv(p->features, kVector) * kVector), 1, 1);
  double ns = Costs().transform * tiles * f * (c * parts + k) / workers;
  // All that the threads read, together.
  const double filters = 4 * f * c * k * std::max(1.0, workers / parts);
  const int readers = static_cast<int>(workers);
  ns += StreamedNs(compute / workers, filters, readers);
  // The next groups find the filters in a nearer cache, but read all of them again.
  if (4 * f * c * k / parts > static_cast<double>(Costs().l2_bytes) / 2)
    ns += 0.5 * static_cast<double>(rounds - 1) * MoveNs(filters, filters, readers);
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
