// What a product of matrices will cost by oneDNN and over packed panels (cost.h).
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/cost/cost.h"
#include "kernels/cpu/gemm/packed_gemm.h"
#include "kernels/cpu/matmul_problem.h"

namespace sluice::cpu {
namespace {

struct Work {
  double flops, weights;  // bytes
  int threads;
};

// With columns filled up to whole vectors: both kernels multiply what is beyond.
Work WorkOf(const MatMulProblem& p, int threads) {
  const double columns = static_cast<double>(PackedFloats(1, p.n));
  const double products = static_cast<double>(p.batches());
  const double flops = 2 * products * static_cast<double>(p.m) * columns * static_cast<double>(p.k);
  double matrices = 1;
  for (int64_t d : p.b_batch) matrices *= static_cast<double>(d);
  return {flops, matrices * static_cast<double>(p.k) * columns * sizeof(float),
          flops < (1 << 19) ? 1 : threads};
}

}  // namespace

// Shares of the best rate: measured on products of 128 to 1024 rows with weights out of the caches.
absl::StatusOr<double> EstimatePackedMatMul(const PrepareContext& context) {
  absl::StatusOr<MatMulProblem> p = MatMulProblem::Read(context);
  if (!p.ok()) return p.status();
  if (p->dtype != DType::kF32) {
    return absl::UnimplementedError(absl::StrCat("the panels are f32, not ", ToString(p->dtype)));
  }
  if (!context.IsPackable(1)) return absl::UnimplementedError("B changes from run to run");
  const Work w = WorkOf(*p, context.threads);
  return StreamedNs(ComputeNs(w.flops, 0.96, w.threads), w.weights, w.threads) + ForkNs(w.threads);
}

absl::StatusOr<double> EstimateDnnlMatMul(const PrepareContext& context) {
  absl::StatusOr<MatMulProblem> p = MatMulProblem::Read(context);
  if (!p.ok()) return p.status();
  const Work w = WorkOf(*p, context.threads);
  // A few rows leave it waiting for the weights, two thirds of the time at one row; weights that
  // are no constants it packs, or reads as they lie.
  const double waiting = p->m <= 16 ? 1.6 : 1;
  const double share = context.IsPackable(1) ? 0.94 : 0.8;
  return waiting * StreamedNs(ComputeNs(w.flops, share, w.threads), w.weights, w.threads) +
         ForkNs(w.threads) + Costs().call;
}

}  // namespace sluice::cpu
