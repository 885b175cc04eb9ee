#include <algorithm>

#include "kernels/cpu/tile/function.h"
#include "kernels/kernel.h"

namespace sluice::cpu {
namespace {

// Columns of neighbouring pixels, all channels: the sum of squares slides over the channels by
// adding up the window afresh, which costs little and loses nothing.
class LrnKernel : public Kernel {
 public:
  explicit LrnKernel(const PrepareContext& context)
      : dtype_(context.input_dtype(0)), computed_(ComputeType(dtype_)) {
    const Dims dims = context.input_dims(0);
    batch_ = dims[0];
    channels_ = dims[1];
    for (size_t i = 2; i < dims.size(); ++i) inner_ *= dims[i];
    const int64_t size = std::min(context.node.Int("size"), 2 * channels_ + 1);
    before_ = (size - 1) / 2;
    after_ = size - 1 - before_;
    alpha_over_size_ = context.node.Float("alpha") / static_cast<double>(context.node.Int("size"));
    beta_ = context.node.Float("beta");
    bias_ = context.node.Float("bias");
  }

  absl::Status Launch(const LaunchContext& c) const override {
    if (batch_ * channels_ * inner_ == 0) return absl::OkStatus();
    const int64_t tiles = (inner_ + kTile - 1) / kTile;
    c.pool->ParallelFor(
        batch_ * channels_ * tiles, std::max<int64_t>(1, 8192 / std::min(inner_, kTile)),
        [&](int64_t begin, int64_t end) {
          for (int64_t t = begin; t < end; ++t) {
            const int64_t i = t % tiles * kTile, plane = t / tiles;
            if (computed_ == DType::kF64) {
              Tile<double>(c, plane / channels_, plane % channels_, i, std::min(kTile, inner_ - i));
            } else {
              Tile<float>(c, plane / channels_, plane % channels_, i, std::min(kTile, inner_ - i));
            }
          }
        });
    return absl::OkStatus();
  }
  std::string Description() const override { return "tile[lrn]"; }

 private:
  static constexpr int64_t kTile = 512;

  template <typename C>
  void Tile(const LaunchContext& c, int64_t n, int64_t channel, int64_t i, int64_t count) const {
    alignas(64) C x[kTile], square[kTile], sum[kTile];
    const size_t size = static_cast<size_t>(count);
    const int64_t element = static_cast<int64_t>(ByteSize(dtype_));
    const auto load = [&](int64_t from_channel) {
      const void* from = c.input<char>(0) + ((n * channels_ + from_channel) * inner_ + i) * element;
      FindConversion(dtype_, computed_)(&from, x, size, {});
    };
    std::fill_n(sum, count, C{0});
    const int64_t last = std::min(channels_ - 1, channel + after_);
    for (int64_t from = std::max<int64_t>(0, channel - before_); from <= last; ++from) {
      load(from);
      Apply(TileStep::kSquare, {x}, square, size);
      Apply(TileStep::kAdd, {sum, square}, sum, size);
    }
    for (int64_t j = 0; j < count; ++j) {
      sum[j] = static_cast<C>(bias_) + static_cast<C>(alpha_over_size_) * sum[j];
    }
    load(channel);
    std::fill_n(square, count, static_cast<C>(beta_));
    Apply(TileStep::kPow, {sum, square}, sum, size);
    Apply(TileStep::kDiv, {x, sum}, x, size);
    void* to = c.output<char>(0) + ((n * channels_ + channel) * inner_ + i) * element;
    const void* from = x;
    FindConversion(computed_, dtype_)(&from, to, size, {});
  }
  void Apply(TileStep op, std::initializer_list<const void*> in, void* out, size_t n) const {
    FindTileFunction(op, computed_)->fn(in.begin(), out, n, {});
  }

  const DType dtype_, computed_;
  int64_t batch_ = 1, channels_ = 1, inner_ = 1, before_ = 0, after_ = 0;
  double alpha_over_size_ = 0, beta_ = 0, bias_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareLRN(const PrepareContext& context) {
  return std::make_unique<LrnKernel>(context);
}

}  // namespace sluice::cpu
