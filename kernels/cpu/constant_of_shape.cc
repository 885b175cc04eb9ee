#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

class ConstantOfShapeKernel : public Kernel {
 public:
  ConstantOfShapeKernel(const PrepareContext& context, Tensor value)
      : value_(std::move(value)), planned_(PlannedDims(context)), shape_(context, 0) {}

  absl::Status Launch(const LaunchContext& c) const override {
    const IntList dims = shape_.Read(c);
    absl::StatusOr<int64_t> n = ElementCount(dims, ByteSize(value_.dtype()));
    if (!n.ok()) return n.status();
    absl::StatusOr<void*> out = OutputMemory(c, 0, planned_, dims);
    if (!out.ok()) return out.status();
    FillElements(value_.dtype(), *out, *n, value_.raw(), c.pool);
    return absl::OkStatus();
  }
  std::string Description() const override { return "fill"; }
  bool dynamic_outputs() const override { return !planned_.has_value(); }

 private:
  const Tensor value_;
  const std::optional<Dims> planned_;
  const IntInput shape_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareConstantOfShape(const PrepareContext& context) {
  const Tensor* value = context.node.GetTensor("value");
  if (value != nullptr && value->elements() != 1) return Invalid("value must be one element");
  return std::make_unique<ConstantOfShapeKernel>(
      context, value != nullptr ? *value : Tensor::Scalar<float>(0));
}

}  // namespace sluice::cpu
