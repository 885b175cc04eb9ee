// MatMul, Gemm and FusedMatMul by our own code: every dtype, every step, empty extents.
#include "absl/strings/str_cat.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/matmul_problem.h"
#include "kernels/cpu/staging.h"

namespace sluice::cpu {
namespace {

// Multiplications of one product that need no blocking, and up to which our own code is faster than
// a call of the library's (8x8x8: 50 ns against 450; 32x32x32: 650 against 1030).
constexpr double kTinyTerms = 4096, kSmallTerms = 40000;

class OwnMatMul final : public Kernel {
 public:
  static absl::StatusOr<std::unique_ptr<Kernel>> Make(const PrepareContext& context,
                                                      const MatMulProblem& p, bool tiny) {
    const DType compute = ComputeType(p.dtype);
    auto kernel = std::make_unique<OwnMatMul>(p, compute);
    kernel->gemm_ = tiny ? FindTinyGemm(compute) : FindGemm(compute);
    kernel->tiny_ = tiny;
    if (kernel->gemm_ == nullptr) {
      return absl::UnimplementedError(absl::StrCat("no product in ", ToString(p.dtype)));
    }
    Epilogue& e = kernel->epilogue_;
    absl::Status s = e.Scale(p.alpha);
    if (s.ok() && p.has_c) {
      s = e.Add(0, p.c.dims, p.beta);
      kernel->operands_.push_back(p.c);
    }
    const int shift = p.has_c ? 1 : 0;
    for (PostOp step : p.steps) {
      if (!s.ok()) break;
      Dims dims;
      if (step.operand >= 0) {
        dims = p.operands[step.operand].dims;
        step.operand += shift;
      }
      s = e.Append(step, dims);
    }
    if (!s.ok()) return s;
    kernel->operands_.insert(kernel->operands_.end(), p.operands.begin(), p.operands.end());
    if (compute != p.dtype) {
      auto stage = [&](int input, const Dims& dims) {
        const int64_t n = Product(dims);
        kernel->staged_.push_back(
            {input, n, kernel->layout_.Take(static_cast<size_t>(n) * ByteSize(compute))});
      };
      stage(0, p.Matrix(p.a_batch, p.m, p.k));
      stage(1, p.Matrix(p.b_batch, p.k, p.n));
      for (const MatMulProblem::Operand& o : kernel->operands_) stage(o.input, o.dims);
      kernel->out_offset_ = kernel->layout_.Take(
          static_cast<size_t>(Product(p.Matrix(p.batch, p.m, p.n))) * ByteSize(compute));
    }
    return kernel;
  }

  OwnMatMul(const MatMulProblem& p, DType compute)
      : p_(p),
        compute_(compute),
        epilogue_(compute, p.Matrix(p.batch, p.m, p.n)),
        batches_(p.batches()) {}

  absl::Status Launch(const LaunchContext& context) const override {
    if (p_.empty()) return absl::OkStatus();
    char* const scratch = static_cast<char*>(context.scratch);
    const size_t element = ByteSize(compute_);
    absl::InlinedVector<const void*, 8> operands;
    const void *a = context.inputs[0], *b = context.inputs[1];
    char* out = static_cast<char*>(context.outputs[0]);
    if (compute_ != p_.dtype) {
      const TileFn convert = FindConversion(p_.dtype, compute_);
      for (const Staged& s : staged_) {
        ConvertParallel(convert, context.inputs[s.input], ByteSize(p_.dtype), scratch + s.offset,
                        element, s.elements, context.pool);
      }
      a = scratch + staged_[0].offset;
      b = scratch + staged_[1].offset;
      for (size_t i = 2; i < staged_.size(); ++i) operands.push_back(scratch + staged_[i].offset);
      out = scratch + out_offset_;
    } else {
      for (const MatMulProblem::Operand& o : operands_) operands.push_back(context.inputs[o.input]);
    }
    auto block = [&](int64_t batch, int64_t row, int64_t rows, int64_t col, int64_t cols) {
      GemmArgs g{rows, cols, p_.k};
      const int64_t es = static_cast<int64_t>(element);
      g.a_row = p_.a_row();
      g.a_col = p_.a_col();
      g.b_row = p_.b_row();
      g.b_col = p_.b_col();
      g.c_row = p_.n;
      g.a = static_cast<const char*>(a) +
            (p_.MatrixOffset(p_.a_batch, p_.m * p_.k, batch) + row * g.a_row) * es;
      g.b = static_cast<const char*>(b) +
            (p_.MatrixOffset(p_.b_batch, p_.k * p_.n, batch) + col * g.b_col) * es;
      char* c = out + (batch * p_.m * p_.n + row * p_.n + col) * es;
      g.c = c;
      gemm_(g);
      epilogue_.RunTile(batch * p_.m + row, rows, col, cols, c, p_.n, operands);
    };
    if (tiny_ && batches_ == 1) {
      block(0, 0, p_.m, 0, p_.n);
    } else {
      ForGemmBlocks(batches_, p_.m, p_.n, p_.k, context.pool, block);
    }
    if (compute_ != p_.dtype) {
      ConvertParallel(FindConversion(compute_, p_.dtype), out, element, context.outputs[0],
                      ByteSize(p_.dtype), batches_ * p_.m * p_.n, context.pool);
    }
    return absl::OkStatus();
  }

  std::string Description() const override {
    return absl::StrCat(tiny_ ? "tiny " : "blocked ", ToString(compute_));
  }
  size_t scratch_bytes() const override { return layout_.bytes(); }

 private:
  struct Staged {
    int input;
    int64_t elements;
    size_t offset;
  };
  const MatMulProblem p_;
  const DType compute_;
  Epilogue epilogue_;
  const int64_t batches_;
  GemmFn gemm_ = nullptr;
  bool tiny_ = false;
  std::vector<MatMulProblem::Operand> operands_;
  std::vector<Staged> staged_;  // A, B, operands
  ScratchLayout layout_;
  size_t out_offset_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareSmallMatMul(const PrepareContext& context) {
  absl::StatusOr<MatMulProblem> p = MatMulProblem::Read(context);
  if (!p.ok()) return p.status();
  if (ComputeType(p->dtype) != p->dtype) {
    return absl::UnimplementedError(absl::StrCat("computes ", ToString(p->dtype), " in f32"));
  }
  const double terms = static_cast<double>(p->m) * p->n * p->k;
  if (terms > kSmallTerms || p->n < 4 || (terms > kTinyTerms && p->m < 8)) {
    return absl::UnimplementedError("the library is faster on large or narrow products");
  }
  return OwnMatMul::Make(context, *p, /*tiny=*/terms <= kTinyTerms && !p->transpose_b);
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareOwnMatMul(const PrepareContext& context) {
  absl::StatusOr<MatMulProblem> p = MatMulProblem::Read(context);
  if (!p.ok()) return p.status();
  return OwnMatMul::Make(context, *p, /*tiny=*/false);
}

}  // namespace sluice::cpu
