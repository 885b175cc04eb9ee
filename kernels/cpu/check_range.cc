#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/kernel.h"

namespace sluice::cpu {
namespace {

class CheckRangeKernel : public Kernel {
 public:
  explicit CheckRangeKernel(const PrepareContext& context)
      : dtype_(context.input_dtype(0)),
        elements_(*ElementCount(context.input_dims(0))),
        low_(context.node.Float("low")),
        high_(context.node.Float("high")),
        what_(context.node.String("what")) {}

  absl::Status Launch(const LaunchContext& c) const override {
    absl::Status status;
    VisitDType(dtype_, [&]<typename T>() { status = Check(c.input<T>(0)); }, [] {});
    const size_t bytes = static_cast<size_t>(elements_) * ByteSize(dtype_);
    if (status.ok() && bytes > 0 && c.inputs[0] != c.outputs[0])
      std::memcpy(c.outputs[0], c.inputs[0], bytes);
    return status;
  }
  std::string Description() const override { return "check"; }
  std::vector<std::pair<int, int>> in_place() const override { return {{0, 0}}; }

 private:
  template <typename T>
  absl::Status Check(const T* x) const {
    for (int64_t i = 0; i < elements_; ++i) {
      const double value = static_cast<double>(x[i]);
      if (value >= low_ && value <= high_) continue;
      return absl::OutOfRangeError(absl::StrCat(what_.empty() ? "an element" : what_, " is ", value,
                                                "; expected ", low_, " to ", high_));
    }
    return absl::OkStatus();
  }

  const DType dtype_;
  const int64_t elements_;
  const double low_, high_;
  const std::string what_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareCheckRange(const PrepareContext& context) {
  return std::make_unique<CheckRangeKernel>(context);
}

}  // namespace sluice::cpu
