#include "kernels/cpu/conv_cost.h"

#include "kernels/cpu/cost.h"
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

// The definition's multiplications at the rate that oneDNN's direct convolution reaches: the best
// one where channels fill vectors, a share of it where they do not.
absl::StatusOr<double> EstimateDnnlConv(const PrepareContext& context) {
  absl::StatusOr<ConvProblem> p = ConvProblem::Read(context, 0, 1, 2);
  if (!p.ok()) return p.status();
  constexpr int64_t kVector = 16;
  const int64_t features = p->group_features();
  const int64_t vectors = (features + kVector - 1) / kVector;
  const double lanes = static_cast<double>(p->group * vectors * kVector);
  // One group a channel runs over pixels side by side instead, out of the cache.
  const bool depthwise = p->group > 1 && p->group_channels() == 1;
  const double work = static_cast<double>(p->batch) * static_cast<double>(p->out_size()) *
                      static_cast<double>(p->depth());
  const double flops = 2 * work * (depthwise ? static_cast<double>(p->features) : lanes);
  const double share = depthwise ? 0.3 : p->group_channels() < 8 ? 0.5 : 1;
  const double weights = 4.0 * static_cast<double>(p->features) * static_cast<double>(p->depth());
  return Costs().call + ForkNs(context.threads) +
         StreamedNs(ComputeNs(flops, share, context.threads), weights, context.threads) +
         TransposesNs(context, *p);
}

}  // namespace sluice::cpu
