#include "runtime/evaluate.h"

#include "absl/strings/str_cat.h"
#include "kernels/cpu/cpu_kernels.h"
#include "runtime/prepare.h"

namespace sluice {

absl::StatusOr<std::vector<Tensor>> EvaluateNode(const Node& node, absl::Span<const Tensor> inputs,
                                                 int64_t max_bytes, ThreadPool* pool) {
  if (!node.bodies().empty()) {
    return NodeError(node, absl::StatusCode::kUnimplemented,
                     "a node with bodies is not evaluated by itself");
  }
  // What inference knows of the results stops a bomb before anything is allocated.
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    std::optional<Dims> dims =
        node.output(i)->type().is_tensor() ? node.output(i)->type().StaticDims() : std::nullopt;
    if (!dims.has_value()) continue;
    const int64_t size = static_cast<int64_t>(ByteSize(node.output(i)->type().dtype()));
    absl::StatusOr<int64_t> count = ElementCount(*dims, size);
    if (!count.ok() || *count > max_bytes / std::max<int64_t>(size, 1)) {
      return NodeError(node, absl::StatusCode::kResourceExhausted,
                       absl::StrCat("its result is larger than ", max_bytes, " bytes"));
    }
  }
  absl::StatusOr<PreparedNode> prepared = PreparedNode::Make(node, inputs, pool->threads());
  if (!prepared.ok()) return prepared.status();
  int64_t used = 0;
  return prepared->Run(inputs, pool, [&](int64_t bytes) -> absl::Status {
    if (bytes > max_bytes - used) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", max_bytes, " bytes are needed"));
    }
    used += bytes;
    return absl::OkStatus();
  });
}

Evaluator CpuEvaluator(ThreadPool* pool) {
  return [pool](const Node& node, absl::Span<const Tensor> inputs, int64_t max_bytes) {
    return EvaluateNode(node, inputs, max_bytes, pool);
  };
}

TargetInfo CpuTarget() {
  TargetInfo target;
  target.takes = [](const Node& node) -> absl::Status {
    if (CpuKernels().Has(node.op_name())) return absl::OkStatus();
    return absl::UnimplementedError(absl::StrCat("the CPU has no kernel for ", node.op_name()));
  };
  return target;
}

}  // namespace sluice
