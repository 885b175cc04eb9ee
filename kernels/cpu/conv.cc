// Conv and FusedConv by our own code: windows gathered into a matrix, block by block, then our
// GEMM. Every dtype, every step, empty extents. oneDNN is asked first.
#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "kernels/cpu/conv_problem.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/staging.h"

namespace sluice::cpu {
namespace {

constexpr int64_t kBlockBytes = 256 << 10;  // of gathered windows: they stay in the L2 cache

class OwnConv final : public Kernel {
 public:
  static absl::StatusOr<std::unique_ptr<Kernel>> Make(const PrepareContext& context,
                                                      ConvProblem problem) {
    auto kernel = std::make_unique<OwnConv>(std::move(problem), context.threads);
    const ConvProblem& p = kernel->p_;
    if (kernel->gemm_ == nullptr) {
      return absl::UnimplementedError(absl::StrCat("no convolution in ", ToString(p.dtype)));
    }
    Epilogue& e = kernel->epilogue_;
    absl::Status s;
    int operand = 0;
    kernel->inputs_ = {0, 1};
    if (p.bias >= 0) {
      Dims dims(p.out.size() + 2, 1);
      dims[1] = p.features;
      s = e.Add(operand++, dims);
      kernel->inputs_.push_back(p.bias);
    }
    size_t binary = 0;
    for (PostOp step : p.steps) {
      if (!s.ok()) break;
      Dims dims;
      if (step.operand >= 0) {
        dims = p.operands[binary++];
        kernel->inputs_.push_back(step.operand);
        step.operand = operand++;
      }
      s = e.Append(step, dims);
    }
    if (!s.ok()) return s;
    if (kernel->compute_ != p.dtype) {
      for (int i : kernel->inputs_) {
        const int64_t n = Product(context.input_dims(i));
        kernel->elements_.push_back(n);
        kernel->offsets_.push_back(kernel->layout_.Take(static_cast<size_t>(n) * kernel->element_));
      }
      kernel->out_offset_ =
          kernel->layout_.Take(static_cast<size_t>(Product(p.OutDims())) * kernel->element_);
    }
    const int64_t line = std::max<int64_t>(1, p.depth() * static_cast<int64_t>(kernel->element_));
    kernel->block_ =
        std::clamp<int64_t>(kBlockBytes / line, 16, std::max<int64_t>(16, p.out_size()));
    kernel->buffer_bytes_ = static_cast<size_t>((kernel->block_ * line + 63) / 64 * 64);
    kernel->buffers_ = kernel->layout_.Take(kernel->buffer_bytes_ * kernel->threads_);
    return kernel;
  }

  OwnConv(ConvProblem problem, int threads)
      : p_(std::move(problem)),
        compute_(ComputeType(p_.dtype)),
        element_(ByteSize(compute_)),
        gemm_(FindGemm(compute_)),
        epilogue_(compute_, p_.OutDims()),
        threads_(std::max(1, threads)) {}

  absl::Status Launch(const LaunchContext& context) const override {
    if (p_.empty()) return absl::OkStatus();
    char* const scratch = static_cast<char*>(context.scratch);
    absl::InlinedVector<const void*, 8> in;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const void* data = context.inputs[inputs_[i]];
      if (compute_ != p_.dtype) {
        ConvertParallel(FindConversion(p_.dtype, compute_), data, ByteSize(p_.dtype),
                        scratch + offsets_[i], element_, elements_[i], context.pool);
        data = scratch + offsets_[i];
      }
      in.push_back(data);
    }
    char* const out =
        compute_ != p_.dtype ? scratch + out_offset_ : static_cast<char*>(context.outputs[0]);
    const int64_t positions = p_.out_size(), blocks = (positions + block_ - 1) / block_;
    const int64_t total = p_.batch * p_.group * blocks;
    auto work = [&](int task, int tasks) {
      char* buffer = scratch + buffers_ + static_cast<size_t>(task) * buffer_bytes_;
      for (int64_t i = task; i < total; i += tasks) {
        const int64_t first = i % blocks * block_;
        Block(i / blocks / p_.group, i / blocks % p_.group, first,
              std::min(first + block_, positions), in, buffer, out);
      }
    };
    const int tasks = static_cast<int>(std::min<int64_t>(total, threads_));
    if (context.pool == nullptr) {
      work(0, 1);
    } else {
      context.pool->RunTasks(tasks, work);
    }
    if (compute_ != p_.dtype) {
      ConvertParallel(FindConversion(compute_, p_.dtype), out, element_, context.outputs[0],
                      ByteSize(p_.dtype), p_.batch * p_.features * positions, context.pool);
    }
    return absl::OkStatus();
  }

  std::string Description() const override {
    return absl::StrCat("gather + gemm ", ToString(compute_));
  }
  size_t scratch_bytes() const override { return layout_.bytes(); }

 private:
  // Positions [first, last) of all features of one group.
  void Block(int64_t image, int64_t group, int64_t first, int64_t last,
             absl::Span<const void* const> in, char* buffer, char* out) const {
    const int64_t es = static_cast<int64_t>(element_), count = last - first;
    const char* x = static_cast<const char*>(in[0]) +
                    (image * p_.channels + group * p_.group_channels()) * p_.in_size() * es;
    if (compute_ == DType::kF64) {
      GatherWindows(p_, reinterpret_cast<const double*>(x), p_.group_channels(), first, last, 0,
                    reinterpret_cast<double*>(buffer), count, int64_t{1});
    } else {
      GatherWindows(p_, reinterpret_cast<const float*>(x), p_.group_channels(), first, last, 0,
                    reinterpret_cast<float*>(buffer), count, int64_t{1});
    }
    const int64_t feature = group * p_.group_features(), positions = p_.out_size();
    GemmArgs g{p_.group_features(), count, p_.depth()};
    g.a = static_cast<const char*>(in[1]) + feature * p_.depth() * es;
    g.a_row = p_.depth();
    g.b = buffer;
    g.b_row = count;
    char* y = out + ((image * p_.features + feature) * positions + first) * es;
    g.c = y;
    g.c_row = positions;
    gemm_(g);
    if (epilogue_.empty()) return;
    const int64_t width = p_.out.back();
    for (int64_t f = 0; f < p_.group_features(); ++f) {
      const int64_t line = (image * p_.features + feature + f) * (positions / width);
      for (int64_t at = first; at < last;) {
        const int64_t part = std::min(width - at % width, last - at);
        epilogue_.Run(line + at / width, at % width, part, y + (f * positions + at - first) * es,
                      in.subspan(2));
        at += part;
      }
    }
  }

  const ConvProblem p_;
  const DType compute_;
  const size_t element_;
  const GemmFn gemm_;
  Epilogue epilogue_;
  const int threads_;
  std::vector<int> inputs_;  // X, W, then the epilogue's operands
  std::vector<int64_t> elements_;
  std::vector<size_t> offsets_;  // of inputs converted to the compute type
  ScratchLayout layout_;
  size_t out_offset_ = 0, buffers_ = 0, buffer_bytes_ = 0;
  int64_t block_ = 1;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareOwnConv(const PrepareContext& context) {
  absl::StatusOr<ConvProblem> p = ConvProblem::Read(context, 0, 1, 2);
  if (!p.ok()) return p.status();
  if (!p->plain) return absl::UnimplementedError("plain activations only");
  return OwnConv::Make(context, *std::move(p));
}

}  // namespace sluice::cpu
