// MatMul, Gemm and FusedMatMul in f32 over packed panels (packed_gemm.h): constant weights are
// packed once, others at each launch; bias, addend and bounds are applied in registers, other steps
// on the tile that was just made.
#include <cmath>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/matmul_problem.h"
#include "kernels/cpu/packed_gemm.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/staging.h"

namespace sluice::cpu {
namespace {

// Rows from which packing B at each launch is repaid.
constexpr int64_t kRowsToPack = 32;

class PackedMatMul final : public Kernel {
 public:
  PackedMatMul(const MatMulProblem& p, int threads)
      : p_(p),
        threads_(std::max(threads, 1)),
        batches_(p.batches()),
        matrix_floats_(PackedFloats(p.k, p.n)),
        tail_(DType::kF32, p.Matrix(p.batch, p.m, p.n)) {}

  absl::Status Init(const PrepareContext& context);
  absl::Status Launch(const LaunchContext& context) const override;

  std::string Description() const override {
    return absl::StrCat("packed ", TileRows(), "x", PanelColumns(), ":", ChooseIsa());
  }
  size_t scratch_bytes() const override { return layout_.bytes(); }
  size_t packed_bytes() const override { return packed_.bytes(); }
  std::vector<int> unread_inputs() const override {
    return packed_.valid() ? std::vector<int>{1} : std::vector<int>{};
  }

 private:
  absl::Status AddStep(PostOp step, const MatMulProblem::Operand* operand);
  // True where an addition of `dims` can be done in registers; then it is.
  bool InRegisters(const MatMulProblem::Operand& operand);
  void Pack(const float* b, float* to) const {
    PackPanels(b, p_.b_row(), p_.b_col(), p_.k, p_.n, p_.alpha, to);
  }

  // The same by all threads.
  void PackShared(const float* b, float* to, ThreadPool* pool) const {
    const int64_t width = PanelColumns(), panels = (p_.n + width - 1) / width;
    const auto part = [&](int64_t begin, int64_t end) {
      const int64_t columns = std::min(end * width, p_.n) - begin * width;
      PackPanels(b + begin * width * p_.b_col(), p_.b_row(), p_.b_col(), p_.k, columns, p_.alpha,
                 to + begin * width * p_.k);
    };
    if (pool == nullptr) return part(0, panels);
    pool->ParallelFor(panels, (1 << 14) / (width * p_.k) + 1, part);
  }

  const MatMulProblem p_;
  const int64_t threads_;
  const int64_t batches_;
  const int64_t matrix_floats_;  // of one packed B
  int bias_ = -1, addend_ = -1;  // inputs
  float low_ = -std::numeric_limits<float>::infinity();
  float high_ = std::numeric_limits<float>::infinity();
  bool bounded_ = false;
  Epilogue tail_;
  std::vector<int> tail_inputs_;
  Tensor packed_;
  ScratchLayout layout_;
  size_t panels_offset_ = 0;
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
  const int64_t matrices = Product(p_.b_batch);
  if (!context.IsConstant(1)) {
    const size_t matrices_at_once = static_cast<size_t>(std::min<int64_t>(threads_, batches_));
    panels_offset_ =
        layout_.Take(matrices_at_once * static_cast<size_t>(matrix_floats_) * sizeof(float));
    return absl::OkStatus();
  }
  absl::StatusOr<Tensor> packed = Tensor::Allocate(DType::kF32, {matrices * matrix_floats_});
  if (!packed.ok()) return packed.status();
  const float* b = context.constants[1].data<float>();
  for (int64_t i = 0; i < matrices; ++i) {
    Pack(b + i * p_.k * p_.n, packed->mutable_data<float>() + i * matrix_floats_);
  }
  packed_ = *std::move(packed);
  return absl::OkStatus();
}

absl::Status PackedMatMul::Launch(const LaunchContext& context) const {
  const float *a = context.input<float>(0), *b = context.input<float>(1);
  float* const c = context.output<float>(0);
  float* const scratch =
      reinterpret_cast<float*>(static_cast<char*>(context.scratch) + panels_offset_);
  absl::InlinedVector<const void*, 8> operands;
  for (int i : tail_inputs_) operands.push_back(context.inputs[i]);

  // Matrix `index`, its B already in `panels`.
  const auto multiply = [&](int64_t index, const float* panels, const float* next,
                            ThreadPool* pool) {
    PackedGemmArgs g;
    g.m = p_.m;
    g.n = p_.n;
    g.k = p_.k;
    g.a = a + p_.MatrixOffset(p_.a_batch, p_.m * p_.k, index);
    g.a_row = p_.k;
    g.panels = panels;
    g.c = c + index * p_.m * p_.n;
    g.c_row = p_.n;
    if (bias_ >= 0) g.bias = context.input<float>(bias_);
    if (addend_ >= 0) g.addend = context.input<float>(addend_) + index * p_.m * p_.n;
    g.addend_row = p_.n;
    g.low = low_;
    g.high = high_;
    g.next = next;
    if (tail_.empty()) return PackedGemm(g, pool, nullptr);
    const auto tile = [&](int64_t row, int64_t rows, int64_t column, int64_t columns) {
      tail_.RunTile(index * p_.m + row, rows, column, columns, g.c + row * p_.n + column, p_.n,
                    operands);
    };
    const TileDone done = tile;
    PackedGemm(g, pool, &done);
  };
  const auto packed_matrix = [&](int64_t index) {
    return packed_.data<float>() + p_.MatrixOffset(p_.b_batch, 1, index) * matrix_floats_;
  };

  const int64_t threads =
      context.pool == nullptr ? 1 : std::min<int64_t>(context.pool->threads(), threads_);
  const double terms = static_cast<double>(p_.m) * p_.n * p_.k;
  // Few large matrices are split inside, many small ones are shared out.
  if (batches_ == 1 || (packed_.valid() && batches_ < 2 * threads && terms > 1 << 20)) {
    for (int64_t i = 0; i < batches_; ++i) {
      if (packed_.valid()) {
        multiply(i, packed_matrix(i), i + 1 < batches_ ? packed_matrix(i + 1) : nullptr,
                 context.pool);
        continue;
      }
      PackShared(b, scratch, context.pool);
      multiply(i, scratch, nullptr, context.pool);
    }
    return absl::OkStatus();
  }
  const int64_t tasks =
      terms * static_cast<double>(batches_) < 1 << 17 ? 1 : std::min<int64_t>(threads, batches_);
  const auto share = [&](int task, int) {
    const int64_t end = batches_ * (task + 1) / tasks;
    float* const own = scratch + task * matrix_floats_;
    for (int64_t i = batches_ * task / tasks; i < end; ++i) {
      if (packed_.valid()) {
        multiply(i, packed_matrix(i), i + 1 < end ? packed_matrix(i + 1) : nullptr, nullptr);
      } else {
        Pack(b + p_.MatrixOffset(p_.b_batch, p_.k * p_.n, i), own);
        multiply(i, own, nullptr, nullptr);
      }
    }
  };
  if (context.pool == nullptr) {
    for (int task = 0; task < tasks; ++task) share(task, tasks);
  } else {
    context.pool->RunTasks(static_cast<int>(tasks), share);
  }
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
  if (p->n < 8) return absl::UnimplementedError("fewer columns than a vector has lanes");
  if (!context.IsConstant(1) && p->m < kRowsToPack) {
    return absl::UnimplementedError("too few rows to pay for packing B at each launch");
  }
  auto kernel = std::make_unique<PackedMatMul>(*p, context.threads);
  if (absl::Status s = kernel->Init(context); !s.ok()) return s;
  return kernel;
}

}  // namespace sluice::cpu
