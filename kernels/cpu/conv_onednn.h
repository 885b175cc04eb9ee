// A convolution's geometry and steps in oneDNN's terms.
#ifndef SLUICE_KERNELS_CPU_CONV_ONEDNN_H_
#define SLUICE_KERNELS_CPU_CONV_ONEDNN_H_

#include "absl/functional/function_ref.h"
#include "kernels/cpu/conv_problem.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/onednn.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace sluice::cpu {

struct DnnlGeometry {
  explicit DnnlGeometry(const ConvProblem& p) {
    for (int i = 0; i < p.spatial(); ++i) {
      const Window& w = p.window;
      strides.push_back(w.strides[i]);
      dilations.push_back(w.dilations[i] - 1);
      begin.push_back(w.pads_begin[i]);
      end.push_back(w.pads_end[i]);
    }
  }
  dnnl::memory::dims strides, dilations, begin, end;
};

// [M, C, k...], with the groups in front where there are some.
inline Dims DnnlWeightDims(const ConvProblem& p) {
  Dims dims = {p.group_features(), p.group_channels()};
  if (p.group > 1) dims.insert(dims.begin(), p.group);
  dims.insert(dims.end(), p.window.kernel.begin(), p.window.kernel.end());
  return dims;
}

// Steps as post-ops; those that oneDNN lacks, and all behind them, as a tail on the result. Not
// `inside`: all are the tail's.
struct DnnlSteps {
  DnnlPostOps post;
  Epilogue tail;
  std::vector<int> tail_inputs;  // the node's, by the tail's operands

  // Of a node of type `dtype` computed in `compute`, whose result of extents `out` lies as
  // `y_lies`; `operand` describes operand i as the primitive is to take it. Throws dnnl::error.
  static absl::StatusOr<DnnlSteps> Split(const ConvSteps& p, DType dtype, DType compute,
                                         const Dims& out, Layout y_lies,
                                         absl::FunctionRef<dnnl::memory::desc(size_t i)> operand,
                                         bool inside = true);
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_CONV_ONEDNN_H_
