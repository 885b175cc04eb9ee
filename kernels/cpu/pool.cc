// MaxPool, AveragePool and LpPool, fused or not. A line of results folds the input lines under its
// windows into one line first (contiguous, vectorised), and that line along itself after.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/pool_problem.h"
#include "kernels/cpu/tile/function.h"
#include "kernels/kernel.h"
#include "ops/window.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/pool.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/simd.h"

#ifndef SLUICE_KERNELS_CPU_POOL_CC_
#define SLUICE_KERNELS_CPU_POOL_CC_
namespace sluice::cpu {
// to[i] = op(to[i], from[i]); and to[i] = op over k of from[i * stride + k * dilation].
struct PoolLoops {
  void (*combine)(const void* from, void* to, int64_t n) = nullptr;
  void (*fold)(const void* from, void* to, int64_t n, int64_t kernel, int64_t stride,
               int64_t dilation) = nullptr;
};
}  // namespace sluice::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {

template <typename T, bool kMax>
HWY_INLINE T Op(T a, T b) {
  if constexpr (!kMax) {
    return a + b;
  } else if constexpr (hwy::IsFloat<T>()) {
    return b > a || b != b ? b : a;  // NaN wins
  } else {
    return b > a ? b : a;
  }
}

template <typename T, bool kMax>
void Combine(const void* from, void* to, int64_t n) {
  const T* HWY_RESTRICT x = static_cast<const T*>(from);
  T* HWY_RESTRICT y = static_cast<T*>(to);
  for (int64_t i = 0; i < n; ++i) y[i] = Op<T, kMax>(y[i], x[i]);
}

template <typename T, bool kMax, int64_t kStride>
HWY_INLINE void FoldTap(const T* HWY_RESTRICT x, T* HWY_RESTRICT y, int64_t n, int64_t stride) {
  if constexpr (kStride != 0) stride = kStride;
  for (int64_t i = 0; i < n; ++i) y[i] = Op<T, kMax>(y[i], x[i * stride]);
}

template <typename T, bool kMax>
void Fold(const void* from, void* to, int64_t n, int64_t kernel, int64_t stride, int64_t dilation) {
  const T* x = static_cast<const T*>(from);
  T* y = static_cast<T*>(to);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i * stride];
  for (int64_t k = 1; k < kernel; ++k) {
    const T* tap = x + k * dilation;
    if (stride == 1) {
      FoldTap<T, kMax, 1>(tap, y, n, stride);
    } else if (stride == 2) {
      FoldTap<T, kMax, 2>(tap, y, n, stride);
    } else {
      FoldTap<T, kMax, 0>(tap, y, n, stride);
    }
  }
}

template <typename T>
PoolLoops LoopsOf(bool max) {
  return max ? PoolLoops{Combine<T, true>, Fold<T, true>}
             : PoolLoops{Combine<T, false>, Fold<T, false>};
}

PoolLoops FindLoops(DType dtype, bool max) {
  switch (dtype) {
    case DType::kF64:
      return LoopsOf<double>(max);
    case DType::kF32:
      return LoopsOf<float>(max);
    case DType::kI8:
      return max ? LoopsOf<int8_t>(true) : PoolLoops{};
    case DType::kU8:
      return max ? LoopsOf<uint8_t>(true) : PoolLoops{};
    default:
      return {};
  }
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {
namespace {

HWY_EXPORT(FindLoops);

constexpr int64_t kTaskWork = 1 << 15;  // elements read by one task at least

class Pool final : public Kernel {
 public:
  // `tail`: the steps, whose operand i is the i-th of the node's.
  Pool(PoolProblem problem, std::optional<Epilogue> tail, int threads)
      : p_(std::move(problem)),
        tail_(std::move(tail)),
        loops_(HWY_DYNAMIC_DISPATCH(FindLoops)(p_.compute, p_.kind == PoolKind::kMax)),
        element_(ByteSize(p_.compute)),
        threads_(std::max(1, threads)) {
    const Window& w = p_.window;
    const int last = w.rank() - 1;
    // The folded line begins with the padding and ends with the last window.
    line_ = p_.out[last] == 0 ? 0 : (p_.out[last] - 1) * w.strides[last] + w.extent(last);
    const size_t longest = static_cast<size_t>(std::max({line_, p_.in[last], p_.out[last]}));
    part_bytes_ = (longest * element_ + 63) / 64 * 64;
    if (p_.kind == PoolKind::kAverage) {
      for (int i = 0; i < w.rank(); ++i) {
        std::vector<double> counts;
        const int64_t low = p_.include_pad ? -w.pads_begin[i] : 0;
        const int64_t high = p_.in[i] + (p_.include_pad ? w.pads_end[i] : 0);
        for (int64_t o = 0; o < p_.out[i]; ++o) {
          const int64_t start = o * w.strides[i] - w.pads_begin[i];
          // Taps k of [0, kernel) with low <= start + k * dilation < high.
          const int64_t d = w.dilations[i];
          const int64_t first = start >= low ? 0 : (low - start + d - 1) / d;
          const int64_t end = start >= high ? 0 : (high - 1 - start) / d + 1;
          counts.push_back(
              static_cast<double>(std::max<int64_t>(0, std::min(end, w.kernel[i]) - first)));
        }
        counts_.push_back(std::move(counts));
      }
      inner_counts_.assign(counts_.back().begin(), counts_.back().end());
    }
    if (p_.kind == PoolKind::kLp) {
      power_ = FindTileFunction(p_.p == 1   ? TileStep::kAbs
                                : p_.p == 2 ? TileStep::kSquare
                                            : TileStep::kPow,
                                p_.compute);
      abs_ = FindTileFunction(TileStep::kAbs, p_.compute);
    }
  }

  absl::Status Launch(const LaunchContext& context) const override {
    const int last = p_.window.rank() - 1;
    const int64_t lines = p_.planes * (p_.out[last] == 0 ? 0 : Product(p_.out) / p_.out[last]);
    if (lines == 0) return absl::OkStatus();
    const int64_t work = lines * line_ * (Product(p_.window.kernel) / p_.window.kernel[last]);
    const int tasks = static_cast<int>(
        std::clamp<int64_t>(work / kTaskWork, 1, std::min<int64_t>(threads_, lines)));
    absl::InlinedVector<const void*, 8> operands;
    for (size_t i = kPoolOperands; i < context.inputs.size(); ++i) {
      operands.push_back(context.inputs[i]);
    }
    auto body = [&](int task, int) {
      char* buffer =
          static_cast<char*>(context.scratch) + static_cast<size_t>(task) * 3 * part_bytes_;
      for (int64_t i = lines * task / tasks; i < lines * (task + 1) / tasks; ++i) {
        Line(context.input<char>(0), context.output<char>(0), i, buffer, operands);
      }
    };
    if (context.pool == nullptr || tasks == 1) {
      for (int t = 0; t < tasks; ++t) body(t, tasks);
    } else {
      context.pool->RunTasks(tasks, body);
    }
    return absl::OkStatus();
  }

  std::string Description() const override {
    return absl::StrCat("lines in ", ToString(p_.compute));
  }
  size_t scratch_bytes() const override { return part_bytes_ * 3 * static_cast<size_t>(threads_); }

 private:
  void FillIdentity(void* to, int64_t n) const {
    if (p_.kind != PoolKind::kMax) {
      std::fill_n(static_cast<char*>(to), n * static_cast<int64_t>(element_), 0);
    } else if (p_.compute == DType::kF64) {
      std::fill_n(static_cast<double*>(to), n, -std::numeric_limits<double>::infinity());
    } else if (p_.compute == DType::kF32) {
      std::fill_n(static_cast<float*>(to), n, -std::numeric_limits<float>::infinity());
    } else {
      std::fill_n(static_cast<uint8_t*>(to), n,
                  p_.compute == DType::kI8 ? uint8_t{0x80} : uint8_t{0});
    }
  }

  // Line `index` of the result: all of the last axis.
  void Line(const char* x, char* y, int64_t index, char* buffer,
            absl::Span<const void* const> operands) const {
    const Window& w = p_.window;
    const int last = w.rank() - 1;
    const int64_t es = static_cast<int64_t>(element_);
    const int64_t stored = static_cast<int64_t>(ByteSize(p_.dtype));
    const int64_t width = p_.in[last], out_width = p_.out[last], pad = w.pads_begin[last];
    char *folded = buffer, *mapped = buffer + part_bytes_, *result = buffer + 2 * part_bytes_;
    int64_t plane = index, origin[64];
    double count = 1;
    for (int i = last - 1; i >= 0; --i) {
      const int64_t o = plane % p_.out[i];
      origin[i] = o * w.strides[i] - w.pads_begin[i];
      if (!counts_.empty()) count *= counts_[i][o];
      plane /= p_.out[i];
    }
    FillIdentity(folded, line_);
    const int64_t inside = std::min(width, line_ - pad);  // elements that some window reads
    int64_t outer_taps = 1;
    for (int i = 0; i < last; ++i) outer_taps *= w.kernel[i];
    for (int64_t tap = 0; tap < outer_taps && inside > 0; ++tap) {
      int64_t rest = tap, offset = 0, scale = 1;
      bool hit = true;
      for (int i = last - 1; i >= 0; --i) {
        const int64_t at = origin[i] + rest % w.kernel[i] * w.dilations[i];
        rest /= w.kernel[i];
        hit = hit && at >= 0 && at < p_.in[i];
        offset += at * scale;
        scale *= p_.in[i];
      }
      if (!hit) continue;
      const void* row = x + (plane * scale + offset) * width * stored;
      if (p_.dtype != p_.compute) {
        FindConversion(p_.dtype, p_.compute)(&row, mapped, static_cast<size_t>(inside), {});
        row = mapped;
      }
      if (p_.kind == PoolKind::kLp) {
        MapPower(row, mapped, inside);
        row = mapped;
      }
      loops_.combine(row, folded + pad * es, inside);
    }
    char* out = y + index * out_width * stored;
    char* to = p_.dtype == p_.compute ? out : result;
    loops_.fold(folded, to, out_width, w.kernel[last], w.strides[last], w.dilations[last]);
    if (p_.compute == DType::kF64) {
      Finish(reinterpret_cast<double*>(to), out_width, count);
    } else if (p_.compute == DType::kF32) {
      Finish(reinterpret_cast<float*>(to), out_width, count);
    }
    if (tail_.has_value()) tail_->Run(index, 0, out_width, to, operands);
    if (to != out) {
      const void* in[1] = {to};
      FindConversion(p_.compute, p_.dtype)(in, out, static_cast<size_t>(out_width), {});
    }
  }

  // |x|^p. `to` may be `from`.
  void MapPower(const void* from, void* to, int64_t n) const {
    const void* in[2] = {from, nullptr};
    if (p_.p <= 2) {
      power_->fn(in, to, static_cast<size_t>(n), {});
      return;
    }
    abs_->fn(in, to, static_cast<size_t>(n), {});
    if (p_.compute == DType::kF64) {
      double* v = static_cast<double*>(to);
      for (int64_t i = 0; i < n; ++i) v[i] = std::pow(v[i], static_cast<double>(p_.p));
    } else {
      float* v = static_cast<float*>(to);
      for (int64_t i = 0; i < n; ++i) v[i] = std::pow(v[i], static_cast<float>(p_.p));
    }
  }

  template <typename T>
  void Finish(T* y, int64_t n, double outer) const {
    if (p_.kind == PoolKind::kAverage) {
      const T factor = static_cast<T>(outer);
      if constexpr (sizeof(T) == 4) {
        for (int64_t i = 0; i < n; ++i) y[i] /= factor * inner_counts_[i];
      } else {
        for (int64_t i = 0; i < n; ++i) y[i] /= factor * counts_.back()[i];
      }
    } else if (p_.kind == PoolKind::kLp && p_.p == 2) {
      for (int64_t i = 0; i < n; ++i) y[i] = std::sqrt(y[i]);
    } else if (p_.kind == PoolKind::kLp && p_.p > 2) {
      for (int64_t i = 0; i < n; ++i) y[i] = std::pow(y[i], T{1} / static_cast<T>(p_.p));
    }
  }

  const PoolProblem p_;
  const std::optional<Epilogue> tail_;
  const PoolLoops loops_;
  const size_t element_;
  const int threads_;
  int64_t line_ = 0;
  size_t part_bytes_ = 0;
  std::vector<std::vector<double>> counts_;  // elements under a window, an axis and position each
  std::vector<float> inner_counts_;          // those of the last axis
  const TileFunction *power_ = nullptr, *abs_ = nullptr;
};

// MaxPool that says where: element by element.
class ArgMaxPool final : public Kernel {
 public:
  explicit ArgMaxPool(PoolProblem problem) : p_(std::move(problem)) {
    int64_t row = 1, column = 1;
    const int rank = p_.window.rank();
    strides_.resize(rank);
    index_strides_.resize(rank);
    for (int i = rank - 1; i >= 0; --i) {
      strides_[i] = row;
      row *= p_.in[i];
    }
    for (int i = 0; i < rank; ++i) {
      index_strides_[i] = p_.column_major ? column : strides_[i];
      column *= p_.in[i];
    }
  }

  absl::Status Launch(const LaunchContext& context) const override {
    VisitDType(
        p_.dtype,
        [&]<typename T>() {
          const int64_t size = Product(p_.out);
          auto body = [&](int64_t begin, int64_t end) {
            for (int64_t plane = begin; plane < end; ++plane) {
              Plane(context.input<T>(0) + plane * Product(p_.in), plane,
                    context.output<T>(0) + plane * size, context.output<int64_t>(1) + plane * size);
            }
          };
          if (context.pool == nullptr) {
            body(0, p_.planes);
          } else {
            const int64_t work = std::max<int64_t>(1, size * Product(p_.window.kernel));
            context.pool->ParallelFor(p_.planes, kTaskWork / work + 1, body);
          }
        },
        [] {});
    return absl::OkStatus();
  }
  std::string Description() const override { return "element by element, with indices"; }

 private:
  template <typename T>
  void Plane(const T* x, int64_t plane, T* y, int64_t* indices) const {
    const Window& w = p_.window;
    const int rank = w.rank();
    const int64_t size = Product(p_.out), taps = Product(w.kernel);
    for (int64_t o = 0; o < size; ++o) {
      int64_t origin[64];
      for (int64_t rest = o, i = rank - 1; i >= 0; --i) {
        origin[i] = rest % p_.out[i] * w.strides[i] - w.pads_begin[i];
        rest /= p_.out[i];
      }
      bool any = false;
      T best{};
      int64_t where = 0;
      for (int64_t tap = 0; tap < taps; ++tap) {
        int64_t offset = 0, index = 0;
        bool inside = true;
        for (int64_t rest = tap, i = rank - 1; i >= 0 && inside; --i) {
          const int64_t at = origin[i] + rest % w.kernel[i] * w.dilations[i];
          rest /= w.kernel[i];
          inside = at >= 0 && at < p_.in[i];
          offset += at * strides_[i];
          index += at * index_strides_[i];
        }
        if (!inside) continue;
        const T v = x[offset];
        const bool nan = static_cast<double>(v) != static_cast<double>(v);
        const bool held = any && static_cast<double>(best) != static_cast<double>(best);
        if (!any || (!held && (v > best || nan))) {
          best = v;
          where = index;
          any = true;
        }
      }
      y[o] = any ? best : Lowest<T>();
      indices[o] = plane * Product(p_.in) + where;
    }
  }

  template <typename T>
  static T Lowest() {
    if constexpr (std::is_integral_v<T>) {
      return std::numeric_limits<T>::min();
    } else {
      return static_cast<T>(-std::numeric_limits<float>::infinity());
    }
  }

  const PoolProblem p_;
  std::vector<int64_t> strides_, index_strides_;
};

absl::StatusOr<std::unique_ptr<Kernel>> MakePool(const PrepareContext& context, PoolKind kind) {
  absl::StatusOr<PoolProblem> p = PoolProblem::Read(context, kind);
  if (!p.ok()) return p.status();
  if (HasLayouts(context)) return absl::UnimplementedError("plain activations only");
  std::optional<Epilogue> tail;
  if (!p->steps.empty()) {
    tail.emplace(p->compute, context.output_dims(0));
    size_t binary = 0;
    for (PostOp step : p->steps) {
      if (step.operand >= 0 && p->dtype != p->compute) {
        return absl::UnimplementedError(
            absl::StrCat("operands of its steps are ", ToString(p->dtype)));
      }
      const Dims dims = step.operand >= 0 ? p->operands[binary] : Dims();
      if (step.operand >= 0) step.operand = static_cast<int>(binary++);
      if (absl::Status s = tail->Append(step, dims); !s.ok()) return s;
    }
  }
  return std::make_unique<Pool>(*std::move(p), std::move(tail), context.threads);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareMaxPool(const PrepareContext& context) {
  if (!context.HasOutput(1)) return MakePool(context, PoolKind::kMax);
  absl::StatusOr<PoolProblem> p = PoolProblem::Read(context, PoolKind::kMax);
  if (!p.ok()) return p.status();
  if (HasLayouts(context)) return absl::UnimplementedError("plain activations only");
  return std::make_unique<ArgMaxPool>(*std::move(p));
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareAveragePool(const PrepareContext& context) {
  return MakePool(context, PoolKind::kAverage);
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareLpPool(const PrepareContext& context) {
  return MakePool(context, PoolKind::kLp);
}

}  // namespace sluice::cpu
#endif  // HWY_ONCE
