#include "tests/testing/run_op.h"

#include "graph/infer.h"
#include "ops/op.h"
#include "runtime/evaluate.h"

namespace sluice {

absl::StatusOr<std::vector<Tensor>> RunOp(absl::string_view op, absl::Span<const Tensor> inputs,
                                          const AttrList& attrs, size_t num_outputs, int threads) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  std::vector<Value*> values;
  for (size_t i = 0; i < inputs.size(); ++i) {
    values.push_back(inputs[i].valid() ? b.Constant(inputs[i]) : nullptr);
  }
  std::vector<Value*> outputs = b.OpN(op, values, num_outputs, attrs);
  if (!b.status().ok()) return b.status();
  for (Value* v : outputs) b.Output(v);
  if (absl::Status s = Verify(graph); !s.ok()) return s;
  ThreadPool pool(threads);
  return EvaluateNode(*outputs[0]->producer(), inputs, INT64_MAX, &pool);
}

}  // namespace sluice
