// MatMul, Gemm and FusedMatMul in f32 over packed panels (packed_gemm.h) of weights that stay:
// bias, addend and bounds are applied in registers, other steps on the tile that was just made.
#include <cmath>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "base/format.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/gemm/packed_gemm.h"
#include "kernels/cpu/matmul_problem.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/staging.h"
#include "kernels/packed_weights.h"

namespace sluice::cpu {
namespace {

class PackedMatMul final : public Kernel {
 public:
  explicit PackedMatMul(const MatMulProblem& p)
      : p_(p),
        batches_(p.batches()),
        matrix_floats_(PackedFloats(p.k, p.n)),
        tail_(DType::kF32, p.Matrix(p.batch, p.m, p.n)) {}

  absl::Status Init(const PrepareContext& context);
  absl::Status Launch(const LaunchContext& context) const override;

  std::string Description() const override {
    return absl::StrCat("packed ", TileRows(), "x", PanelColumns(), ":", ChooseIsa());
  }
  size_t packed_bytes() const override { return packed_.bytes(); }
  std::vector<int> unread_inputs() const override { return {1}; }
  absl::Span<const InputForm> forms() const override { return packed_.forms(); }

 private:
  absl::Status AddStep(PostOp step, const MatMulProblem::Operand* operand);
  // True where an addition of `dims` can be done in registers; then it is.
  bool InRegisters(const MatMulProblem::Operand& operand);

  const MatMulProblem p_;
  const int64_t batches_;
  const int64_t matrix_floats_;  // of one packed B
  int bias_ = -1, addend_ = -1;  // inputs
  float low_ = -std::numeric_limits<float>::infinity();
  float high_ = std::numeric_limits<float>::infinity();
  bool bounded_ = false;
  Epilogue tail_;
  std::vector<int> tail_inputs_;
  PackedInputs packed_;
  int panels_ = -1;
};

bool PackedMatMul::InRegisters(const MatMulProblem::Operand& o) {
  if (bounded_ || !tail_.empty()) return false;
  const int64_t elements = Product(o.dims);
  if (bias_ < 0 && elements == p_.n && o.dims.back() == p_.n) {
    bias_ = o.input;
    return true;
  }
  if (addend_ < 0 && elements == batches_ * p_.m * p_.n) {
    addend_ = o.input;
    return true;
  }
  return false;
}

absl::Status PackedMatMul::AddStep(PostOp step, const MatMulProblem::Operand* operand) {
  const absl::string_view name = step.def->name;
  if (name == "Add" && InRegisters(*operand)) return absl::OkStatus();
  if (tail_.empty() && !bounded_ && (name == "Relu" || name == "Clip")) {
    if (name == "Relu") {
      low_ = 0;
    } else if (!std::isnan(step.params[0]) && !std::isnan(step.params[1])) {
      low_ = step.params[0];
      high_ = step.params[1];
    }
    bounded_ = true;
    return absl::OkStatus();
  }
  if (operand == nullptr) return tail_.Append(step, {});
  tail_inputs_.push_back(operand->input);
  step.operand = static_cast<int>(tail_inputs_.size()) - 1;
  return tail_.Append(step, operand->dims);
}

absl::Status PackedMatMul::Init(const PrepareContext& context) {
  if (p_.has_c && (p_.beta != 1 || !InRegisters(p_.c))) {
    tail_inputs_.push_back(p_.c.input);
    if (absl::Status s = tail_.Add(0, p_.c.dims, p_.beta); !s.ok()) return s;
  }
  for (const PostOp& step : p_.steps) {
    absl::Status s = AddStep(step, step.operand >= 0 ? &p_.operands[step.operand] : nullptr);
    if (!s.ok()) return s;
  }
  const int64_t matrices = Product(p_.b_batch), floats = matrices * matrix_floats_;
  const auto pack = [this, matrices, floats](const Tensor& plain) -> absl::StatusOr<Tensor> {
    absl::StatusOr<Tensor> panels = Tensor::Allocate(DType::kF32, {floats});
    if (!panels.ok()) return panels;
    const float* b = plain.data<float>();
    for (int64_t i = 0; i < matrices; ++i) {
      PackPanels(b + i * p_.k * p_.n, p_.b_row(), p_.b_col(), p_.k, p_.n, p_.alpha,
                 panels->mutable_data<float>() + i * matrix_floats_);
    }
    return panels;
  };
  const std::string format =
      absl::StrCat("panels ", matrices, "x(", p_.k, "x", p_.n, ") of ", PanelColumns(),
                   ", strides ", p_.b_row(), " ", p_.b_col(), ", times ", Format("%a", p_.alpha));
  absl::StatusOr<int> panels =
      packed_.Add(context, 1, format, floats * int64_t{sizeof(float)}, pack);
  if (!panels.ok()) return panels.status();
  panels_ = *panels;
  return absl::OkStatus();
}

absl::Status PackedMatMul::Launch(const LaunchContext& context) const {
  const float* const a = context.input<float>(0);
  float* const c = context.output<float>(0);
  absl::InlinedVector<const void*, 8> operands;
  for (int i : tail_inputs_) operands.push_back(context.inputs[i]);

  const float* const all = packed_.data<float>(panels_, context);
  const auto panels = [&](int64_t index) {
    return all + p_.MatrixOffset(p_.b_batch, 1, index) * matrix_floats_;
  };
  // Matrix `index`; the one after it is next unless it is the `end`.
  const auto multiply = [&](int64_t index, int64_t end, ThreadPool* pool) {
    PackedGemmArgs g;
    g.m = p_.m;
    g.n = p_.n;
    g.k = p_.k;
    g.a = a + p_.MatrixOffset(p_.a_batch, p_.m * p_.k, index);
    g.a_row = p_.k;
    g.panels = panels(index);
    g.next = index + 1 < end ? panels(index + 1) : nullptr;
    g.c = c + index * p_.m * p_.n;
    g.c_row = p_.n;
    if (bias_ >= 0) g.bias = context.input<float>(bias_);
    if (addend_ >= 0) g.addend = context.input<float>(addend_) + index * p_.m * p_.n;
    g.addend_row = p_.n;
    g.low = low_;
    g.high = high_;
    if (tail_.empty()) return PackedGemm(g, pool, nullptr);
    const auto tile = [&](const FinishedTile& t) {
      tail_.RunTile(index * p_.m + t.row, t.rows, t.column, t.columns, t.data, t.stride, operands);
    };
    const TileDone done = tile;
    PackedGemm(g, pool, &done);
  };

  // Few large matrices are split inside, many small ones are shared out.
  const double terms = static_cast<double>(p_.m) * p_.n * p_.k;
  const int64_t threads = context.pool == nullptr ? 1 : context.pool->threads();
  if (threads == 1 || batches_ == 1 || (batches_ < 2 * threads && terms > 1 << 20)) {
    for (int64_t i = 0; i < batches_; ++i) multiply(i, batches_, context.pool);
    return absl::OkStatus();
  }
  const int64_t grain = std::max<int64_t>(1, static_cast<int64_t>((1 << 16) / terms));
  context.pool->ParallelFor(batches_, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) multiply(i, end, nullptr);
  });
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PreparePackedMatMul(const PrepareContext& context) {
  absl::StatusOr<MatMulProblem> p = MatMulProblem::Read(context);
  if (!p.ok()) return p.status();
  if (p->dtype != DType::kF32) {
    return absl::UnimplementedError(absl::StrCat("the panels are f32, not ", ToString(p->dtype)));
  }
  if (p->empty() || p->k == 0) return absl::UnimplementedError("an extent is 0");
  if (p->transpose_a && p->m > 1 && p->k > 1) {
    return absl::UnimplementedError("the rows of A lie across memory");
  }
  if (p->alpha != 1 && context.accuracy == Accuracy::kStrict) {
    return absl::UnimplementedError("the panels would hold alpha B");
  }
  if (p->n < 8) return absl::UnimplementedError("fewer columns than a vector has lanes");
  if (!context.IsPackable(1)) return absl::UnimplementedError("B changes from run to run");
  auto kernel = std::make_unique<PackedMatMul>(*p);
  if (absl::Status s = kernel->Init(context); !s.ok()) return s;
  return kernel;
}

}  // namespace sluice::cpu
