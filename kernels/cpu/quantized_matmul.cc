// QuantizedMatMul by oneDNN: exact sums of 8-bit products, steps and the result's scale in the same
// loop, constant weights packed.
#include "absl/strings/str_cat.h"
#include "kernels/cpu/matmul_problem.h"
#include "kernels/cpu/quantized.h"

namespace sluice::cpu {
namespace {

using Desc = dnnl::memory::desc;
using In = QuantizedInput;

Desc Matrices(const Dims& dims, DType dtype, bool transposed) {
  if (!transposed) return DnnlPlain(dims, dtype);
  const size_t rank = dims.size();
  dnnl::memory::dims strides(rank);
  strides[rank - 2] = 1;
  strides[rank - 1] = dims[rank - 2];
  int64_t stride = dims[rank - 2] * dims[rank - 1];
  for (size_t i = rank - 2; i-- > 0;) {
    strides[i] = stride;
    stride *= dims[i];
  }
  return Desc(DnnlDims(dims), DnnlType(dtype), strides);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareQuantizedMatMul(const PrepareContext& context) {
  absl::StatusOr<MatMulProblem> read = MatMulProblem::Read(context);
  if (!read.ok()) return read.status();
  const MatMulProblem& p = *read;
  if (p.empty() || p.k == 0) return absl::UnimplementedError("an extent is 0");
  if (p.batch.size() > 10) return absl::UnimplementedError("more than 10 batch axes");
  const Dims out = p.Matrix(p.batch, p.m, p.n);
  const int rank = static_cast<int>(out.size());
  std::vector<PostOp> steps = p.steps;  // which name node inputs again
  std::vector<Dims> operands;
  for (PostOp& step : steps) {
    if (step.operand < 0) continue;
    operands.push_back(p.operands[step.operand].dims);
    step.operand = p.operands[step.operand].input;
  }
  absl::StatusOr<QuantizedAttributes> attributes =
      QuantizedAttributes::Read(context, steps, operands, out, 1 << (rank - 1));
  if (!attributes.ok()) return attributes.status();

  const Desc x = DnnlPlain(p.Matrix(p.a_batch, p.m, p.k), p.dtype);
  const Dims weights = p.Matrix(p.b_batch, p.k, p.n);
  const Desc w = Matrices(weights, DType::kI8, p.transpose_b);
  const Desc y = DnnlPlain(out, context.output_dtype(0));
  Dims bias_dims(rank, 1);
  bias_dims.back() = p.n;
  const Desc bias = p.has_c ? DnnlPlain(bias_dims, DType::kF32) : Desc();
  const bool pack = context.IsConstant(In::kW);
  return DnnlPrepare(context, [&]() -> absl::StatusOr<std::unique_ptr<Kernel>> {
    auto kernel = std::make_unique<DnnlNode>(context, DType::kF32);
    const dnnl::matmul::primitive_desc pd(DnnlEngine(), x, pack ? DnnlAny(weights, DType::kI8) : w,
                                          bias, y, attributes->attr());
    if (DnnlIsReference(pd.impl_info_str())) {
      return absl::UnimplementedError(absl::StrCat("oneDNN has only ", pd.impl_info_str()));
    }
    kernel->Input(DNNL_ARG_SRC, In::kX, x, x);
    kernel->Input(DNNL_ARG_WEIGHTS, In::kW, w, pd.weights_desc());
    if (p.has_c) attributes->BindBias(context, bias, kernel.get());
    attributes->Bind(context, pd, kernel.get());
    kernel->Output(y, y);
    kernel->Finish(dnnl::matmul(pd), pd.scratchpad_desc(),
                   absl::StrCat("onednn ", pd.impl_info_str()));
    if (!kernel->status().ok()) return kernel->status();
    return kernel;
  });
}

}  // namespace sluice::cpu
