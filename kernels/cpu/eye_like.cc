#include <algorithm>

#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

class EyeLikeKernel : public Kernel {
 public:
  explicit EyeLikeKernel(const PrepareContext& context)
      : dtype_(context.output_dtype(0)), dims_(context.input_dims(0)), k_(context.node.Int("k")) {}

  absl::Status Launch(const LaunchContext& c) const override {
    if (Product(dims_) == 0) return absl::OkStatus();
    const int64_t height = dims_[0], width = dims_[1];
    FillElements(dtype_, c.outputs[0], height * width, ZeroElement(dtype_), c.pool);
    if (k_ <= -height || k_ >= width) return absl::OkStatus();
    const int64_t row = std::max<int64_t>(0, -k_), column = std::max<int64_t>(0, k_);
    const int64_t n = std::min(height - row, width - column);
    VisitDType(
        dtype_,
        [&]<typename T>() {
          T* y = c.output<T>(0) + row * width + column;
          for (int64_t i = 0; i < n; ++i) y[i * (width + 1)] = T(1);
        },
        [] {});
    return absl::OkStatus();
  }
  std::string Description() const override { return "fill and mark"; }
  std::vector<int> unread_inputs() const override { return {0}; }

 private:
  const DType dtype_;
  const Dims dims_;
  const int64_t k_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareEyeLike(const PrepareContext& context) {
  const Dims in = context.input_dims(0);
  if (in.size() != 2) return Invalid("the input is ", DimsToString(in), "; expected a matrix");
  return std::make_unique<EyeLikeKernel>(context);
}

}  // namespace sluice::cpu
