#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/cpu/index.h"
#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

// Any number as an index: floats are cut, NaN and what does not fit are out of every range.
template <typename T>
int64_t ToIndex(T value) {
  if constexpr (std::is_integral_v<T>) {
    if constexpr (std::is_same_v<T, uint64_t>) {
      return value > static_cast<uint64_t>(INT64_MAX) ? INT64_MAX : static_cast<int64_t>(value);
    }
    return static_cast<int64_t>(value);
  } else {
    const double d = std::trunc(static_cast<double>(value));
    return d > -0x1p62 && d < 0x1p62 ? static_cast<int64_t>(d) : INT64_MAX;
  }
}

class OneHotKernel : public Kernel {
 public:
  OneHotKernel(const PrepareContext& context, int axis)
      : index_dtype_(context.input_dtype(0)),
        depth_dtype_(context.input_dtype(1)),
        dtype_(context.input_dtype(2)),
        in_(context.input_dims(0)),
        axis_(axis),
        planned_(PlannedDims(context)) {
    outer_ = Product(absl::MakeConstSpan(in_).first(axis));
    inner_ = Product(absl::MakeConstSpan(in_).subspan(axis));
  }

  absl::Status Launch(const LaunchContext& c) const override {
    int64_t depth = -1;
    VisitDType(depth_dtype_, [&]<typename T>() { depth = ToIndex(*c.input<T>(1)); }, [] {});
    if (depth < 0 || depth == INT64_MAX) {
      return Invalid("depth is out of range; expected a number from 0 on");
    }
    Dims dims = in_;
    dims.insert(dims.begin() + axis_, depth);
    if (absl::StatusOr<int64_t> n = ElementCount(dims, ByteSize(dtype_)); !n.ok()) {
      return n.status();
    }
    absl::StatusOr<void*> out = OutputMemory(c, 0, planned_, dims);
    if (!out.ok()) return out.status();
    if (Product(dims) == 0) return absl::OkStatus();
    const int64_t size = static_cast<int64_t>(ByteSize(dtype_));
    FillElements(dtype_, *out, outer_ * depth * inner_, c.inputs[2], c.pool);
    const char* on = c.input<char>(2) + size;
    auto mark = [&]<typename T>() {
      const T* indices = c.input<T>(0);
      c.pool->ParallelFor(outer_ * inner_, 4096, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t index = NormalIndex(ToIndex(indices[i]), depth);
          if (index < 0) continue;
          const int64_t at = (i / inner_ * depth + index) * inner_ + i % inner_;
          char* place = static_cast<char*>(*out) + at * size;
          if (dtype_ == DType::kString) {
            *reinterpret_cast<std::string*>(place) = *reinterpret_cast<const std::string*>(on);
          } else {
            std::memcpy(place, on, static_cast<size_t>(size));
          }
        }
      });
    };
    VisitDType(index_dtype_, mark, [] {});
    return absl::OkStatus();
  }
  std::string Description() const override { return "fill and mark"; }
  bool dynamic_outputs() const override { return !planned_.has_value(); }

 private:
  const DType index_dtype_, depth_dtype_, dtype_;
  const Dims in_;
  const int axis_;
  const std::optional<Dims> planned_;
  int64_t outer_ = 1, inner_ = 1;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareOneHot(const PrepareContext& context) {
  const int rank = static_cast<int>(context.input_dims(0).size());
  absl::StatusOr<int> axis = NormalAxis(context.node.Int("axis"), rank + 1);
  if (!axis.ok()) return axis.status();
  absl::StatusOr<int64_t> depth = ElementCount(context.input_dims(1));
  absl::StatusOr<int64_t> values = ElementCount(context.input_dims(2));
  if (!depth.ok() || *depth != 1 || !values.ok() || *values != 2) {
    return Invalid("expected one depth and two values, [off_value, on_value]");
  }
  return std::make_unique<OneHotKernel>(context, *axis);
}

}  // namespace sluice::cpu
