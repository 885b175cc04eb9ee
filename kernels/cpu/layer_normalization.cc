#include "kernels/cpu/tile/program_kernel.h"
#include "kernels/tile/norm.h"

namespace sluice::cpu {
namespace {

// X as a space: the axes before `axis` are rows, the rest is reduced. The two groups are merged
// where the parameters only span the reduced axes, as they nearly always do.
struct RowSpace {
  Dims space, strides;
  TileProgram::Range reduced;
  int64_t count = 1;

  explicit RowSpace(const PrepareContext& context, int parameters) {
    const Dims dims = context.input_dims(0);
    const int rank = static_cast<int>(dims.size());
    const int64_t given = context.node.Int("axis");
    const int axis = static_cast<int>(given < 0 ? given + rank : given);
    for (int i = axis; i < rank; ++i) count *= dims[i];
    bool simple = true;
    for (int i = 1; i <= parameters; ++i) {
      if (!context.HasInput(i)) continue;
      const Dims p = context.input_dims(i);
      simple &= std::equal(p.begin(), p.end(), dims.begin() + axis, dims.end());
    }
    if (simple) {
      int64_t rows = 1;
      for (int i = 0; i < axis; ++i) rows *= dims[i];
      space = {rows, count};
      reduced = {1, 2};
    } else {
      space = dims;
      reduced = {axis, rank};
    }
    strides = BroadcastStrides(space, space);
    merged_ = simple;
  }
  Dims ParameterStrides(const Dims& dims) const {
    return merged_ ? Dims{0, 1} : BroadcastStrides(dims, space);
  }
  // Of Mean and InvStdDev: one element a row.
  Dims RowStrides() const {
    Dims rows = space;
    std::fill(rows.begin() + reduced.first, rows.end(), 1);
    return BroadcastStrides(rows, space);
  }

 private:
  bool merged_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareLayerNormalization(const PrepareContext& context) {
  const RowSpace rows(context, 2);
  TileProgram p(rows.space, rows.reduced);
  const NormSteps n{p, rows.count, NormType({context.input_dtype(0)})};
  const auto x = n.Input(context.input_dtype(0), rows.strides);
  const auto scale = n.Input(context.input_dtype(1), rows.ParameterStrides(context.input_dims(1)));
  TileProgram::ValueId bias = -1;
  std::vector<int> inputs = {0, 1};
  if (context.HasInput(2)) {
    bias = n.Input(context.input_dtype(2), rows.ParameterStrides(context.input_dims(2)));
    inputs.push_back(2);
  }
  const auto [y, mean, inverse] = n.LayerNorm(x, scale, bias, context.node.Float("epsilon"));
  p.Output(y, context.output_dtype(0), rows.strides);
  if (context.HasOutput(1)) p.Output(mean, context.output_dtype(1), rows.RowStrides());
  if (context.HasOutput(2)) p.Output(inverse, context.output_dtype(2), rows.RowStrides());
  return MakeProgramKernel(p, std::move(inputs), context);
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareRMSNormalization(const PrepareContext& context) {
  const RowSpace rows(context, 1);
  TileProgram p(rows.space, rows.reduced);
  const NormSteps n{p, rows.count, NormType({context.input_dtype(0), context.input_dtype(1)})};
  const auto x = n.Input(context.input_dtype(0), rows.strides);
  const auto scale = n.Input(context.input_dtype(1), rows.ParameterStrides(context.input_dims(1)));
  p.Output(n.RmsNorm(x, scale, context.node.Float("epsilon")), context.output_dtype(0),
           rows.strides);
  return MakeProgramKernel(p, {0, 1}, context);
}

}  // namespace sluice::cpu
