#include "kernels/cpu/conv_cost.h"

#include <algorithm>

#include "kernels/cpu/cost/cost.h"
#include "kernels/cpu/staging.h"

namespace sluice::cpu {

double TransposesNs(const PrepareContext& context, const ConvProblem& p) {
  double ns = 0;
  for (const auto& [type, dims] :
       {std::pair(&context.inputs[0], p.InDims()), std::pair(&context.outputs[0], p.OutDims())}) {
    const double bytes = 4.0 * static_cast<double>(Product(dims));
    if (type->layout() == Layout::kPlain && dims[1] > 1)
      ns += MoveNs(2 * bytes, 2 * bytes, context.threads);
  }
  return ns;
}

double DepthwiseNs(const ConvProblem& p, double compute_ns, int threads) {
  constexpr double kSeen = 0.3;  // of the shorter one
  const double bytes =
      4.0 * static_cast<double>(p.batch * p.channels * (p.in_size() + p.out_size()));
  const double move = MoveNs(bytes, bytes, threads);
  return std::max(compute_ns, move) + kSeen * std::min(compute_ns, move);
}

// The definition's multiplications at the rate that oneDNN's direct convolution reaches: the best
// one where channels fill vectors, a share of it where they do not. Groups of few features take
// shorter vectors, and stumble over strides.
absl::StatusOr<double> EstimateDnnlConv(const PrepareContext& context) {
  absl::StatusOr<ConvProblem> p = ConvProblem::Read(context, 0, 1, 2);
  if (!p.ok()) return p.status();
  const double work = static_cast<double>(p->batch) * static_cast<double>(p->out_size()) *
                      static_cast<double>(p->depth());
  const double around = Costs().call + ForkNs(context.threads) + TransposesNs(context, *p);
  const bool strided = p->window.strides.back() > 1;
  const int64_t features = p->group_features();
  if (p->group > 1 && p->group_channels() == 1 && features == 1) {
    double share = p->window.kernel.back() > 3 ? 0.82 : 0.7;
    if (strided) share *= 0.65;
    const double flops = 2 * work * static_cast<double>(p->features);
    return around + DepthwiseNs(*p, ComputeNs(flops, share, context.threads), context.threads);
  }
  const int64_t vector = p->group > 1 && features <= 8 ? (features <= 4 ? 4 : 8) : 16;
  const int64_t lanes = p->group * ((features + vector - 1) / vector) * vector;
  double share = p->group_channels() < 8 ? 0.5 : 1;
  if (vector < 16) share = (vector == 4 ? 0.36 : 0.75) / (strided ? 2 : 1);
  const double weights = 4.0 * static_cast<double>(p->features) * static_cast<double>(p->depth());
  const double compute = ComputeNs(2 * work * static_cast<double>(lanes), share, context.threads);
  return around + StreamedNs(compute, weights, context.threads);
}

}  // namespace sluice::cpu
