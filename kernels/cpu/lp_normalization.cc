#include "kernels/cpu/tile/program_kernel.h"
#include "kernels/tile/norm.h"

namespace sluice::cpu {

absl::StatusOr<std::unique_ptr<Kernel>> PrepareLpNormalization(const PrepareContext& context) {
  const Dims dims = context.input_dims(0);
  std::vector<bool> reduced(dims.size(), false);
  const int64_t axis = context.node.Int("axis");
  reduced[axis < 0 ? axis + static_cast<int64_t>(dims.size()) : axis] = true;
  const ReduceView view = MakeReduceView(dims, reduced);

  TileProgram p(view.space, view.reduced);
  const NormSteps n{p, view.count, NormType({context.input_dtype(0)})};
  const auto x = n.Input(context.input_dtype(0), view.in);
  const bool l1 = context.node.Int("p") == 1;
  auto norm = p.Step(l1 ? TileStep::kAbs : TileStep::kSquare, {x});
  if (view.count > 1) norm = p.Reduce(ReduceOp::kSum, norm);
  if (!l1) norm = p.Step(TileStep::kSqrt, {norm});
  // A zero norm divides by one instead: all elements are zero then, and stay so.
  const auto is_zero = p.Step(TileStep::kEqual, {norm, n.Number(0)});
  const auto divisor = p.Step(TileStep::kWhere, {is_zero, n.Number(1), norm});
  p.Output(p.Step(TileStep::kDiv, {x, divisor}), context.output_dtype(0), view.in);
  return MakeProgramKernel(p, {0}, context);
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareMeanVarianceNormalization(
    const PrepareContext& context) {
  const Dims dims = context.input_dims(0);
  std::vector<bool> reduced(dims.size(), false);
  for (int64_t axis : context.node.Ints("axes")) {
    reduced[axis < 0 ? axis + static_cast<int64_t>(dims.size()) : axis] = true;
  }
  const ReduceView view = MakeReduceView(dims, reduced);

  TileProgram p(view.space, view.reduced);
  const NormSteps n{p, view.count, NormType({context.input_dtype(0)})};
  const auto x = n.Input(context.input_dtype(0), view.in);
  const auto centred = view.count > 1 ? n.Sub(x, n.Mean(x)) : n.Sub(x, x);
  const auto square = p.Step(TileStep::kSquare, {centred});
  const auto spread = p.Step(TileStep::kSqrt, {view.count > 1 ? n.Mean(square) : square});
  p.Output(p.Step(TileStep::kDiv, {centred, n.Add(spread, n.Number(1e-9))}),
           context.output_dtype(0), view.in);
  return MakeProgramKernel(p, {0}, context);
}

}  // namespace sluice::cpu
