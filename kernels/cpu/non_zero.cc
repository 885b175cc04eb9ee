#include <algorithm>
#include <array>
#include <string>

#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

template <typename T>
bool IsSet(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return !value.empty();
  } else if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
    return (value.bits & 0x7fff) != 0;
  } else if constexpr (std::is_same_v<T, bool>) {
    return *reinterpret_cast<const uint8_t*>(&value) != 0;  // a byte from a file may be 2
  } else {
    return value != T{0};
  }
}

class NonZeroKernel : public Kernel {
 public:
  explicit NonZeroKernel(const PrepareContext& context)
      : dtype_(context.input_dtype(0)), dims_(context.input_dims(0)) {
    elements_ = Product(dims_);
  }

  absl::Status Launch(const LaunchContext& c) const override {
    if (dtype_ == DType::kString) return Run<std::string>(c);
    return VisitDType(
        dtype_, [&]<typename T>() { return Run<T>(c); },
        [] { return absl::InternalError("NonZero: no such dtype"); });
  }
  std::string Description() const override { return "count, then write"; }
  bool dynamic_outputs() const override { return true; }

 private:
  static constexpr int64_t kChunks = 64;

  template <typename T>
  absl::Status Run(const LaunchContext& c) const {
    const T* x = c.input<T>(0);
    const int64_t chunk = std::max<int64_t>(4096, (elements_ + kChunks - 1) / kChunks);
    const int64_t chunks = (elements_ + chunk - 1) / chunk;
    std::array<int64_t, kChunks + 1> first{};
    c.pool->ParallelFor(chunks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const int64_t stop = std::min(elements_, (k + 1) * chunk);
        int64_t n = 0;
        for (int64_t i = k * chunk; i < stop; ++i) n += IsSet(x[i]);
        first[k + 1] = n;
      }
    });
    for (int64_t k = 0; k < chunks; ++k) first[k + 1] += first[k];
    const int64_t total = first[chunks], rank = static_cast<int64_t>(dims_.size());
    absl::StatusOr<void*> out = OutputMemory(c, 0, std::nullopt, {rank, total});
    if (!out.ok()) return out.status();
    if (rank == 0) return absl::OkStatus();
    int64_t* y = static_cast<int64_t*>(*out);
    c.pool->ParallelFor(chunks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const int64_t stop = std::min(elements_, (k + 1) * chunk);
        int64_t column = first[k];
        for (int64_t i = k * chunk; i < stop; ++i) {
          if (!IsSet(x[i])) continue;
          int64_t rest = i;
          for (int64_t a = rank - 1; a > 0; --a) {
            y[a * total + column] = rest % dims_[a];
            rest /= dims_[a];
          }
          y[column++] = rest;
        }
      }
    });
    return absl::OkStatus();
  }

  const DType dtype_;
  const Dims dims_;
  int64_t elements_ = 1;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareNonZero(const PrepareContext& context) {
  return std::make_unique<NonZeroKernel>(context);
}

}  // namespace sluice::cpu
