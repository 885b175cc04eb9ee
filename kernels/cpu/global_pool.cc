// GlobalAveragePool, GlobalMaxPool and GlobalLpPool: one number for each plane.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/staging.h"
#include "kernels/cpu/tile/function.h"
#include "kernels/kernel.h"

namespace sluice::cpu {
namespace {

enum class Kind : uint8_t { kMax, kAverage, kLp };

constexpr int64_t kChunk = 1024;  // elements converted or raised to a power at a time

class GlobalPool final : public Kernel {
 public:
  GlobalPool(const PrepareContext& context, Kind kind)
      : kind_(kind),
        dtype_(context.input_dtype(0)),
        compute_(ComputeType(dtype_)),
        planes_(Product(context.output_dims(0))),
        power_(kind == Kind::kLp ? context.node.Int("p") : 1) {
    const Dims in = context.input_dims(0);
    size_ = Product(absl::MakeConstSpan(in).subspan(2));
    op_ = kind == Kind::kMax ? ReduceOp::kMax : ReduceOp::kSum;
    reduce_ = FindReduce(op_, compute_);
    abs_ = FindTileFunction(TileStep::kAbs, compute_);
    square_ = FindTileFunction(TileStep::kSquare, compute_);
  }

  absl::Status Launch(const LaunchContext& context) const override {
    auto body = [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const char* x = context.input<char>(0) + i * size_ * static_cast<int64_t>(ByteSize(dtype_));
        char* y = context.output<char>(0) + i * static_cast<int64_t>(ByteSize(dtype_));
        if (compute_ == DType::kF64) {
          One<double>(x, y);
        } else {
          One<float>(x, y);
        }
      }
    };
    if (context.pool == nullptr) {
      body(0, planes_);
    } else {
      context.pool->ParallelFor(planes_, (1 << 15) / std::max<int64_t>(1, size_) + 1, body);
    }
    return absl::OkStatus();
  }

  std::string Description() const override { return "one reduction a plane"; }

 private:
  template <typename T>
  void One(const char* x, char* y) const {
    T acc = 0;  // of powers, which are never -0.0: over nothing, too
    if (kind_ != Kind::kLp) ReduceIdentity(op_, compute_, &acc);
    if (dtype_ == compute_ && kind_ != Kind::kLp) {
      reduce_(x, static_cast<size_t>(size_), &acc);
    } else {
      alignas(64) T buffer[kChunk];
      for (int64_t at = 0; at < size_; at += kChunk) {
        const size_t n = static_cast<size_t>(std::min(kChunk, size_ - at));
        const void* in[1] = {x + at * static_cast<int64_t>(ByteSize(dtype_))};
        FindConversion(dtype_, compute_)(in, buffer, n, {});
        in[0] = buffer;
        if (kind_ == Kind::kLp) {
          (power_ == 2 ? square_ : abs_)->fn(in, buffer, n, {});
          for (size_t i = 0; power_ > 2 && i < n; ++i) {
            buffer[i] = std::pow(buffer[i], static_cast<T>(power_));
          }
        }
        reduce_(buffer, n, &acc);
      }
    }
    if (kind_ == Kind::kAverage) acc /= static_cast<T>(size_);
    if (kind_ == Kind::kLp && power_ == 2) acc = std::sqrt(acc);
    if (kind_ == Kind::kLp && power_ > 2) acc = std::pow(acc, T{1} / static_cast<T>(power_));
    const void* in[1] = {&acc};
    FindConversion(compute_, dtype_)(in, y, 1, {});
  }

  const Kind kind_;
  const DType dtype_, compute_;
  const int64_t planes_, power_;
  int64_t size_ = 0;
  ReduceOp op_;
  ReduceFn reduce_;
  const TileFunction *abs_, *square_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareGlobalAveragePool(const PrepareContext& context) {
  return std::make_unique<GlobalPool>(context, Kind::kAverage);
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareGlobalMaxPool(const PrepareContext& context) {
  return std::make_unique<GlobalPool>(context, Kind::kMax);
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareGlobalLpPool(const PrepareContext& context) {
  return std::make_unique<GlobalPool>(context, Kind::kLp);
}

}  // namespace sluice::cpu
