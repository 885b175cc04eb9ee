// MatMul, Gemm and FusedMatMul by oneDNN, with constant weights packed and steps as post-ops.
#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/matmul_problem.h"
#include "kernels/cpu/onednn/onednn.h"
#include "kernels/cpu/staging.h"

namespace sluice::cpu {
namespace {

using Desc = dnnl::memory::desc;

Desc Matrices(const Dims& batch, int64_t rows, int64_t cols, int64_t row, int64_t col,
              DType dtype) {
  dnnl::memory::dims dims = DnnlDims(batch), strides(batch.size());
  int64_t stride = rows * cols;
  for (size_t i = batch.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= batch[i];
  }
  dims.insert(dims.end(), {rows, cols});
  strides.insert(strides.end(), {row, col});
  return Desc(dims, DnnlType(dtype), strides);
}

class DnnlMatMul final : public Kernel {
 public:
  // Throws dnnl::error.
  static absl::StatusOr<std::unique_ptr<Kernel>> Make(const PrepareContext& context,
                                                      const MatMulProblem& p, DType compute);

  absl::Status Launch(const LaunchContext& context) const override {
    char* const scratch = static_cast<char*>(context.scratch);
    absl::InlinedVector<const void*, 12> data;
    for (const Bound& b : bound_) {
      const void* from = b.packed >= 0 ? packed_.data(b.packed, context)
                         : b.input < 0 ? nullptr
                                       : context.inputs[b.input];
      if (b.staged) {
        char* to = scratch + b.offset;
        if (b.convert != nullptr) {
          ConvertParallel(b.convert, from, ByteSize(dtype_), to, ByteSize(compute_), b.elements,
                          context.pool);
          from = to;
        }
        if (b.factor != 1) {
          const float factor = b.factor;
          const float* x = static_cast<const float*>(from);
          for (int64_t i = 0; i < b.elements; ++i) reinterpret_cast<float*>(to)[i] = factor * x[i];
        }
        from = to;
      }
      data.push_back(from);
    }
    void* const out = compute_ == dtype_ ? context.outputs[0] : scratch + out_offset_;
    data.push_back(out);
    if (scratchpad_bytes_ > 0) data.push_back(scratch + scratchpad_offset_);
    if (absl::Status s = primitive_->Run(context.pool, data); !s.ok()) return s;
    if (tail_.has_value()) {
      absl::InlinedVector<const void*, 8> operands;
      for (int i : tail_inputs_) operands.push_back(context.inputs[i]);
      tail_->RunAll(out, operands, context.pool);
    }
    if (compute_ != dtype_) {
      ConvertParallel(FindConversion(compute_, dtype_), out, ByteSize(compute_), context.outputs[0],
                      ByteSize(dtype_), out_elements_, context.pool);
    }
    return absl::OkStatus();
  }

  std::string Description() const override {
    return absl::StrCat("onednn ", implementation_, compute_ == dtype_ ? "" : " in f32");
  }
  size_t scratch_bytes() const override { return layout_.bytes(); }
  size_t packed_bytes() const override { return packed_.bytes(); }
  std::vector<int> unread_inputs() const override {
    return packs_ ? std::vector<int>{1} : std::vector<int>{};
  }
  absl::Span<const InputForm> forms() const override { return packed_.forms(); }

 private:
  // An input that the primitive reads at each launch.
  struct Bound {
    int input;
    int packed = -1;  // of a held input: its index there
    bool staged = false;
    TileFn convert = nullptr;
    float factor = 1;
    int64_t elements = 0;
    size_t offset = 0;
  };
  void Bind(int input, int64_t elements, float factor = 1) {
    Bound b{input};
    b.elements = elements;
    b.factor = factor;
    if (compute_ != dtype_) b.convert = FindConversion(dtype_, compute_);
    b.staged = b.convert != nullptr || factor != 1;
    if (b.staged) b.offset = layout_.Take(static_cast<size_t>(elements) * ByteSize(compute_));
    bound_.push_back(b);
  }

  DType dtype_, compute_;
  std::vector<Bound> bound_;
  ScratchLayout layout_;
  size_t out_offset_ = 0, scratchpad_offset_ = 0, scratchpad_bytes_ = 0;
  int64_t out_elements_ = 0;
  std::optional<Epilogue> tail_;
  std::vector<int> tail_inputs_;
  PackedInputs packed_;
  bool packs_ = false;
  std::string implementation_;
  std::unique_ptr<DnnlPrimitive> primitive_;
};

absl::StatusOr<std::unique_ptr<Kernel>> DnnlMatMul::Make(const PrepareContext& context,
                                                         const MatMulProblem& p, DType compute) {
  auto kernel = std::make_unique<DnnlMatMul>();
  kernel->dtype_ = p.dtype;
  kernel->compute_ = compute;
  const Desc a = Matrices(p.a_batch, p.m, p.k, p.a_row(), p.a_col(), compute);
  const Desc b_plain = Matrices(p.b_batch, p.k, p.n, p.b_row(), p.b_col(), compute);
  const Dims out_dims = p.Matrix(p.batch, p.m, p.n);
  const Desc out = DnnlPlain(out_dims, compute);
  const bool pack = context.IsPackable(1);
  const Desc b = pack ? DnnlAny(p.Matrix(p.b_batch, p.k, p.n), compute) : b_plain;

  // C is oneDNN's bias where it is one number a column and nothing scales the product first.
  DnnlPostOps post;
  Desc bias;
  bool as_bias = p.has_c && p.alpha == 1 && Product(p.c.dims) == p.n && p.c.dims.back() == p.n;
  if (p.alpha != 1) post.ops.append_eltwise(dnnl::algorithm::eltwise_linear, p.alpha, -0.0f);
  if (as_bias) {
    bias = DnnlPlain(p.c.dims, compute);
  } else if (p.has_c) {
    PostOp add{FindPostOp("Add")};
    add.operand = -1;
    absl::Status s = AppendDnnlStep(add, DnnlPlain(p.c.dims, compute), &post);
    if (!s.ok()) return s;
  }
  // Steps that oneDNN lacks, and all behind them, are applied to the result.
  Epilogue tail(compute, out_dims);
  for (PostOp step : p.steps) {
    const MatMulProblem::Operand* operand = step.operand >= 0 ? &p.operands[step.operand] : nullptr;
    if (tail.empty() && DnnlKeepsNaN(step) &&
        AppendDnnlStep(step, operand == nullptr ? Desc() : DnnlPlain(operand->dims, compute), &post)
            .ok()) {
      continue;
    }
    if (compute != DType::kF32 || (operand != nullptr && p.dtype != compute)) {
      return absl::UnimplementedError(absl::StrCat("oneDNN has no post-op ", step.def->name));
    }
    if (operand != nullptr) {
      kernel->tail_inputs_.push_back(operand->input);
      step.operand = static_cast<int>(kernel->tail_inputs_.size()) - 1;
    }
    absl::Status s = tail.Append(step, operand == nullptr ? Dims() : operand->dims);
    if (!s.ok()) return s;
  }
  if (!tail.empty()) kernel->tail_ = std::move(tail);

  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(post.ops);
  const dnnl::matmul::primitive_desc pd =
      as_bias ? dnnl::matmul::primitive_desc(DnnlEngine(), a, b, bias, out, attr)
              : dnnl::matmul::primitive_desc(DnnlEngine(), a, b, out, attr);
  kernel->implementation_ = pd.impl_info_str();
  if (DnnlIsReference(kernel->implementation_)) {
    return absl::UnimplementedError(absl::StrCat("oneDNN has only ", kernel->implementation_));
  }

  std::vector<DnnlPrimitive::Argument> arguments;
  kernel->Bind(0, Product(p.Matrix(p.a_batch, p.m, p.k)));
  arguments.push_back({DNNL_ARG_SRC, a});
  if (pack) {
    absl::StatusOr<int> form =
        DnnlPack(context, 1, compute, b_plain, pd.weights_desc(), &kernel->packed_);
    if (!form.ok()) return form.status();
    if (const void* fixed = kernel->packed_.fixed(*form); fixed != nullptr) {
      arguments.push_back({DNNL_ARG_WEIGHTS, pd.weights_desc(), fixed});
    } else {
      arguments.push_back({DNNL_ARG_WEIGHTS, pd.weights_desc()});
      kernel->bound_.push_back({.input = 1, .packed = *form});
    }
    kernel->packs_ = true;
  } else {
    kernel->Bind(1, Product(p.Matrix(p.b_batch, p.k, p.n)));
    arguments.push_back({DNNL_ARG_WEIGHTS, b});
  }
  if (as_bias) {
    kernel->Bind(p.c.input, p.n, p.beta);
    arguments.push_back({DNNL_ARG_BIAS, bias});
  }
  for (const DnnlPostOps::Operand& o : post.operands) {
    const bool is_c = o.input < 0;
    const MatMulProblem::Operand& from = is_c ? p.c : p.operands[o.input];
    kernel->Bind(from.input, Product(from.dims), is_c ? p.beta : 1);
    arguments.push_back({o.id, o.desc});
  }
  arguments.push_back({DNNL_ARG_DST, out});
  kernel->out_elements_ = Product(out_dims);
  if (compute != p.dtype) {
    kernel->out_offset_ =
        kernel->layout_.Take(static_cast<size_t>(kernel->out_elements_) * ByteSize(compute));
  }
  kernel->scratchpad_bytes_ = pd.scratchpad_desc().get_size();
  if (kernel->scratchpad_bytes_ > 0) {
    kernel->scratchpad_offset_ = kernel->layout_.Take(kernel->scratchpad_bytes_);
    arguments.push_back({DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()});
  }
  kernel->primitive_ = std::make_unique<DnnlPrimitive>(dnnl::matmul(pd), std::move(arguments));
  return kernel;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareDnnlMatMul(const PrepareContext& context) {
  absl::StatusOr<MatMulProblem> p = MatMulProblem::Read(context);
  if (!p.ok()) return p.status();
  if (!IsFloat(p->dtype) || p->dtype == DType::kF64) {
    return absl::UnimplementedError(absl::StrCat("oneDNN multiplies no ", ToString(p->dtype)));
  }
  if (p->empty() || p->k == 0) return absl::UnimplementedError("an extent is 0");
  if (p->batch.size() > 10) return absl::UnimplementedError("more than 10 batch axes");
  const bool half = p->dtype != DType::kF32;
  // A factor on C is applied in f32. Weights in f32 sums are widened here: oneDNN 3.7.2 would take
  // packed f16 ones too, but multiplies them wrongly where k is above 64.
  const auto make = [&](DType compute) {
    return DnnlPrepare(context, [&] { return DnnlMatMul::Make(context, *p, compute); });
  };
  if (!half || p->beta == 1 || !p->has_c) {
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = make(p->dtype);
    if (kernel.ok() || !half || !absl::IsUnimplemented(kernel.status())) return kernel;
  }
  return make(DType::kF32);
}

}  // namespace sluice::cpu
