// A convolution's geometry in oneDNN's terms.
#ifndef SLUICE_KERNELS_CPU_CONV_ONEDNN_H_
#define SLUICE_KERNELS_CPU_CONV_ONEDNN_H_

#include "kernels/cpu/conv_problem.h"
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

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_CONV_ONEDNN_H_
