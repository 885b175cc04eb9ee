#include <algorithm>
#include <string>

#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

class CompressKernel : public Kernel {
 public:
  CompressKernel(const PrepareContext& context, std::optional<int> axis)
      : dtype_(context.input_dtype(0)), in_(context.input_dims(0)), axis_(axis) {
    conditions_ = Product(context.input_dims(1));
    if (!axis.has_value()) {
      extent_ = Product(in_);
    } else {
      outer_ = Product(absl::MakeConstSpan(in_).first(*axis));
      extent_ = in_[*axis];
      inner_ = Product(absl::MakeConstSpan(in_).subspan(*axis + 1));
    }
    conditions_ = std::min(conditions_, extent_);
  }

  absl::Status Launch(const LaunchContext& c) const override {
    const uint8_t* condition = c.input<uint8_t>(1);
    const int64_t taken =
        std::count_if(condition, condition + conditions_, [](uint8_t b) { return b != 0; });
    Dims dims = axis_.has_value() ? in_ : Dims{0};
    dims[axis_.value_or(0)] = taken;
    absl::StatusOr<void*> out = OutputMemory(c, 0, std::nullopt, dims);
    if (!out.ok()) return out.status();
    if (Product(dims) == 0) return absl::OkStatus();
    const int64_t unit = inner_ * static_cast<int64_t>(ByteSize(dtype_));
    char* dst = static_cast<char*>(*out);
    const char* src = c.input<char>(0);
    const int64_t grain = std::max<int64_t>(1, (64 << 10) / std::max<int64_t>(1, unit * taken));
    c.pool->ParallelFor(outer_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        char* to = dst + o * taken * unit;
        for (int64_t i = 0; i < conditions_; ++i) {
          if (condition[i] == 0) continue;
          const char* from = src + (o * extent_ + i) * unit;
          if (dtype_ == DType::kString) {
            std::copy_n(reinterpret_cast<const std::string*>(from), inner_,
                        reinterpret_cast<std::string*>(to));
          } else {
            CopyRun(to, from, static_cast<size_t>(unit));
          }
          to += unit;
        }
      }
    });
    return absl::OkStatus();
  }
  std::string Description() const override { return "slices"; }
  bool dynamic_outputs() const override { return true; }

 private:
  const DType dtype_;
  const Dims in_;
  const std::optional<int> axis_;
  int64_t conditions_ = 1, outer_ = 1, extent_ = 1, inner_ = 1;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareCompress(const PrepareContext& context) {
  std::optional<int> axis;
  if (context.node.FindAttr("axis") != nullptr) {
    absl::StatusOr<int> a =
        NormalAxis(context.node.Int("axis"), static_cast<int>(context.input_dims(0).size()));
    if (!a.ok()) return a.status();
    axis = *a;
  }
  return std::make_unique<CompressKernel>(context, axis);
}

}  // namespace sluice::cpu
