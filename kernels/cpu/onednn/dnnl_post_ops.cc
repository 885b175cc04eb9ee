#include "kernels/cpu/onednn/dnnl_post_ops.h"

#include "absl/strings/str_cat.h"
#include "kernels/cpu/layout/layouts.h"

namespace sluice::cpu {

absl::StatusOr<DnnlSteps> DnnlSteps::Split(const PostOps& p, DType dtype, DType compute,
                                           const Dims& out, Layout y_lies,
                                           absl::FunctionRef<dnnl::memory::desc(size_t i)> operand,
                                           bool inside) {
  DnnlSteps split{{}, Epilogue(compute, MemoryDims(out, y_lies)), {}};
  size_t binary = 0;
  for (PostOp step : p.steps) {
    const size_t i = step.operand >= 0 ? binary++ : 0;
    if (inside && split.tail.empty() && DnnlKeepsNaN(step) &&
        AppendDnnlStep(step, step.operand < 0 ? dnnl::memory::desc() : operand(i), &split.post)
            .ok()) {
      continue;
    }
    if (compute != DType::kF32 || (step.operand >= 0 && dtype != compute)) {
      return absl::UnimplementedError(absl::StrCat("oneDNN has no post-op ", step.def->name));
    }
    Dims dims;
    if (step.operand >= 0) {
      if (!SameMemory(p.operands[i]) && p.operand_layouts[i] != y_lies) {
        return absl::UnimplementedError("an operand does not lie as the result does");
      }
      dims = MemoryDims(p.operands[i], y_lies);
      split.tail_inputs.push_back(step.operand);
      step.operand = static_cast<int>(split.tail_inputs.size()) - 1;
    }
    if (absl::Status s = split.tail.Append(step, dims); !s.ok()) return s;
  }
  return split;
}

}  // namespace sluice::cpu
