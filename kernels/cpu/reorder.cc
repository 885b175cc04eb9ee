// Reorder: the axes of one memory order copied into another's places.
#include "absl/strings/str_cat.h"
#include "kernels/cpu/layout/layouts.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

class ReorderKernel final : public Kernel {
 public:
  ReorderKernel(DType dtype, const Dims& dims, Layout from, Layout to)
      : same_(from == to || SameMemory(dims)),
        copy_(dtype, dims, MemoryStrides(dims, from), MemoryStrides(dims, to)) {}

  absl::Status Launch(const LaunchContext& c) const override {
    if (c.inputs[0] != c.outputs[0]) copy_.Run(c.inputs[0], c.outputs[0], c.pool);
    return absl::OkStatus();
  }
  std::string Description() const override { return std::string(copy_.kind()); }
  std::vector<std::pair<int, int>> views() const override {
    return same_ ? std::vector<std::pair<int, int>>{{0, 0}} : std::vector<std::pair<int, int>>{};
  }

 private:
  const bool same_;
  const StridedCopy copy_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareReorder(const PrepareContext& context) {
  return std::make_unique<ReorderKernel>(context.input_dtype(0), context.input_dims(0),
                                         context.inputs[0].layout(), context.outputs[0].layout());
}

}  // namespace sluice::cpu
