#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/kernel.h"

namespace sluice::cpu {
namespace {

// SplitMix64's output function (Steele, Lea, Flood, 2014): element i of a stream is Mix(seed + i *
// gamma), so that any thread computes any element.
constexpr uint64_t kGamma = 0x9e3779b97f4a7c15u;
constexpr uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// A new stream at each call.
uint64_t FreshSeed() {
  static std::atomic<uint64_t> calls{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return Mix(static_cast<uint64_t>(now) + kGamma * calls.fetch_add(1, std::memory_order_relaxed));
}

class DropoutKernel : public Kernel {
 public:
  explicit DropoutKernel(const PrepareContext& context)
      : dtype_(context.input_dtype(0)),
        ratio_dtype_(context.HasInput(1) ? context.input_dtype(1) : DType::kInvalid),
        trains_(context.HasInput(2)),
        mask_(context.HasOutput(1)),
        seeded_(context.node.HasAttr("seed") || context.deterministic),
        seed_(Mix(static_cast<uint64_t>(context.node.Int("seed")) + kGamma)),
        elements_(*ElementCount(context.input_dims(0))) {}

  absl::Status Launch(const LaunchContext& c) const override {
    double ratio = 0;
    if (trains_ && *c.input<uint8_t>(2) != 0) {  // a bool from a file may be any byte
      ratio = 0.5;
      if (c.inputs.size() > 1 && c.inputs[1] != nullptr) {
        VisitDType(
            ratio_dtype_, [&]<typename T>() { ratio = static_cast<double>(*c.input<T>(1)); },
            [] {});
      }
      if (!(ratio >= 0 && ratio < 1)) {
        return absl::OutOfRangeError(absl::StrCat("ratio is ", ratio, "; expected 0 <= ratio < 1"));
      }
    }
    if (ratio == 0) {
      Copy(c);
    } else {
      VisitDType(
          dtype_,
          [&]<typename T>() {
            if constexpr (!std::is_integral_v<T>) Drop<T>(c, ratio);
          },
          [] {});
    }
    return absl::OkStatus();
  }
  std::string Description() const override { return trains_ ? "random" : "copy"; }
  std::vector<std::pair<int, int>> in_place() const override { return {{0, 0}}; }
  std::vector<std::pair<int, int>> views() const override {
    if (trains_ || mask_) return {};
    return {{0, 0}};
  }

 private:
  void Copy(const LaunchContext& c) const {
    const int64_t size = static_cast<int64_t>(ByteSize(dtype_));
    c.pool->ParallelFor(elements_, 1 << 18, [&](int64_t begin, int64_t end) {
      if (c.inputs[0] != c.outputs[0]) {
        std::memcpy(c.output<char>(0) + begin * size, c.input<char>(0) + begin * size,
                    static_cast<size_t>((end - begin) * size));
      }
      if (mask_) std::memset(c.output<char>(1) + begin, 1, static_cast<size_t>(end - begin));
    });
  }

  template <typename T>
  void Drop(const LaunchContext& c, double ratio) const {
    using C = std::conditional_t<std::is_same_v<T, double>, double, float>;
    const uint64_t seed = seeded_ ? seed_ : FreshSeed();
    // Keeps where 32 random bits reach ratio * 2^32.
    const uint32_t limit = static_cast<uint32_t>(std::min(ratio * 0x1p32, 0x1p32 - 1));
    const C scale = static_cast<C>(1 / (1 - ratio));
    const T* x = c.input<T>(0);
    T* y = c.output<T>(0);
    bool* mask = mask_ ? c.output<bool>(1) : nullptr;
    c.pool->ParallelFor(elements_, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const bool keep =
            static_cast<uint32_t>(Mix(seed + kGamma * static_cast<uint64_t>(i)) >> 32) >= limit;
        y[i] = T(keep ? static_cast<C>(x[i]) * scale : C{0});
        if (mask != nullptr) mask[i] = keep;
      }
    });
  }

  const DType dtype_, ratio_dtype_;
  const bool trains_, mask_, seeded_;
  const uint64_t seed_;
  const int64_t elements_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareDropout(const PrepareContext& context) {
  for (size_t i = 1; i < 3; ++i) {
    if (context.HasInput(i) && ElementCount(context.input_dims(i)).value_or(0) != 1) {
      return absl::InvalidArgumentError("ratio and training_mode must be one element each");
    }
  }
  return std::make_unique<DropoutKernel>(context);
}

}  // namespace sluice::cpu
