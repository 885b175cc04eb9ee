#include <cstring>

#include "kernels/kernel.h"

namespace sluice::cpu {
namespace {

// A view where the planner can alias, else a copy.
class IdentityKernel : public Kernel {
 public:
  IdentityKernel(DType dtype, int64_t elements) : dtype_(dtype), elements_(elements) {}
  absl::Status Launch(const LaunchContext& c) const override {
    if (c.inputs[0] == c.outputs[0]) return absl::OkStatus();
    if (dtype_ == DType::kString) {
      std::copy_n(c.input<std::string>(0), elements_, c.output<std::string>(0));
      return absl::OkStatus();
    }
    const size_t size = ByteSize(dtype_);
    c.pool->ParallelFor(elements_, 1 << 18, [&](int64_t begin, int64_t end) {
      std::memcpy(c.output<char>(0) + begin * size, c.input<char>(0) + begin * size,
                  (end - begin) * size);
    });
    return absl::OkStatus();
  }
  std::string Description() const override { return "copy"; }
  std::vector<std::pair<int, int>> in_place() const override { return {{0, 0}}; }
  bool may_fail() const override { return false; }
  std::vector<std::pair<int, int>> views() const override { return {{0, 0}}; }

 private:
  const DType dtype_;
  const int64_t elements_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareIdentity(const PrepareContext& context) {
  if (!context.inputs[0].is_tensor()) {
    return absl::UnimplementedError("copies tensors only");
  }
  absl::StatusOr<int64_t> elements = ElementCount(context.input_dims(0));
  if (!elements.ok()) return elements.status();
  return std::make_unique<IdentityKernel>(context.input_dtype(0), *elements);
}

}  // namespace sluice::cpu
