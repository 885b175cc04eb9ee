// One op over constants, as constant folding runs it: within a small budget.
#ifndef SLUICE_TESTS_OPS_TRY_OP_H_
#define SLUICE_TESTS_OPS_TRY_OP_H_

#include <algorithm>
#include <vector>

#include "graph/builder.h"
#include "ops/op.h"
#include "runtime/evaluate.h"

namespace sluice {

inline absl::StatusOr<std::vector<Tensor>> TryOp(const OpDef& op, const std::vector<Tensor>& inputs,
                                                 const AttrList& attrs, ThreadPool* pool) {
  constexpr int64_t kMaxBytes = 1 << 22;
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  std::vector<Value*> values;
  for (const Tensor& t : inputs) values.push_back(t.valid() ? b.Constant(t) : nullptr);
  std::vector<Value*> outputs =
      b.OpN(op.name, values, std::max<size_t>(1, op.min_outputs()), attrs);
  if (!b.status().ok()) return b.status();
  for (Value* v : outputs) b.Output(v);
  if (absl::Status s = Verify(graph); !s.ok()) return s;
  return EvaluateNode(*outputs[0]->producer(), inputs, kMaxBytes, pool);
}

}  // namespace sluice

#endif  // SLUICE_TESTS_OPS_TRY_OP_H_
