#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/kernel.h"

namespace sluice::cpu {
namespace {

// Floats add up in double: the error does not grow with the length. Integers wrap.
template <typename T>
using Sum =
    std::conditional_t<std::is_integral_v<T>,
                       typename std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>,
                                                   std::type_identity<T>>::type,
                       double>;

class CumSumKernel : public Kernel {
 public:
  explicit CumSumKernel(const PrepareContext& context)
      : dtype_(context.input_dtype(0)),
        axis_dtype_(context.input_dtype(1)),
        dims_(context.input_dims(0)),
        exclusive_(context.node.Int("exclusive") != 0),
        reverse_(context.node.Int("reverse") != 0) {}

  absl::Status Launch(const LaunchContext& c) const override {
    const int64_t rank = static_cast<int64_t>(dims_.size());
    const int64_t given = axis_dtype_ == DType::kI64 ? *c.input<int64_t>(1) : *c.input<int32_t>(1);
    if (given < -rank || given >= rank) {
      return absl::OutOfRangeError(
          absl::StrCat("axis ", given, " is out of range for rank ", rank));
    }
    // Of an empty tensor the other extents may be any numbers: their product could overflow.
    if (std::find(dims_.begin(), dims_.end(), 0) != dims_.end()) return absl::OkStatus();
    const int64_t axis = given < 0 ? given + rank : given;
    int64_t outer = 1, inner = 1;
    for (int64_t i = 0; i < axis; ++i) outer *= dims_[i];
    for (int64_t i = axis + 1; i < rank; ++i) inner *= dims_[i];
    const int64_t n = dims_[axis];
    VisitDType(
        dtype_,
        [&]<typename T>() {
          if constexpr (!std::is_same_v<T, bool>) {
            const T* x = c.input<T>(0);
            T* y = c.output<T>(0);
            const int64_t tiles = (inner + kTile - 1) / kTile;
            c.pool->ParallelFor(
                outer * tiles, std::max<int64_t>(1, 16384 / (n * std::min(inner, kTile))),
                [&](int64_t begin, int64_t end) {
                  for (int64_t t = begin; t < end; ++t) {
                    const int64_t i = t % tiles * kTile;
                    const int64_t offset = t / tiles * n * inner + i;
                    Columns(x + offset, y + offset, n, inner, std::min(kTile, inner - i));
                  }
                });
          }
        },
        [] {});
    return absl::OkStatus();
  }
  std::string Description() const override { return "running sums"; }
  std::vector<std::pair<int, int>> in_place() const override { return {{0, 0}}; }

 private:
  static constexpr int64_t kTile = 256;

  // `width` neighbouring columns of n elements, `stride` apart.
  template <typename T>
  void Columns(const T* x, T* y, int64_t n, int64_t stride, int64_t width) const {
    Sum<T> sums[kTile] = {};
    for (int64_t r = 0; r < n; ++r) {
      const int64_t row = (reverse_ ? n - 1 - r : r) * stride;
      for (int64_t i = 0; i < width; ++i) {
        const Sum<T> before = sums[i];
        sums[i] += static_cast<Sum<T>>(x[row + i]);
        y[row + i] = Narrow<T>(exclusive_ ? before : sums[i]);
      }
    }
  }
  template <typename T>
  static T Narrow(Sum<T> v) {
    if constexpr (std::is_integral_v<T> || std::is_floating_point_v<T>) {
      return static_cast<T>(v);
    } else {
      return T(static_cast<float>(v));
    }
  }

  const DType dtype_, axis_dtype_;
  const Dims dims_;
  const bool exclusive_, reverse_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareCumSum(const PrepareContext& context) {
  if (ElementCount(context.input_dims(1)).value_or(0) != 1) {
    return absl::InvalidArgumentError("axis must be one number");
  }
  return std::make_unique<CumSumKernel>(context);
}

}  // namespace sluice::cpu
