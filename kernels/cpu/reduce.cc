// The reductions as tile programs. Long ones run in two levels: slices of the reduced elements
// first, in parallel, then the slices' results; how a sum is cut depends on the shape alone, so
// that its value depends neither on the threads nor, much, on its length.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/int_input.h"
#include "kernels/cpu/tile/plan.h"
#include "kernels/cpu/tile/program_kernel.h"
#include "kernels/tile/reduction.h"

namespace sluice::cpu {
namespace {

// One level: reads `from`, writes `to`.
struct Level {
  Dims space;
  TileProgram::Range reduced;
  Dims in, out;  // strides
  DType from, to;
  bool first, last;  // of the levels
  int64_t count;     // elements that a result stands for, over all levels
};

absl::StatusOr<TilePlan> Build(const Reduction& recipe, const Level& level, int threads) {
  TileProgram p(level.space, level.reduced);
  const bool reduces = level.reduced.last > level.reduced.first;
  const TileProgram::ValueId x = p.Input(level.from, level.in);
  const TileProgram::ValueId v =
      LowerReduction(p, recipe, x, {reduces, level.first, level.last, level.count});
  p.Output(v, level.to, level.out);
  return TilePlan::Make(p, threads);
}

// Reductions over nothing, and reductions to nothing.
class FillKernel : public Kernel {
 public:
  FillKernel(DType dtype, int64_t count, double value)
      : dtype_(dtype), count_(count), value_(value) {}
  absl::Status Launch(const LaunchContext& c) const override {
    VisitDType(
        dtype_, [&]<typename T>() { std::fill_n(c.output<T>(0), count_, Value<T>()); }, [] {});
    return absl::OkStatus();
  }
  std::string Description() const override { return "fill"; }

 private:
  template <typename T>
  T Value() const {
    if constexpr (std::is_same_v<T, bool>) {
      return value_ > 0;
    } else if constexpr (std::is_integral_v<T>) {
      if (std::isnan(value_)) return 0;
      if (std::isinf(value_)) {
        return value_ > 0 ? std::numeric_limits<T>::max() : std::numeric_limits<T>::lowest();
      }
      return static_cast<T>(value_);
    } else {
      return static_cast<T>(value_);
    }
  }
  const DType dtype_;
  const int64_t count_;
  const double value_;
};

class ReduceKernel : public Kernel {
 public:
  // One level.
  explicit ReduceKernel(TilePlan only) : last_(std::move(only)) {}
  // Two: `body` and `tail` write slices, `last` combines them. Offsets are in bytes.
  ReduceKernel(TilePlan body, std::optional<TilePlan> tail, size_t tail_in, size_t tail_out,
               size_t partial_bytes, TilePlan last)
      : body_(std::move(body)),
        tail_(std::move(tail)),
        last_(std::move(last)),
        tail_in_(tail_in),
        tail_out_(tail_out),
        partial_bytes_((partial_bytes + 63) / 64 * 64) {}

  absl::Status Launch(const LaunchContext& c) const override {
    if (!body_.has_value()) {
      last_.Run(c.inputs.first(1), c.outputs, c.scratch, c.pool);
      return absl::OkStatus();
    }
    char* partial = static_cast<char*>(c.scratch);
    char* rest = partial + partial_bytes_;
    Run(*body_, c.inputs[0], partial, rest, c.pool);
    if (tail_.has_value()) {
      Run(*tail_, c.input<char>(0) + tail_in_, partial + tail_out_, rest, c.pool);
    }
    Run(last_, partial, c.outputs[0], rest, c.pool);
    return absl::OkStatus();
  }
  std::string Description() const override {
    return absl::StrCat(last_.ToString(), body_.has_value() ? " of slices" : "");
  }
  size_t scratch_bytes() const override {
    size_t bytes = last_.scratch_bytes();
    if (body_.has_value()) bytes = std::max(bytes, body_->scratch_bytes());
    if (tail_.has_value()) bytes = std::max(bytes, tail_->scratch_bytes());
    return partial_bytes_ + bytes;
  }

 private:
  static void Run(const TilePlan& p, const void* in, void* out, void* scratch, ThreadPool* pool) {
    p.Run({&in, 1}, {&out, 1}, scratch, pool);
  }
  std::optional<TilePlan> body_, tail_;
  TilePlan last_;
  size_t tail_in_ = 0, tail_out_ = 0, partial_bytes_ = 0;
};

// How many reduced elements one slice holds; 0 where one level is best.
int64_t SliceSize(const Reduction& recipe, const ReduceView& view, DType computed) {
  if (recipe.whole_mean) return 0;
  const bool columns = view.inner > 1;
  const int64_t slice = columns ? 128 : 16384;
  // f32 sums lose a bit each time their length doubles.
  if (recipe.is_sum() && computed == DType::kF32 && view.count > 4 * slice) return slice;
  // Too few results to keep the threads busy.
  const int64_t tasks = view.outer * ((view.inner + 4095) / 4096);
  return tasks < 64 && view.count > 4 * slice && view.count * view.inner > 65536 ? slice : 0;
}

absl::StatusOr<std::unique_ptr<Kernel>> TwoLevels(const Reduction& recipe, const ReduceView& view,
                                                  int64_t slice, DType from, DType computed,
                                                  DType to, int threads) {
  const int first = view.reduced.first, last = view.reduced.last;
  // Reduced extents before `cut` become results of the first level whole; `cut` itself in parts.
  int cut = last - 1;
  int64_t inside = 1;
  while (cut > first && inside * view.space[cut] <= slice) inside *= view.space[cut--];
  const int64_t length = std::clamp<int64_t>(slice / inside, 1, view.space[cut]);
  const int64_t slices = view.space[cut] / length, rest = view.space[cut] % length;
  const int64_t slots = slices + (rest > 0);
  const DType partial = computed == DType::kF32 && recipe.is_sum() ? DType::kF64 : computed;

  // [outer..., whole..., slots, inner] is what the first level writes.
  const auto level = [&](int64_t parts, int64_t each) {
    Level l{{}, {}, {}, {}, from, partial, true, false, view.count};
    Dims written(view.space.begin(), view.space.begin() + cut);
    written.push_back(slots);
    written.push_back(view.inner);
    const Dims strides = BroadcastStrides(written, written);
    for (int i = 0; i < cut; ++i) {
      l.space.push_back(view.space[i]);
      l.in.push_back(view.in[i]);
      l.out.push_back(strides[i]);
    }
    l.space.push_back(parts);
    l.in.push_back(view.in[cut] * length);
    l.out.push_back(view.inner);
    l.reduced.first = static_cast<int>(l.space.size());
    l.space.push_back(each);
    l.in.push_back(view.in[cut]);
    l.out.push_back(0);
    for (int i = cut + 1; i < static_cast<int>(view.space.size()); ++i) {
      l.space.push_back(view.space[i]);
      l.in.push_back(view.in[i]);
      l.out.push_back(i < last ? 0 : 1);
    }
    l.reduced.last = l.reduced.first + last - cut;
    return l;
  };
  absl::StatusOr<TilePlan> body = Build(recipe, level(slices, length), threads);
  if (!body.ok()) return body.status();
  std::optional<TilePlan> tail;
  if (rest > 0) {
    absl::StatusOr<TilePlan> p = Build(recipe, level(1, rest), threads);
    if (!p.ok()) return p.status();
    tail = *std::move(p);
  }
  int64_t parts = slots;
  for (int i = first; i < cut; ++i) parts *= view.space[i];
  const Level combine{{view.outer, parts, view.inner},
                      {1, 2},
                      {parts * view.inner, view.inner, 1},
                      {view.inner, 0, 1},
                      partial,
                      to,
                      false,
                      true,
                      view.count};
  absl::StatusOr<TilePlan> whole = Build(recipe, combine, threads);
  if (!whole.ok()) return whole.status();
  return std::make_unique<ReduceKernel>(
      *std::move(body), std::move(tail),
      static_cast<size_t>(slices * length * view.in[cut]) * ByteSize(from),
      static_cast<size_t>(slices * view.inner) * ByteSize(partial),
      static_cast<size_t>(view.outer * parts * view.inner) * ByteSize(partial), *std::move(whole));
}

// The kernel for data of extents `dims`.
absl::StatusOr<std::unique_ptr<Kernel>> Make(const Reduction& recipe,
                                             absl::Span<const int64_t> dims,
                                             const std::vector<bool>& reduced, DType dtype,
                                             int threads) {
  const ReduceView view = MakeReduceView(dims, reduced);
  if (view.outer * view.count * view.inner == 0) {
    return std::make_unique<FillKernel>(dtype, view.outer * view.inner, recipe.of_nothing);
  }
  // Bytes 0 and 1 are ordered like bools.
  const DType stored = dtype == DType::kBool ? DType::kU8 : dtype;
  const DType computed = recipe.fractional && IsInt(stored) ? DType::kF64 : ComputeType(stored);
  if (const int64_t slice = SliceSize(recipe, view, computed); slice > 0) {
    return TwoLevels(recipe, view, slice, stored, computed, stored, threads);
  }
  absl::StatusOr<TilePlan> only = Build(
      recipe, {view.space, view.reduced, view.in, view.out, stored, stored, true, true, view.count},
      threads);
  if (!only.ok()) return only.status();
  return std::make_unique<ReduceKernel>(*std::move(only));
}

// Data whose extents come with each launch: the program for them is as quickly built as looked up.
class OpenReduceKernel : public Kernel {
 public:
  OpenReduceKernel(const PrepareContext& context, const Reduction& recipe,
                   std::vector<bool> reduced)
      : recipe_(recipe),
        reduced_(std::move(reduced)),
        keep_(context.node.Int("keepdims") != 0),
        dtype_(context.input_dtype(0)),
        threads_(context.threads) {}

  absl::Status Launch(const LaunchContext& c) const override {
    const absl::Span<const int64_t> in = c.input_dims[0];
    Dims dims;
    for (size_t i = 0; i < in.size(); ++i) {
      if (!reduced_[i] || keep_) dims.push_back(reduced_[i] ? 1 : in[i]);
    }
    absl::StatusOr<void*> out = OutputMemory(c, 0, std::nullopt, dims);
    if (!out.ok()) return out.status();
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = Make(recipe_, in, reduced_, dtype_, threads_);
    if (!kernel.ok()) return kernel.status();
    absl::StatusOr<Tensor> scratch =
        Tensor::Allocate(DType::kU8, {static_cast<int64_t>((*kernel)->scratch_bytes())});
    if (!scratch.ok()) return scratch.status();
    void* const outputs[] = {*out};
    return (*kernel)->Launch({c.inputs, outputs, scratch->mutable_raw(), c.pool});
  }
  std::string Description() const override { return "tile, built at launch"; }
  bool dynamic_outputs() const override { return true; }

 private:
  const Reduction recipe_;
  const std::vector<bool> reduced_;  // by axis
  const bool keep_;
  const DType dtype_;
  const int threads_;
};

absl::StatusOr<std::unique_ptr<Kernel>> Prepare(const PrepareContext& context,
                                                const Reduction& recipe) {
  const int64_t rank = context.inputs[0].rank();
  std::vector<bool> reduced(rank, context.node.Int("noop_with_empty_axes") == 0);
  if (context.IsOpen(1)) return absl::UnimplementedError("axes are not constant");
  if (context.HasInput(1) && context.input_dims(1)[0] > 0) {
    if (!context.IsConstant(1)) return absl::UnimplementedError("axes are not constant");
    reduced.assign(rank, false);
    const std::vector<int64_t> axes = *context.constants[1].AsInts();
    for (int64_t axis : axes) {
      if (axis < -rank || axis >= rank) {
        return absl::InvalidArgumentError(
            absl::StrCat("axis ", axis, " is out of range for rank ", rank));
      }
      reduced[axis < 0 ? axis + rank : axis] = true;
    }
  }
  if (context.IsOpen(0))
    return std::make_unique<OpenReduceKernel>(context, recipe, std::move(reduced));
  return Make(recipe, context.input_dims(0), reduced, context.input_dtype(0), context.threads);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareReduction(const PrepareContext& context) {
  return Prepare(context, ReductionOf(context.node.op_name(), context.input_dtype(0)));
}

}  // namespace sluice::cpu
