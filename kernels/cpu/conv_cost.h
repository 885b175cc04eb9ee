// What convolutions cost, for the choice between their kernels.
#ifndef SLUICE_KERNELS_CPU_CONV_COST_H_
#define SLUICE_KERNELS_CPU_CONV_COST_H_

#include "kernels/cpu/conv_problem.h"
#include "kernels/kernel.h"

namespace sluice::cpu {

// A depthwise convolution that computes for `compute_ns`: it mostly waits for its images, whose
// reading hides behind the work in part.
double DepthwiseNs(const ConvProblem& p, double compute_ns, int threads);

// Plain activations are brought to channels last, and the result back, by every fast kernel.
double TransposesNs(const PrepareContext& context, const ConvProblem& p);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_CONV_COST_H_
