#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/tile/function.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rotary_embedding.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/simd.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {

// Rotates `half` pairs: (x[i], x[half + i]), or neighbours. `out` may be `x`.
void RotateHalves(const float* x, const float* cosine, const float* sine, int64_t half,
                  float* out) {
  SLUICE_VECTORIZE
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[half + i];
    out[i] = cosine[i] * a - sine[i] * b;
    out[half + i] = sine[i] * a + cosine[i] * b;
  }
}
void RotateNeighbours(const float* x, const float* cosine, const float* sine, int64_t half,
                      float* out) {
  SLUICE_VECTORIZE
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    out[2 * i] = cosine[i] * a - sine[i] * b;
    out[2 * i + 1] = sine[i] * a + cosine[i] * b;
  }
}

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {
HWY_EXPORT(RotateHalves);
HWY_EXPORT(RotateNeighbours);

namespace {

class RotaryEmbeddingKernel : public Kernel {
 public:
  explicit RotaryEmbeddingKernel(const PrepareContext& c)
      : threads_(std::max(1, c.threads)), dtype_(c.input_dtype(0)) {
    const Dims x = c.input_dims(0);
    batch_ = x[0];
    heads_first_ = x.size() == 4;
    heads_ = heads_first_ ? x[1] : c.node.Int("num_heads");
    sequence_ = x[x.size() - 2];
    size_ = heads_first_ ? x[3] : x[2] / heads_;
    const int64_t rotary = c.node.Int("rotary_embedding_dim");
    half_ = (rotary == 0 ? size_ : rotary) / 2;
    positions_ = c.HasInput(3) ? c.input_dims(1)[0] : 0;
    interleaved_ = c.node.Int("interleaved") != 0;
    load_ = FindConversion(dtype_, DType::kF32);
    store_ = FindConversion(DType::kF32, dtype_);
  }

  absl::Status Launch(const LaunchContext& c) const override {
    const int64_t* ids = c.input<int64_t>(3);
    for (int64_t i = 0; ids != nullptr && i < batch_ * sequence_; ++i) {
      if (ids[i] < 0 || ids[i] >= positions_) {
        return absl::OutOfRangeError(absl::StrCat("position_ids holds ", ids[i], " at ", i,
                                                  ", which is not within [0, ", positions_, ")"));
      }
    }
    const int64_t rows = batch_ * heads_ * sequence_;
    const int64_t tasks = std::clamp<int64_t>(rows * size_ / (1 << 14), 1, threads_);
    c.pool->RunTasks(static_cast<int>(tasks), [&](int task, int n) {
      for (int64_t row = rows * task / n; row < rows * (task + 1) / n; ++row)
        Rotate(c, ids, row, task);
    });
    return absl::OkStatus();
  }

  std::string Description() const override {
    return interleaved_ ? "rotate neighbours" : "rotate halves";
  }
  size_t scratch_bytes() const override {
    return dtype_ == DType::kF32 ? 0 : threads_ * 2 * size_ * sizeof(float);
  }
  std::vector<std::pair<int, int>> in_place() const override { return {{0, 0}}; }

 private:
  // One head of one token; rows in the order of memory.
  void Rotate(const LaunchContext& c, const int64_t* ids, int64_t row, int task) const {
    const int64_t token =
        heads_first_ ? row / (heads_ * sequence_) * sequence_ + row % sequence_ : row / heads_;
    const int64_t angle = (ids != nullptr ? ids[token] : token) * half_;
    const auto rotate =
        interleaved_ ? HWY_DYNAMIC_DISPATCH(RotateNeighbours) : HWY_DYNAMIC_DISPATCH(RotateHalves);
    const int64_t rest = size_ - 2 * half_;
    if (dtype_ == DType::kF32) {
      const float* x = c.input<float>(0) + row * size_;
      float* y = c.output<float>(0) + row * size_;
      rotate(x, c.input<float>(1) + angle, c.input<float>(2) + angle, half_, y);
      if (x != y) std::copy_n(x + 2 * half_, rest, y + 2 * half_);
      return;
    }
    const size_t bytes = ByteSize(dtype_);
    float* x = static_cast<float*>(c.scratch) + task * 2 * size_;
    float *cosine = x + size_, *sine = cosine + half_;
    auto load = [&](int input, int64_t offset, int64_t n, float* to) {
      const void* in[] = {c.input<char>(input) + offset * bytes};
      load_(in, to, n, {});
    };
    load(0, row * size_, size_, x);
    load(1, angle, half_, cosine);
    load(2, angle, half_, sine);
    rotate(x, cosine, sine, half_, x);
    const void* in[] = {x};
    store_(in, c.output<char>(0) + row * size_ * bytes, size_, {});
  }

  const int threads_;
  const DType dtype_;
  int64_t batch_, heads_, sequence_, size_, half_;
  int64_t positions_;  // rows of the caches that position_ids name
  bool heads_first_, interleaved_;
  TileFn load_, store_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareRotaryEmbedding(const PrepareContext& context) {
  return std::make_unique<RotaryEmbeddingKernel>(context);
}

}  // namespace sluice::cpu
#endif  // HWY_ONCE
