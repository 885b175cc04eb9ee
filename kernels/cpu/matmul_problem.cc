#include "kernels/cpu/matmul_problem.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ops/quantized.h"

namespace sluice::cpu {

void MatMulProblem::SetShapes(Dims a, Dims b) {
  if (a.size() == 1) {
    a.insert(a.begin(), 1);
    transpose_a = false;
  }
  if (b.size() == 1) {
    b.push_back(1);
    transpose_b = false;
  }
  m = a[a.size() - (transpose_a ? 1 : 2)];
  k = a[a.size() - (transpose_a ? 2 : 1)];
  n = b[b.size() - (transpose_b ? 2 : 1)];
  a_batch.assign(a.begin(), a.end() - 2);
  b_batch.assign(b.begin(), b.end() - 2);
  const size_t rank = std::max(a_batch.size(), b_batch.size());
  a_batch.insert(a_batch.begin(), rank - a_batch.size(), 1);
  b_batch.insert(b_batch.begin(), rank - b_batch.size(), 1);
  for (size_t i = 0; i < rank; ++i) batch.push_back(a_batch[i] == 1 ? b_batch[i] : a_batch[i]);
}

void MatMulProblem::MergeBatch() {
  std::vector<Dims*> all = {&a_batch, &b_batch};
  if (has_c) all.push_back(&c.dims);
  for (Operand& o : operands) all.push_back(&o.dims);
  for (size_t i = 0; i + 1 < batch.size();) {
    const bool mergeable = std::all_of(all.begin(), all.end(), [&](const Dims* d) {
      return ((*d)[i] == batch[i] && (*d)[i + 1] == batch[i + 1]) ||
             ((*d)[i] == 1 && (*d)[i + 1] == 1);
    });
    if (!mergeable) {
      ++i;
      continue;
    }
    for (Dims* d : all) {
      (*d)[i] *= (*d)[i + 1];
      d->erase(d->begin() + i + 1);
    }
    batch[i] *= batch[i + 1];
    batch.erase(batch.begin() + i + 1);
  }
  while (!batch.empty() && !transpose_a) {
    const size_t i = batch.size() - 1;
    const bool foldable =
        b_batch[i] == 1 && a_batch[i] == batch[i] &&
        std::all_of(all.begin() + 2, all.end(), [&](const Dims* d) {
          return ((*d)[i] == batch[i] && (*d)[i + 1] == m) || ((*d)[i] == 1 && (*d)[i + 1] == 1);
        });
    if (!foldable) break;
    m *= batch[i];
    for (size_t o = 2; o < all.size(); ++o) {
      (*all[o])[i + 1] *= (*all[o])[i];
      all[o]->erase(all[o]->begin() + i);
    }
    batch.pop_back();
    a_batch.pop_back();
    b_batch.pop_back();
  }
}

MatMulProblem MatMulProblem::Of(DType dtype, Dims a, Dims b) {
  MatMulProblem p;
  p.dtype = dtype;
  p.SetShapes(std::move(a), std::move(b));
  p.MergeBatch();
  return p;
}

absl::StatusOr<MatMulProblem> MatMulProblem::Read(const PrepareContext& context) {
  const Node& node = context.node;
  MatMulProblem p;
  p.dtype = context.input_dtype(0);
  const bool fused = node.Is("FusedMatMul"), quantized = node.Is("QuantizedMatMul");
  const size_t addend = quantized ? QuantizedInput::kBias : 2;
  const Dims a = context.input_dims(0), b = context.input_dims(quantized ? QuantizedInput::kW : 1);
  if (node.Is("Gemm")) {
    p.transpose_a = node.Int("transA") != 0;
    p.transpose_b = node.Int("transB") != 0;
    p.beta = node.Float("beta");
    p.alpha = node.Float("alpha");
  } else if (fused) {
    p.transpose_a = node.Int("transpose_a") != 0;
    p.transpose_b = node.Int("transpose_b") != 0;
    p.alpha = node.Float("alpha");
    absl::StatusOr<std::vector<PostOp>> steps = ReadPostOps(node, kFusedOperands);
    if (!steps.ok()) return steps.status();
    p.steps = *std::move(steps);
  } else if (quantized) {
    p.transpose_b = node.Int("transpose_b") != 0;
    absl::StatusOr<std::vector<PostOp>> steps = ReadPostOps(node, QuantizedInput::kOperands);
    if (!steps.ok()) return steps.status();
    p.steps = *std::move(steps);
  }
  p.SetShapes(a, b);
  // Inference has compared what it knew; here every extent is a number.
  const int64_t rows = b.size() == 1 ? b[0] : b[b.size() - (p.transpose_b ? 1 : 2)];
  bool fits = rows == p.k;
  for (size_t i = 0; i < p.batch.size(); ++i) {
    fits = fits && (p.b_batch[i] == 1 || p.b_batch[i] == p.batch[i]);
  }
  for (size_t i = addend; i < context.inputs.size(); ++i) {
    if (!context.HasInput(i)) continue;
    const Dims d = context.input_dims(i), out = context.output_dims(0);
    fits = fits && d.size() <= out.size();
    for (size_t j = 0; fits && j < d.size(); ++j) {
      fits = d[j] == 1 || d[j] == out[out.size() - d.size() + j];
    }
  }
  if (!fits) {
    return NodeError(node, absl::StatusCode::kInvalidArgument,
                     absl::StrCat("inputs of extents ", DimsToString(a), " and ", DimsToString(b),
                                  " do not multiply, or an addend does not broadcast"));
  }
  // An operand's extents as [batch..., m, n]: numpy's alignment, with the axes that 1-D operands
  // lack in the result put back.
  auto aligned = [&](size_t input) {
    Dims d = context.input_dims(input);
    d.insert(d.begin(), context.output_dims(0).size() - d.size(), 1);
    if (b.size() == 1) d.push_back(1);
    if (a.size() == 1) d.insert(d.end() - 1, 1);
    return Operand{static_cast<int>(input), d};
  };
  p.has_c = !node.Is("MatMul") && context.HasInput(addend) && p.beta != 0;
  if (p.has_c) p.c = aligned(addend);
  for (PostOp& step : p.steps) {
    if (step.operand < 0) continue;
    p.operands.push_back(aligned(step.operand));
    step.operand = static_cast<int>(p.operands.size()) - 1;
  }
  p.MergeBatch();
  return p;
}

int64_t MatMulProblem::batches() const {
  int64_t count = 1;
  for (int64_t d : batch) count *= d;
  return count;
}

int64_t MatMulProblem::MatrixOffset(const Dims& operand_batch, int64_t matrix,
                                    int64_t index) const {
  int64_t offset = 0, stride = matrix;
  for (size_t i = batch.size(); i-- > 0;) {
    if (operand_batch[i] != 1) offset += index % batch[i] * stride;
    index /= batch[i];
    stride *= operand_batch[i];
  }
  return offset;
}

Dims MatMulProblem::Matrix(const Dims& batch_dims, int64_t rows, int64_t cols) const {
  Dims dims = batch_dims;
  dims.push_back(rows);
  dims.push_back(cols);
  return dims;
}

}  // namespace sluice::cpu
