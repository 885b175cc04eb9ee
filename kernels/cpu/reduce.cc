// The reductions as tile programs. Long ones run in two levels: slices of the reduced elements
// first, in parallel, then the slices' results; how a sum is cut depends on the shape alone, so
// that its value depends neither on the threads nor, much, on its length.
#include "kernels/cpu/reduce.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/int_input.h"
#include "kernels/cpu/program_kernel.h"

namespace sluice::cpu {
namespace {

using ValueId = TileProgram::ValueId;

// What one of the ops computes: combine(before(x)...), then after().
struct Recipe {
  ReduceOp combine = ReduceOp::kSum;
  std::optional<StepOp> before, after;
  bool mean = false;         // divides by the count at last
  bool whole_mean = false;   // of integers, instead of all the above
  bool log_sum_exp = false;  // instead of all the above
  bool fractional = false;   // integers are computed in f64
  double of_nothing = 0;

  bool is_sum() const { return combine == ReduceOp::kSum; }
};

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// One level: reads `from`, writes `to`.
struct Level {
  Dims space;
  TileProgram::Range reduced;
  Dims in, out;  // strides
  DType from, to;
  bool first, last;  // of the levels
  int64_t count;     // elements that a result stands for, over all levels
};

ValueId LogSumExp(TileProgram& p, ValueId x, bool reduces) {
  if (!reduces) return x;
  const ValueId max = p.Reduce(ReduceOp::kMax, x);
  // Where the largest is infinite, subtracting it would give NaN.
  const ValueId infinite = p.Step(StepOp::kIsInf, {max}, {1, 1});
  const ValueId shift = p.Step(StepOp::kWhere, {infinite, p.Scalar(p.dtype(x), 0), max});
  const ValueId e = p.Step(StepOp::kExp, {p.Step(StepOp::kSub, {x, shift})});
  return p.Step(StepOp::kAdd, {p.Step(StepOp::kLog, {p.Reduce(ReduceOp::kSum, e)}), shift});
}

// The mean of integers toward zero, exact whatever their size.
ValueId WholeMean(TileProgram& p, ValueId x, int64_t count) {
  const bool narrow = ByteSize(p.dtype(x)) < 8, natural = IsUnsignedInt(p.dtype(x));
  const DType wide = natural ? DType::kU64 : DType::kI64;
  x = p.Convert(x, wide);
  const ValueId n = p.Scalar(wide, static_cast<double>(count));
  if (narrow) return p.Step(StepOp::kDiv, {p.Reduce(ReduceOp::kSum, x), n});
  // The sum might not fit. The quotients' does, and the remainders': each is less than the count.
  const ValueId quotients = p.Reduce(ReduceOp::kSum, p.Step(StepOp::kDiv, {x, n}));
  const ValueId rests = p.Reduce(ReduceOp::kSum, p.Step(StepOp::kFmod, {x, n}));
  const ValueId mean = p.Step(StepOp::kAdd, {quotients, p.Step(StepOp::kDiv, {rests, n})});
  if (natural) return mean;
  // A remainder of the other sign takes the mean one nearer to zero.
  const ValueId zero = p.Scalar(wide, 0);
  const ValueId sign = p.Step(StepOp::kSign, {p.Step(StepOp::kFmod, {rests, n})});
  const ValueId product = p.Step(StepOp::kMul, {p.Step(StepOp::kSign, {mean}), sign});
  const ValueId differ = p.Step(StepOp::kLess, {product, zero});
  return p.Step(StepOp::kAdd, {mean, p.Step(StepOp::kWhere, {differ, sign, zero})});
}

struct Part {
  bool reduces, first, last;
  int64_t count;
};

// The recipe, or the part of it that one level does, in the dtype that it computes in.
ValueId Lower(TileProgram& p, const Recipe& recipe, ValueId v, const Part& part) {
  if (recipe.fractional && IsInt(p.dtype(v))) v = p.Convert(v, DType::kF64);
  if (recipe.log_sum_exp) return LogSumExp(p, v, part.reduces);
  if (recipe.whole_mean) return part.reduces ? WholeMean(p, v, part.count) : v;
  if (part.first && recipe.before.has_value()) v = p.Step(*recipe.before, {v});
  if (part.reduces) v = p.Reduce(recipe.combine, v);
  if (part.last && recipe.mean) {
    v = p.Step(StepOp::kDiv, {v, p.Scalar(p.dtype(v), static_cast<double>(part.count))});
  }
  if (part.last && recipe.after.has_value()) v = p.Step(*recipe.after, {v});
  return v;
}

absl::StatusOr<TileProgram> Build(const Recipe& recipe, const Level& level, int threads) {
  TileProgram p(level.space, level.reduced);
  const bool reduces = level.reduced.last > level.reduced.first;
  const ValueId x = p.Input(level.from, level.in);
  const ValueId v = Lower(p, recipe, x, {reduces, level.first, level.last, level.count});
  p.Output(v, level.to, level.out);
  if (absl::Status s = p.Finish(threads); !s.ok()) return s;
  return p;
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
  explicit ReduceKernel(TileProgram only) : last_(std::move(only)) {}
  // Two: `body` and `tail` write slices, `last` combines them. Offsets are in bytes.
  ReduceKernel(TileProgram body, std::optional<TileProgram> tail, size_t tail_in, size_t tail_out,
               size_t partial_bytes, TileProgram last)
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
  static void Run(const TileProgram& p, const void* in, void* out, void* scratch,
                  ThreadPool* pool) {
    p.Run({&in, 1}, {&out, 1}, scratch, pool);
  }
  std::optional<TileProgram> body_, tail_;
  TileProgram last_;
  size_t tail_in_ = 0, tail_out_ = 0, partial_bytes_ = 0;
};

// How many reduced elements one slice holds; 0 where one level is best.
int64_t SliceSize(const Recipe& recipe, const ReduceView& view, DType computed) {
  if (recipe.whole_mean) return 0;
  const bool columns = view.inner > 1;
  const int64_t slice = columns ? 128 : 16384;
  // f32 sums lose a bit each time their length doubles.
  if (recipe.is_sum() && computed == DType::kF32 && view.count > 4 * slice) return slice;
  // Too few results to keep the threads busy.
  const int64_t tasks = view.outer * ((view.inner + 4095) / 4096);
  return tasks < 64 && view.count > 4 * slice && view.count * view.inner > 65536 ? slice : 0;
}

absl::StatusOr<std::unique_ptr<Kernel>> TwoLevels(const Recipe& recipe, const ReduceView& view,
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
  absl::StatusOr<TileProgram> body = Build(recipe, level(slices, length), threads);
  if (!body.ok()) return body.status();
  std::optional<TileProgram> tail;
  if (rest > 0) {
    absl::StatusOr<TileProgram> p = Build(recipe, level(1, rest), threads);
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
  absl::StatusOr<TileProgram> whole = Build(recipe, combine, threads);
  if (!whole.ok()) return whole.status();
  return std::make_unique<ReduceKernel>(
      *std::move(body), std::move(tail),
      static_cast<size_t>(slices * length * view.in[cut]) * ByteSize(from),
      static_cast<size_t>(slices * view.inner) * ByteSize(partial),
      static_cast<size_t>(view.outer * parts * view.inner) * ByteSize(partial), *std::move(whole));
}

// The kernel for data of extents `dims`.
absl::StatusOr<std::unique_ptr<Kernel>> Make(const Recipe& recipe, absl::Span<const int64_t> dims,
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
  absl::StatusOr<TileProgram> only = Build(
      recipe, {view.space, view.reduced, view.in, view.out, stored, stored, true, true, view.count},
      threads);
  if (!only.ok()) return only.status();
  return std::make_unique<ReduceKernel>(*std::move(only));
}

// Data whose extents come with each launch: the program for them is as quickly built as looked up.
class OpenReduceKernel : public Kernel {
 public:
  OpenReduceKernel(const PrepareContext& context, const Recipe& recipe, std::vector<bool> reduced)
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
  const Recipe recipe_;
  const std::vector<bool> reduced_;  // by axis
  const bool keep_;
  const DType dtype_;
  const int threads_;
};

absl::StatusOr<std::unique_ptr<Kernel>> Prepare(const PrepareContext& context,
                                                const Recipe& recipe) {
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

// The op's recipe for a dtype.
Recipe RecipeOf(absl::string_view op, DType dtype) {
  if (op == "ReduceMean" && IsInt(dtype)) return {.whole_mean = true, .of_nothing = kNaN};
  if (op == "ReduceMean") return {.mean = true, .of_nothing = kNaN};
  if (op == "ReduceMax") return {.combine = ReduceOp::kMax, .of_nothing = -kInf};
  if (op == "ReduceMin") return {.combine = ReduceOp::kMin, .of_nothing = kInf};
  if (op == "ReduceProd") return {.combine = ReduceOp::kProd, .of_nothing = 1};
  if (op == "ReduceL1" && !IsUnsignedInt(dtype)) return {.before = StepOp::kAbs};
  if (op == "ReduceL2") {
    return {.before = StepOp::kSquare, .after = StepOp::kSqrt, .fractional = true};
  }
  if (op == "ReduceLogSum") {
    return {.after = StepOp::kLog, .fractional = true, .of_nothing = -kInf};
  }
  if (op == "ReduceLogSumExp") {
    return {.log_sum_exp = true, .fractional = true, .of_nothing = -kInf};
  }
  if (op == "ReduceSumSquare") return {.before = StepOp::kSquare};
  return {};  // ReduceSum, and ReduceL1 of what is never negative
}

}  // namespace

TileProgram::ValueId LowerReduction(TileProgram& program, const Node& node,
                                    TileProgram::ValueId value, int64_t count) {
  const DType dtype = program.dtype(value);
  const Part whole{.reduces = count > 1, .first = true, .last = true, .count = count};
  const ValueId result = Lower(program, RecipeOf(node.op_name(), dtype), value, whole);
  return program.Convert(result, dtype);
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareReduction(const PrepareContext& context) {
  return Prepare(context, RecipeOf(context.node.op_name(), context.input_dtype(0)));
}

}  // namespace sluice::cpu
