#include "ops/range.h"

#include "kernels/cpu/int_input.h"

namespace sluice::cpu {
namespace {

class RangeKernel : public Kernel {
 public:
  explicit RangeKernel(const PrepareContext& context)
      : dtype_(context.input_dtype(0)),
        planned_(PlannedDims(context)),
        in_double_(context.node.Int("stash_type") == 11) {}

  absl::Status Launch(const LaunchContext& c) const override {
    return VisitDType(
        dtype_, [&]<typename T>() { return Run<T>(c); },
        [] { return absl::InternalError("Range: no such dtype"); });
  }
  std::string Description() const override { return "range"; }
  bool dynamic_outputs() const override { return !planned_.has_value(); }

 private:
  template <typename T>
  absl::Status Run(const LaunchContext& c) const {
    const T start = *c.input<T>(0), delta = *c.input<T>(2);
    absl::StatusOr<int64_t> n = RangeCount<T>(start, *c.input<T>(1), delta);
    if (!n.ok()) return n.status();
    absl::StatusOr<void*> out = OutputMemory(c, 0, planned_, {*n});
    if (!out.ok()) return out.status();
    T* y = static_cast<T*>(*out);
    c.pool->ParallelFor(*n, 16384, [&](int64_t begin, int64_t end) {
      if constexpr (std::is_integral_v<T>) {  // each value lies between start and limit
        const uint64_t from = static_cast<uint64_t>(start), by = static_cast<uint64_t>(delta);
        for (int64_t i = begin; i < end; ++i) {
          y[i] = static_cast<T>(from + static_cast<uint64_t>(i) * by);
        }
      } else if (sizeof(T) == 2 && !in_double_) {
        const float from = static_cast<float>(start), by = static_cast<float>(delta);
        for (int64_t i = begin; i < end; ++i) y[i] = T(from + static_cast<float>(i) * by);
      } else {
        const double from = start, by = delta;
        for (int64_t i = begin; i < end; ++i) {
          const double value = from + static_cast<double>(i) * by;
          if constexpr (sizeof(T) == 2) {
            y[i] = T(static_cast<float>(value));
          } else {
            y[i] = static_cast<T>(value);
          }
        }
      }
    });
    return absl::OkStatus();
  }

  const DType dtype_;
  const std::optional<Dims> planned_;
  const bool in_double_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareRange(const PrepareContext& context) {
  for (size_t i = 0; i < 3; ++i) {
    absl::StatusOr<int64_t> n = ElementCount(context.input_dims(i));
    if (!n.ok() || *n != 1) return Invalid("start, limit and delta must be scalars");
  }
  return std::make_unique<RangeKernel>(context);
}

}  // namespace sluice::cpu
