// Sum, Mean, Max and Min of more operands than one tile program takes: several programs, each over
// the result so far and the next operands. The order of the arithmetic is the one program's.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/tile/plan.h"
#include "kernels/kernel.h"

namespace sluice::cpu {
namespace {

constexpr size_t kOperands = 64;  // of one program

class ManyOperandsKernel : public Kernel {
 public:
  // `sums_bytes`: of the results on the way, where they are wider than the node's. Else these lie
  // in the output.
  ManyOperandsKernel(std::vector<TilePlan> plans, size_t sums_bytes)
      : plans_(std::move(plans)), sums_bytes_((sums_bytes + 63) / 64 * 64) {
    for (const TilePlan& p : plans_) scratch_ = std::max(scratch_, p.scratch_bytes());
  }

  absl::Status Launch(const LaunchContext& c) const override {
    void* const sums = sums_bytes_ == 0 ? c.outputs[0] : c.scratch;
    void* const scratch = static_cast<char*>(c.scratch) + sums_bytes_;
    const void* operands[kOperands + 1];
    for (size_t i = 0; i < plans_.size(); ++i) {
      const size_t first = i * kOperands, count = std::min(kOperands, c.inputs.size() - first);
      const size_t before = i == 0 ? 0 : 1;
      operands[0] = sums;
      std::copy_n(c.inputs.begin() + first, count, operands + before);
      void* result = i + 1 == plans_.size() ? c.outputs[0] : sums;
      plans_[i].Run(absl::MakeConstSpan(operands, before + count), {&result, 1}, scratch, c.pool);
    }
    return absl::OkStatus();
  }
  std::string Description() const override {
    return absl::StrCat(plans_.size(), " x ", kOperands, " operands");
  }
  size_t scratch_bytes() const override { return sums_bytes_ + scratch_; }

 private:
  std::vector<TilePlan> plans_;
  size_t sums_bytes_, scratch_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareManyOperands(const PrepareContext& context) {
  const Dims space = context.output_dims(0);
  const Dims contiguous = BroadcastStrides(space, space);
  const DType result = context.output_dtype(0), compute = ComputeType(result);
  const Node& node = context.node;
  const TileStep op = node.Is("Max")   ? TileStep::kMax
                      : node.Is("Min") ? TileStep::kMin
                                       : TileStep::kAdd;
  const size_t count = context.inputs.size();
  std::vector<TilePlan> plans;
  for (size_t first = 0; first < count; first += kOperands) {
    TileProgram p(space);
    TileProgram::ValueId sum = first == 0 ? -1 : p.Input(compute, contiguous);
    const size_t last = std::min(count, first + kOperands);
    for (size_t i = first; i < last; ++i) {
      absl::StatusOr<TileValue> x = ReadOperand(context, i, space, &p);
      if (!x.ok()) return x.status();
      sum = sum < 0 ? x->id : p.Step(op, {sum, x->id});
    }
    if (last == count && node.Is("Mean"))
      sum = p.Step(TileStep::kDiv, {sum, p.Scalar(compute, static_cast<double>(count))});
    p.Output(sum, last == count ? result : compute, contiguous);
    absl::StatusOr<TilePlan> plan = TilePlan::Make(p, context.threads);
    if (!plan.ok()) return plan.status();
    plans.push_back(*std::move(plan));
  }
  absl::StatusOr<int64_t> elements = ElementCount(space, ByteSize(compute));
  if (!elements.ok()) return elements.status();
  return std::make_unique<ManyOperandsKernel>(
      std::move(plans), compute == result ? 0 : static_cast<size_t>(*elements) * ByteSize(compute));
}

}  // namespace sluice::cpu
