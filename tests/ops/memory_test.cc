// What kernels say of their memory, for every op: RunCandidates() launches each once more over its
// input where that is said to be possible, and compares what is said to be a view.
#include "gtest/gtest.h"
#include "kernels/cpu/cpu_kernels.h"
#include "tests/ops/every_op.h"
#include "tests/testing/candidates.h"

namespace sluice {
namespace {

// Floats that differ; integers stay ones, being indices, axes and extents as often as not.
std::vector<Tensor> Varied(std::vector<Tensor> inputs) {
  uint64_t seed = 1;
  for (Tensor& t : inputs) {
    if (t.valid() && IsFloat(t.dtype()))
      t = *Tensor::Random(t.dtype(), t.dims(), {.seed = seed++, .scale = 1.5});
  }
  return inputs;
}

TEST(Memory, ViewsAndResultsInPlaceAreWhatTheKernelsSay) {
  int64_t ran = 0;
  for (const OpDef* op : PlainOps()) {
    SCOPED_TRACE(op->name);
    for (const std::vector<Tensor>& inputs : InputSets(*op)) {
      std::set<int> constants;  // axes and shapes: what a kernel may want to know
      for (size_t i = 1; i < inputs.size(); ++i) {
        if (inputs[i].valid() && !IsFloat(inputs[i].dtype())) constants.insert(static_cast<int>(i));
      }
      const auto results = RunCandidates(op->name, Varied(inputs), BaseAttrs(op->name), constants,
                                         1, std::max<size_t>(1, op->min_outputs()));
      if (results.ok()) ran += static_cast<int64_t>(results->size());
      EXPECT_NE(results.status().code(), absl::StatusCode::kInternal) << results.status();
    }
  }
  EXPECT_GT(ran, 500);
}

}  // namespace
}  // namespace sluice
