// Running one node by itself: how constant folding and op tests reach the kernels.
#ifndef SLUICE_RUNTIME_EVALUATE_H_
#define SLUICE_RUNTIME_EVALUATE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "graph/graph.h"
#include "kernels/device/thread_pool.h"
#include "passes/pass.h"

namespace sluice {

// The outputs of `node` for `inputs` (invalid tensor: absent), by the CPU's kernel for it, or by
// its expansion where there is none. ResourceExhausted where results or scratch exceed `max_bytes`.
// The node itself is not changed; it must have no bodies.
absl::StatusOr<std::vector<Tensor>> EvaluateNode(const Node& node, absl::Span<const Tensor> inputs,
                                                 int64_t max_bytes, ThreadPool* pool);

// The evaluator and target that passes get: this machine's CPU kernels.
Evaluator CpuEvaluator(ThreadPool* pool);
TargetInfo CpuTarget();

}  // namespace sluice

#endif  // SLUICE_RUNTIME_EVALUATE_H_
