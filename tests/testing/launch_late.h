// Runs a kernel that was prepared without knowing the contents of any input: extents and indices
// that only the data knows.
#ifndef SLUICE_TESTS_TESTING_LAUNCH_LATE_H_
#define SLUICE_TESTS_TESTING_LAUNCH_LATE_H_

#include "graph/builder.h"
#include "kernels/cpu/cpu_kernels.h"
#include "ops/op.h"
#include "runtime/dynamic_steps.h"

namespace sluice {

inline absl::StatusOr<std::vector<Tensor>> LaunchLate(absl::string_view op,
                                                      const std::vector<Tensor>& inputs,
                                                      const AttrList& attrs = {},
                                                      size_t outputs = 1) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  std::vector<Value*> values;
  for (const Tensor& t : inputs) values.push_back(t.valid() ? b.Input("", Type::Of(t)) : nullptr);
  std::vector<Value*> results = b.OpN(op, values, outputs, attrs);
  if (!b.status().ok()) return b.status();
  PrepareContext context{.node = *results[0]->producer(), .threads = 2};
  for (const Tensor& t : inputs) context.inputs.push_back(t.valid() ? Type::Of(t) : Type());
  context.constants.resize(inputs.size());
  for (Value* v : results) context.outputs.push_back(v->type());
  absl::StatusOr<std::unique_ptr<Kernel>> kernel = CpuKernels().Prepare(context);
  if (!kernel.ok()) return kernel.status();
  ThreadPool pool(2);
  RunContext run;
  run.pool = &pool;
  return LaunchAlone(**kernel, context.outputs, inputs, &run);
}

}  // namespace sluice

#endif  // SLUICE_TESTS_TESTING_LAUNCH_LATE_H_
