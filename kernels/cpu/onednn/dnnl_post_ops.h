// The steps of a fused node in oneDNN's terms.
#ifndef SLUICE_KERNELS_CPU_ONEDNN_DNNL_POST_OPS_H_
#define SLUICE_KERNELS_CPU_ONEDNN_DNNL_POST_OPS_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/onednn/onednn.h"
#include "kernels/cpu/post_ops.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace sluice::cpu {

// Steps as post-ops; those that oneDNN lacks, and all behind them, as a tail on the result. Not
// `inside`: all are the tail's.
struct DnnlSteps {
  DnnlPostOps post;
  Epilogue tail;
  std::vector<int> tail_inputs;  // the node's, by the tail's operands

  // Of a node of type `dtype` computed in `compute`, whose result of extents `out` lies as
  // `y_lies`; `operand` describes operand i as the primitive is to take it. Throws dnnl::error.
  static absl::StatusOr<DnnlSteps> Split(const PostOps& p, DType dtype, DType compute,
                                         const Dims& out, Layout y_lies,
                                         absl::FunctionRef<dnnl::memory::desc(size_t i)> operand,
                                         bool inside = true);
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_ONEDNN_DNNL_POST_OPS_H_
