#include "kernels/cpu/post_ops.h"

#include "absl/strings/str_cat.h"

namespace sluice::cpu {

absl::Status PostOps::Read(const PrepareContext& context, size_t first, const Dims& out) {
  absl::StatusOr<std::vector<PostOp>> read = ReadPostOps(context.node, first);
  if (!read.ok()) return read.status();
  steps = *std::move(read);
  for (const PostOp& step : steps) {
    if (step.operand < 0) continue;
    Dims d = context.input_dims(step.operand);
    bool fits = d.size() <= out.size();
    for (size_t j = 0; fits && j < d.size(); ++j) {
      fits = d[j] == 1 || d[j] == out[out.size() - d.size() + j];
    }
    if (!fits) {
      return NodeError(
          context.node, absl::StatusCode::kInvalidArgument,
          absl::StrCat("operand ", DimsToString(d), " does not broadcast to ", DimsToString(out)));
    }
    d.insert(d.begin(), out.size() - d.size(), 1);
    operands.push_back(std::move(d));
    operand_layouts.push_back(context.inputs[step.operand].layout());
  }
  return absl::OkStatus();
}

}  // namespace sluice::cpu
