// QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear. Every granularity comes down to rows
// of elements that share a scale, or have one each.
#include "kernels/cpu/quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/staging.h"
#include "kernels/cpu/tile/function.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/quantize.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/simd.h"

#ifndef SLUICE_KERNELS_CPU_QUANTIZE_CC_
#define SLUICE_KERNELS_CPU_QUANTIZE_CC_
namespace sluice::cpu {
struct QuantizeLoops {
  // y = saturate(rint(q) + zero); zero null: 0. `step` 0: one zero point for all.
  void (*finish)(const float* q, const void* zero, int64_t step, void* y, int64_t n) = nullptr;
  // y = (x - zero) * scale.
  void (*dequantize)(const void* x, const void* zero, const float* scale, int64_t step, float* y,
                     int64_t n) = nullptr;
};
using DivideFn = void (*)(const float* x, const float* scale, int64_t step, float* q, int64_t n);
}  // namespace sluice::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {

void Divide(const float* HWY_RESTRICT x, const float* HWY_RESTRICT scale, int64_t step,
            float* HWY_RESTRICT q, int64_t n) {
  if (step == 0) {
    const float s = *scale;
    for (int64_t i = 0; i < n; ++i) q[i] = x[i] / s;
  } else {
    for (int64_t i = 0; i < n; ++i) q[i] = x[i] / scale[i];
  }
}

// Rounds first, ties to even, and adds the zero point after, as the specification says. The bounds
// are those of the result less the zero point, so that the sum cannot overflow. NaN counts as 0.
template <typename Q>
HWY_INLINE Q FinishOne(float q, int32_t zero) {
  const float low = static_cast<float>(int32_t{std::numeric_limits<Q>::min()} - zero);
  const float high = static_cast<float>(int32_t{std::numeric_limits<Q>::max()} - zero);
  float r = q != q ? 0.0f : __builtin_rintf(q);
  r = r < low ? low : r > high ? high : r;
  return static_cast<Q>(static_cast<int32_t>(r) + zero);
}

template <typename Q>
void Finish(const float* HWY_RESTRICT q, const void* zero, int64_t step, void* out, int64_t n) {
  const Q* HWY_RESTRICT z = static_cast<const Q*>(zero);
  Q* HWY_RESTRICT y = static_cast<Q*>(out);
  if (step == 0 || z == nullptr) {
    const int32_t one = z == nullptr ? 0 : *z;
    for (int64_t i = 0; i < n; ++i) y[i] = FinishOne<Q>(q[i], one);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = FinishOne<Q>(q[i], z[i]);
  }
}

template <typename Q>
void Dequantize(const void* in, const void* zero, const float* HWY_RESTRICT scale, int64_t step,
                float* HWY_RESTRICT y, int64_t n) {
  const Q* HWY_RESTRICT x = static_cast<const Q*>(in);
  const Q* HWY_RESTRICT z = static_cast<const Q*>(zero);
  if (step == 0) {
    const float s = *scale, offset = z == nullptr ? 0.0f : static_cast<float>(*z);
    for (int64_t i = 0; i < n; ++i) y[i] = (static_cast<float>(x[i]) - offset) * s;
  } else if (z == nullptr) {
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i]) * scale[i];
  } else {
    for (int64_t i = 0; i < n; ++i) {
      y[i] = (static_cast<float>(x[i]) - static_cast<float>(z[i])) * scale[i];
    }
  }
}

// y = saturate(rint(acc * scale) + zero)
template <typename Q>
void Requantize(const int32_t* HWY_RESTRICT acc, int64_t acc_step, const float* scale,
                int64_t scale_step, int32_t zero, void* out, int64_t n) {
  Q* HWY_RESTRICT y = static_cast<Q*>(out);
  if (acc_step == 1 && scale_step == 0) {
    const float s = *scale;
    for (int64_t i = 0; i < n; ++i) y[i] = FinishOne<Q>(static_cast<float>(acc[i]) * s, zero);
  } else {
    for (int64_t i = 0; i < n; ++i) {
      y[i] = FinishOne<Q>(static_cast<float>(acc[i * acc_step]) * scale[i * scale_step], zero);
    }
  }
}

QuantizeLoops FindLoops(DType dtype) {
  switch (dtype) {
    case DType::kI8:
      return {Finish<int8_t>, Dequantize<int8_t>};
    case DType::kU8:
      return {Finish<uint8_t>, Dequantize<uint8_t>};
    case DType::kI16:
      return {Finish<int16_t>, Dequantize<int16_t>};
    case DType::kU16:
      return {Finish<uint16_t>, Dequantize<uint16_t>};
    case DType::kI32:
      return {nullptr, Dequantize<int32_t>};
    default:
      return {};
  }
}
DivideFn FindDivide() { return Divide; }
RequantizeFn FindRequantizeLoop(bool is_signed) {
  return is_signed ? Requantize<int8_t> : Requantize<uint8_t>;
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {

HWY_EXPORT(FindRequantizeLoop);
RequantizeFn FindRequantize(bool is_signed) {
  return HWY_DYNAMIC_DISPATCH(FindRequantizeLoop)(is_signed);
}

namespace {

HWY_EXPORT(FindLoops);
HWY_EXPORT(FindDivide);

constexpr int64_t kChunk = 1024;
constexpr int64_t kGrain = 1 << 14;

// Rows of `length` elements, each with its own first scale; see the file's head.
struct Rows {
  int64_t count = 0, length = 0;
  int64_t step = 0;             // from one element's scale to the next one's: 0 or 1
  int64_t axis = 1, block = 1;  // rows of an outer index share scales in groups of `block` rows
  int64_t axis_scales = 0;      // groups an outer index; 0: one scale for everything
  int64_t scale_length = 1;     // scales of a group
  int64_t last_length = 0;      // the length of the last row of an outer index, where shorter

  static Rows Of(const PrepareContext& context) {
    const Node& node = context.node;
    const Dims x = context.input_dims(0), scale = context.input_dims(1);
    const int64_t total = Product(x), block = node.Int("block_size");
    Rows rows;
    if (block == 0 && Product(scale) == 1) {
      rows.count = std::max<int64_t>(1, total / kGrain);
      rows.length = total;
      return rows;
    }
    int64_t axis = node.Int("axis");
    if (axis < 0) axis += static_cast<int64_t>(x.size());
    const int64_t extent = x[axis];
    const int64_t outer = Product(absl::MakeConstSpan(x).first(axis));
    const int64_t inner = Product(absl::MakeConstSpan(x).subspan(axis + 1));
    if (total == 0) return rows;
    if (block == 0 && inner == 1) {  // one scale an element of the last axis
      rows = {outer, extent, 1, 1, 1, 0, 1, extent};
    } else if (block == 0) {
      rows = {outer * extent, inner, 0, extent, 1, 0, 1, inner};
      rows.axis_scales = -1;  // the same for every outer index
    } else if (inner == 1) {  // runs that share a scale
      const int64_t groups = (extent + block - 1) / block;
      rows = {outer * groups, block, 0, groups, 1, groups, 1, extent - (groups - 1) * block};
    } else {
      rows = {outer * extent, inner, 1, extent, block, (extent + block - 1) / block, inner, inner};
    }
    return rows;
  }
  int64_t ScaleOf(int64_t row) const {
    if (axis_scales == 0) return 0;
    if (axis_scales < 0) return row % axis;
    return (row / axis * axis_scales + row % axis / block) * scale_length;
  }
};

// What quantizing and dequantizing share: rows in parallel, chunk by chunk.
class RowsKernel : public Kernel {
 public:
  explicit RowsKernel(const PrepareContext& context)
      : rows_(Rows::Of(context)),
        total_(Product(context.input_dims(0))),
        scales_(Product(context.input_dims(1))),
        scale_type_(context.input_dtype(1)),
        whole_(context.node.Int("block_size") == 0 && scales_ == 1) {}

  absl::Status Launch(const LaunchContext& context) const override {
    if (total_ == 0) return absl::OkStatus();
    const float* scale = context.input<float>(1);
    if (scale_type_ != DType::kF32) {
      const void* in[1] = {scale};
      FindConversion(scale_type_, DType::kF32)(in, context.scratch, static_cast<size_t>(scales_),
                                               {});
      scale = static_cast<const float*>(context.scratch);
    }
    auto run = [&](int64_t first, int64_t n, int64_t at) {
      for (int64_t done = 0; done < n; done += kChunk) {
        const int64_t part = std::min(kChunk, n - done), s = at + done * rows_.step;
        Chunk(context, first + done, part, scale + s, s, rows_.step);
      }
    };
    auto body = [&](int64_t begin, int64_t end) {
      if (whole_) {
        run(begin, end - begin, 0);
        return;
      }
      for (int64_t r = begin; r < end; ++r) {
        const bool last = r % rows_.axis == rows_.axis - 1;
        const int64_t outer = (rows_.axis - 1) * rows_.length + rows_.last_length;
        run(r / rows_.axis * outer + r % rows_.axis * rows_.length,
            last ? rows_.last_length : rows_.length, rows_.ScaleOf(r));
      }
    };
    const int64_t n = whole_ ? total_ : rows_.count;
    const int64_t grain = whole_ ? kGrain : kGrain / std::max<int64_t>(1, rows_.length) + 1;
    if (context.pool == nullptr) {
      body(0, n);
    } else {
      context.pool->ParallelFor(n, grain, body);
    }
    return absl::OkStatus();
  }
  std::string Description() const override { return whole_ ? "one scale" : "rows of scales"; }
  size_t scratch_bytes() const override {
    return scale_type_ == DType::kF32 ? 0 : static_cast<size_t>(scales_) * sizeof(float);
  }

 protected:
  // Elements [first, first + n), n <= kChunk; `zero` is the index of the first zero point.
  virtual void Chunk(const LaunchContext& context, int64_t first, int64_t n, const float* scale,
                     int64_t zero, int64_t step) const = 0;

 private:
  const Rows rows_;
  const int64_t total_, scales_;
  const DType scale_type_;
  const bool whole_;
};

class Quantize final : public RowsKernel {
 public:
  explicit Quantize(const PrepareContext& context)
      : RowsKernel(context),
        in_(context.input_dtype(0)),
        out_(context.output_dtype(0)),
        precision_(context.node.GetDType("precision")),
        loops_(HWY_DYNAMIC_DISPATCH(FindLoops)(out_)),
        divide_(HWY_DYNAMIC_DISPATCH(FindDivide)()) {
    in_double_ = in_ == DType::kI32 && precision_ == DType::kInvalid;
    if (precision_ == DType::kInvalid) precision_ = context.input_dtype(1);
    if (!IsFloat(precision_)) precision_ = DType::kF32;
  }

 protected:
  void Chunk(const LaunchContext& context, int64_t first, int64_t n, const float* scale,
             int64_t zero, int64_t step) const override {
    alignas(64) float x[kChunk], q[kChunk];
    const void* in[1] = {context.input<char>(0) + first * static_cast<int64_t>(ByteSize(in_))};
    if (in_double_) {
      const int32_t* whole = static_cast<const int32_t*>(in[0]);
      for (int64_t i = 0; i < n; ++i) {
        // Beyond 2^24 an f32 would not hold the result; there it saturates.
        q[i] = static_cast<float>(std::rint(whole[i] / double{scale[i * step]}));
      }
    } else {
      FindConversion(in_, DType::kF32)(in, x, static_cast<size_t>(n), {});
      float rounded_scale[kChunk];
      if (precision_ != DType::kF32) {
        Round(x, x, n);
        Round(scale, rounded_scale, step == 0 ? 1 : n);
        scale = rounded_scale;
      }
      divide_(x, scale, step, q, n);
      if (precision_ != DType::kF32) Round(q, q, n);
    }
    const int64_t size = static_cast<int64_t>(ByteSize(out_));
    const char* z = context.input<char>(2);
    loops_.finish(q, z == nullptr ? nullptr : z + zero * size, step,
                  context.output<char>(0) + first * size, n);
  }

 private:
  // To the precision of the division and back.
  void Round(const float* from, float* to, int64_t n) const {
    uint16_t half[kChunk];
    const void* in[1] = {from};
    FindConversion(DType::kF32, precision_)(in, half, static_cast<size_t>(n), {});
    in[0] = half;
    FindConversion(precision_, DType::kF32)(in, to, static_cast<size_t>(n), {});
  }

  const DType in_, out_;
  DType precision_;
  bool in_double_;  // integers by a scale, unless another precision is asked for
  const QuantizeLoops loops_;
  const DivideFn divide_;
};

class Dequantize final : public RowsKernel {
 public:
  explicit Dequantize(const PrepareContext& context)
      : RowsKernel(context),
        in_(context.input_dtype(0)),
        out_(context.output_dtype(0)),
        loops_(HWY_DYNAMIC_DISPATCH(FindLoops)(in_)) {}

 protected:
  void Chunk(const LaunchContext& context, int64_t first, int64_t n, const float* scale,
             int64_t zero, int64_t step) const override {
    const int64_t size = static_cast<int64_t>(ByteSize(in_));
    const char* x = context.input<char>(0) + first * size;
    const char* z = context.input<char>(2);
    if (z != nullptr) z += zero * size;
    char* y = context.output<char>(0) + first * static_cast<int64_t>(ByteSize(out_));
    if (out_ == DType::kF32) {
      loops_.dequantize(x, z, scale, step, reinterpret_cast<float*>(y), n);
      return;
    }
    alignas(64) float buffer[kChunk];
    loops_.dequantize(x, z, scale, step, buffer, n);
    const void* in[1] = {buffer};
    FindConversion(DType::kF32, out_)(in, y, static_cast<size_t>(n), {});
  }

 private:
  const DType in_, out_;
  const QuantizeLoops loops_;
};

class DynamicQuantize final : public Kernel {
 public:
  explicit DynamicQuantize(const PrepareContext& context)
      : total_(Product(context.input_dims(0))),
        max_(FindReduce(ReduceOp::kMax, DType::kF32)),
        min_(FindReduce(ReduceOp::kMin, DType::kF32)),
        loops_(HWY_DYNAMIC_DISPATCH(FindLoops)(DType::kU8)),
        divide_(HWY_DYNAMIC_DISPATCH(FindDivide)()) {}

  absl::Status Launch(const LaunchContext& context) const override {
    const float* x = context.input<float>(0);
    float low = 0, high = 0;  // the range holds 0
    max_(x, static_cast<size_t>(total_), &high);
    min_(x, static_cast<size_t>(total_), &low);
    // Zeros alone: the specification's 0 / 0 has no meaning, and any scale will do.
    const float scale = high == low ? 1.0f : (high - low) / 255;
    const float wanted = std::isfinite(low / scale) ? -low / scale : 0.0f;
    const uint8_t zero = static_cast<uint8_t>(std::rint(std::clamp(wanted, 0.0f, 255.0f)));
    *context.output<float>(1) = scale;
    *context.output<uint8_t>(2) = zero;
    auto body = [&](int64_t begin, int64_t end) {
      alignas(64) float q[kChunk];
      for (int64_t at = begin; at < end; at += kChunk) {
        const int64_t n = std::min(kChunk, end - at);
        divide_(x + at, &scale, 0, q, n);
        loops_.finish(q, &zero, 0, context.output<uint8_t>(0) + at, n);
      }
    };
    if (context.pool == nullptr) {
      body(0, total_);
    } else {
      context.pool->ParallelFor(total_, kGrain, body);
    }
    return absl::OkStatus();
  }
  std::string Description() const override { return "range, then one scale"; }

 private:
  const int64_t total_;
  const ReduceFn max_, min_;
  const QuantizeLoops loops_;
  const DivideFn divide_;
};

}  // namespace

namespace {

// Inference has compared what it knew; here every extent is a number.
absl::Status CheckScales(const PrepareContext& context) {
  const Dims x = context.input_dims(0), scale = context.input_dims(1);
  const int64_t block = context.node.Int("block_size"), scales = Product(scale);
  int64_t axis = context.node.Int("axis"), wanted = 1;
  const int64_t rank = static_cast<int64_t>(x.size());
  if (axis < 0) axis += rank;
  if (block < 0 || (context.HasInput(2) && Product(context.input_dims(2)) != scales)) wanted = -1;
  if (wanted > 0 && (block != 0 || scales != 1)) {
    if (axis < 0 || axis >= rank) {
      wanted = -1;
    } else if (block == 0) {
      wanted = x[axis];
    } else {
      for (int64_t i = 0; i < rank; ++i) {
        wanted *= i == axis ? x[i] / block + (x[i] % block != 0) : x[i];
      }
    }
  }
  if (wanted == scales) return absl::OkStatus();
  return NodeError(context.node, absl::StatusCode::kInvalidArgument,
                   absl::StrCat("scale ", DimsToString(scale), " and its zero point do not fit ",
                                DimsToString(x), " along axis ", axis));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareQuantize(const PrepareContext& context) {
  if (absl::Status s = CheckScales(context); !s.ok()) return s;
  return std::make_unique<Quantize>(context);
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareDequantize(const PrepareContext& context) {
  if (absl::Status s = CheckScales(context); !s.ok()) return s;
  return std::make_unique<Dequantize>(context);
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareDynamicQuantize(const PrepareContext& context) {
  return std::make_unique<DynamicQuantize>(context);
}

}  // namespace sluice::cpu
#endif  // HWY_ONCE
