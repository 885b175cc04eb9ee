// Shape and Size, known at preparation; Constant, whose value the program carries.
#include <algorithm>

#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

class ValueKernel : public Kernel {
 public:
  ValueKernel(Tensor value, std::vector<int> unread)
      : value_(std::move(value)), unread_(std::move(unread)) {}
  absl::Status Launch(const LaunchContext& c) const override {
    CopyElements(value_.dtype(), value_.raw(), c.outputs[0], value_.elements(), c.pool);
    return absl::OkStatus();
  }
  std::string Description() const override { return "known value"; }
  std::vector<int> unread_inputs() const override { return unread_; }

 private:
  const Tensor value_;
  const std::vector<int> unread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareShape(const PrepareContext& context) {
  const Dims in = context.input_dims(0);
  const int64_t rank = static_cast<int64_t>(in.size());
  auto clamp = [rank](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank); };
  const int64_t start = clamp(context.node.Int("start"));
  const int64_t end =
      context.node.FindAttr("end") != nullptr ? clamp(context.node.Int("end")) : rank;
  absl::Span<const int64_t> part(in.data() + start, std::max<int64_t>(0, end - start));
  return std::make_unique<ValueKernel>(Tensor::Vector<int64_t>(part), std::vector<int>{0});
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareSize(const PrepareContext& context) {
  absl::StatusOr<int64_t> n = ElementCount(context.input_dims(0));
  if (!n.ok()) return n.status();
  return std::make_unique<ValueKernel>(Tensor::Scalar<int64_t>(*n), std::vector<int>{0});
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareConstant(const PrepareContext& context) {
  return std::make_unique<ValueKernel>(*context.node.GetTensor("value"), std::vector<int>{});
}

}  // namespace sluice::cpu
