// The kernel of every element-wise op on numbers: a tile program of its steps alone.
#include "kernels/cpu/elementwise.h"

#include "absl/strings/str_cat.h"
#include "kernels/cpu/tile/program_kernel.h"

namespace sluice::cpu {
namespace {

// A tile program has 256 values: an operand and a step of each, and some to spare.
constexpr size_t kMostOperands = 120;

}  // namespace

absl::StatusOr<TileValue> ReadOperand(const PrepareContext& context, size_t i, const Dims& space,
                                      TileProgram* program) {
  Dims dims = context.input_dims(i);
  // A bound of Clip may be a vector of one element beside a scalar.
  if (dims.size() > space.size() && *ElementCount(dims) == 1) dims.clear();
  bool fits = dims.size() <= space.size();
  for (size_t k = 1; fits && k <= dims.size(); ++k) {
    const int64_t extent = dims[dims.size() - k];
    fits = extent == 1 || extent == space[space.size() - k];
  }
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat("input ", i, " of shape ", DimsToString(dims),
                                                   " does not broadcast to ", DimsToString(space)));
  }
  TileValue value;
  value.dtype = context.input_dtype(i);
  if (value.dtype == DType::kString) return absl::UnimplementedError("works on numbers only");
  const Dims strides = BroadcastStrides(dims, space);
  // Where only moves elements; everything else computes 16-bit floats in f32.
  value.id = context.node.Is("Where") ? program->InputAsStored(value.dtype, strides)
                                      : program->Input(value.dtype, strides);
  if (context.IsConstant(i)) value.constant = context.constants[i];
  return value;
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareElementwise(const PrepareContext& context) {
  if (context.inputs.size() > kMostOperands)
    return absl::UnimplementedError(absl::StrCat("more than ", kMostOperands, " operands"));
  const Dims space = context.output_dims(0);
  const DType result = context.output_dtype(0);
  TileProgram program(space);
  std::vector<TileValue> inputs;
  for (size_t i = 0; i < context.inputs.size(); ++i) {
    if (!context.HasInput(i) || (i == 1 && context.node.Is("CastLike"))) {
      // The program's operands are the node's inputs by position; an absent one is never read, and
      // of CastLike's second only the type counts.
      program.Input(DType::kF32, Dims(space.size(), 0));
      inputs.push_back({});
      continue;
    }
    absl::StatusOr<TileValue> value = ReadOperand(context, i, space, &program);
    if (!value.ok()) return value.status();
    inputs.push_back(*std::move(value));
  }
  if (result == DType::kString) return absl::UnimplementedError("works on numbers only");
  absl::StatusOr<TileProgram::ValueId> value = LowerElementwise(program, context.node, inputs);
  if (!value.ok()) return value.status();
  program.Output(*value, result, BroadcastStrides(space, space));
  return MakeProgramKernel(program, context.threads);
}

}  // namespace sluice::cpu
