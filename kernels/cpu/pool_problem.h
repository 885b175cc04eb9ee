// What the pools ask for, in one form for every kernel of them.
#ifndef SLUICE_KERNELS_CPU_POOL_PROBLEM_H_
#define SLUICE_KERNELS_CPU_POOL_PROBLEM_H_

#include "absl/status/statusor.h"
#include "kernels/cpu/layout/layouts.h"
#include "kernels/cpu/post_ops.h"
#include "kernels/cpu/staging.h"
#include "kernels/kernel.h"
#include "ops/window.h"

namespace sluice::cpu {

enum class PoolKind : uint8_t { kMax, kAverage, kLp };

struct PoolProblem : PostOps {
  PoolKind kind;
  DType dtype, compute;
  int64_t planes;
  Dims in, out;
  Window window;
  bool include_pad = false, column_major = false;
  int64_t p = 2;

  static absl::StatusOr<PoolProblem> Read(const PrepareContext& context, PoolKind kind) {
    const Node& node = context.node;
    const Dims in = context.input_dims(0), out = context.output_dims(0);
    absl::StatusOr<Window> window = Window::Read(node, node.Ints("kernel_shape"));
    if (!window.ok()) return window.status();
    PoolProblem p{{}, kind, context.input_dtype(0), ComputeType(context.input_dtype(0))};
    p.planes = in[0] * in[1];
    p.in.assign(in.begin() + 2, in.end());
    p.out.assign(out.begin() + 2, out.end());
    p.window = *std::move(window);
    p.window.Resolve(p.in);
    p.include_pad = kind == PoolKind::kAverage && node.Int("count_include_pad") != 0;
    p.column_major = node.Is("MaxPool") && node.Int("storage_order") != 0;
    if (kind == PoolKind::kLp) p.p = node.Int("p");
    if (p.window.rank() > 60) return absl::UnimplementedError("more than 60 spatial axes");
    if (node.Is("FusedMaxPool") || node.Is("FusedAveragePool")) {
      if (absl::Status s = p.PostOps::Read(context, kPoolOperands, out); !s.ok()) return s;
    }
    return p;
  }
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_POOL_PROBLEM_H_
