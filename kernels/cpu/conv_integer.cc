// ConvInteger and QLinearConv: windows gathered as 16-bit differences from the zero point, an exact
// 16-bit product with packed weights, and the sums written, or quantized again, feature by feature.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/conv_problem.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/quantize.h"
#include "kernels/cpu/staging.h"

namespace sluice::cpu {
namespace {

constexpr int64_t kBlockBytes = 128 << 10;  // of gathered windows
constexpr int kXZero = 2;                   // the input that holds x_zero_point, in both ops

class IntegerConv final : public Kernel {
 public:
  static absl::StatusOr<std::unique_ptr<Kernel>> Make(const PrepareContext& context) {
    const bool quantized = context.node.Is("QLinearConv");
    absl::StatusOr<ConvProblem> p =
        ConvProblem::Read(context, 0, quantized ? 3 : 1, quantized ? 8 : SIZE_MAX);
    if (!p.ok()) return p.status();
    auto kernel = std::make_unique<IntegerConv>(context, *std::move(p), quantized);
    if (absl::Status s = kernel->Init(context); !s.ok()) return s;
    return kernel;
  }

  IntegerConv(const PrepareContext& context, ConvProblem problem, bool quantized)
      : p_(std::move(problem)),
        quantized_(quantized),
        w_(quantized ? 3 : 1),
        w_zero_(quantized ? 5 : 3),
        x_signed_(context.input_dtype(0) == DType::kI8),
        w_signed_(context.input_dtype(w_) == DType::kI8),
        y_signed_(context.output_dtype(0) == DType::kI8),
        threads_(std::max(1, context.threads)),
        depth_((p_.depth() + 1) / 2 * 2),
        group_size_(PackedI16Size(p_.depth(), p_.group_features())),
        requantize_(FindRequantize(y_signed_)) {}

  absl::Status Launch(const LaunchContext& context) const override {
    if (p_.empty()) return absl::OkStatus();
    char* const scratch = static_cast<char*>(context.scratch);
    const int16_t* w = packed_.data<int16_t>();
    if (!packed_.valid()) {
      int16_t* to = reinterpret_cast<int16_t*>(scratch + w_offset_);
      for (int64_t g = 0; g < p_.group; ++g) Pack(context.inputs, g, scratch + zero_offset_, to);
      w = to;
    }
    float* const scale = reinterpret_cast<float*>(scratch + scale_offset_);
    if (quantized_) {
      const float x = *context.input<float>(1), y = *context.input<float>(6);
      for (int64_t f = 0; f < p_.features; ++f) {
        scale[f] = x * context.input<float>(4)[scales_ == 1 ? 0 : f] / y;
      }
    }
    const int64_t positions = p_.out_size(), blocks = (positions + block_ - 1) / block_;
    const int64_t total = p_.batch * p_.group * blocks;
    auto work = [&](int task, int tasks) {
      char* buffer = scratch + buffers_ + static_cast<size_t>(task) * buffer_bytes_;
      for (int64_t i = task; i < total; i += tasks) {
        const int64_t first = i % blocks * block_;
        Block(context, i / blocks / p_.group, i / blocks % p_.group, first,
              std::min(first + block_, positions), w, scale, buffer);
      }
    };
    if (context.pool == nullptr) {
      work(0, 1);
    } else {
      context.pool->RunTasks(static_cast<int>(std::min<int64_t>(total, threads_)), work);
    }
    return absl::OkStatus();
  }

  std::string Description() const override {
    return absl::StrCat("gather + i16 product", packed_.valid() ? ", weights packed" : "");
  }
  size_t scratch_bytes() const override { return layout_.bytes(); }
  size_t packed_bytes() const override { return packed_.valid() ? packed_.bytes() : 0; }
  std::vector<int> unread_inputs() const override {
    return packed_.valid() ? std::vector<int>{w_} : std::vector<int>{};
  }

 private:
  absl::Status Init(const PrepareContext& context) {
    auto count = [&](int input) {
      return context.HasInput(input) ? Product(context.input_dims(input)) : int64_t{0};
    };
    auto error = [&](int input, const char* expected) {
      return NodeError(
          context.node, absl::StatusCode::kInvalidArgument,
          absl::StrCat("input ", input, " has extents ", DimsToString(context.input_dims(input)),
                       "; expected ", expected));
    };
    zeros_ = count(w_zero_);
    const int x_zero = kXZero;
    if (context.HasInput(x_zero) && count(x_zero) != 1) return error(x_zero, "one number");
    if (zeros_ > 1 && zeros_ != p_.features) return error(w_zero_, "one number, or one a feature");
    if (context.HasInput(w_zero_) && zeros_ == 0) return error(w_zero_, "a number");
    if (quantized_) {
      scales_ = count(4);
      if (scales_ != 1 && scales_ != p_.features) return error(4, "one number, or one a feature");
      for (int i : {1, 6, 7}) {
        if (count(i) != 1) return error(i, "one number");
      }
    }
    const int64_t line = depth_ * static_cast<int64_t>(sizeof(int16_t)) +
                         p_.group_features() * static_cast<int64_t>(sizeof(int32_t));
    block_ = std::clamp<int64_t>(kBlockBytes / std::max<int64_t>(1, line), 6,
                                 std::max<int64_t>(6, p_.out_size()));
    sums_ = static_cast<size_t>((block_ * depth_ * 2 + 63) / 64 * 64);
    buffer_bytes_ = sums_ + static_cast<size_t>((block_ * p_.group_features() * 4 + 63) / 64 * 64);
    buffers_ = layout_.Take(buffer_bytes_ * static_cast<size_t>(threads_));
    if (quantized_) scale_offset_ = layout_.Take(static_cast<size_t>(p_.features) * sizeof(float));
    const bool fixed =
        context.IsConstant(w_) && (!context.HasInput(w_zero_) || context.IsConstant(w_zero_));
    if (!fixed) {
      w_offset_ = layout_.Take(static_cast<size_t>(p_.group * group_size_) * sizeof(int16_t));
      zero_offset_ =
          layout_.Take(static_cast<size_t>(std::max<int64_t>(1, p_.features)) * sizeof(int32_t));
      return absl::OkStatus();
    }
    absl::StatusOr<Tensor> packed = Tensor::Allocate(DType::kI16, {p_.group * group_size_});
    if (!packed.ok()) return packed.status();
    packed_ = *std::move(packed);
    std::vector<const void*> inputs;
    for (const Tensor& t : context.constants) inputs.push_back(t.valid() ? t.raw() : nullptr);
    std::vector<int32_t> zeros(std::max<int64_t>(1, p_.features));
    for (int64_t g = 0; g < p_.group; ++g) {
      Pack(inputs, g, zeros.data(), packed_.mutable_data<int16_t>());
    }
    return absl::OkStatus();
  }

  static int32_t Read(const void* data, bool is_signed, int64_t i) {
    return is_signed ? int32_t{static_cast<const int8_t*>(data)[i]}
                     : int32_t{static_cast<const uint8_t*>(data)[i]};
  }

  // The weights of group `g`; `zeros` has room for a number a feature.
  void Pack(absl::Span<const void* const> inputs, int64_t g, void* zeros, int16_t* out) const {
    int32_t* z = static_cast<int32_t*>(zeros);
    const void* zero = zeros_ == 0 ? nullptr : inputs[w_zero_];
    for (int64_t f = 0; f < p_.group_features(); ++f) {
      z[f] = zero == nullptr ? 0
                             : Read(zero, w_signed_, zeros_ == 1 ? 0 : g * p_.group_features() + f);
    }
    PackI16Args args{p_.group_features(), p_.depth()};
    args.b = static_cast<const char*>(inputs[w_]) + g * p_.group_features() * p_.depth();
    args.is_signed = w_signed_;
    args.b_row = 1;
    args.b_col = p_.depth();
    args.zero = z;
    args.zero_stride = 1;
    args.out = out + g * group_size_;
    PackI16(args);
  }

  void Block(const LaunchContext& context, int64_t image, int64_t group, int64_t first,
             int64_t last, const int16_t* w, const float* scale, char* buffer) const {
    int16_t* const windows = reinterpret_cast<int16_t*>(buffer);
    int32_t* const sums = reinterpret_cast<int32_t*>(buffer + sums_);
    const int64_t count = last - first, features = p_.group_features();
    const int64_t plane = (image * p_.channels + group * p_.group_channels()) * p_.in_size();
    const void* zero =
        kXZero < static_cast<int>(context.inputs.size()) ? context.inputs[kXZero] : nullptr;
    const int32_t z = zero == nullptr ? 0 : Read(zero, x_signed_, 0);
    if (x_signed_) {
      GatherWindows(p_, context.input<int8_t>(0) + plane, p_.group_channels(), first, last, z,
                    windows, int64_t{1}, depth_);
    } else {
      GatherWindows(p_, context.input<uint8_t>(0) + plane, p_.group_channels(), first, last, z,
                    windows, int64_t{1}, depth_);
    }
    if (depth_ > p_.depth()) {
      for (int64_t i = 0; i < count; ++i) windows[i * depth_ + p_.depth()] = 0;
    }
    GemmI16Args g{count, features, p_.depth()};
    g.a = windows;
    g.a_row = depth_;
    g.b = w + group * group_size_;
    g.c = sums;
    g.c_row = features;
    GemmI16(g);
    const int64_t positions = p_.out_size();
    const int32_t* bias = quantized_ && p_.bias >= 0 ? context.input<int32_t>(8) : nullptr;
    const int32_t y_zero = quantized_ ? Read(context.inputs[7], y_signed_, 0) : 0;
    for (int64_t f = 0; f < features; ++f) {
      const int64_t feature = group * features + f;
      const int64_t at = (image * p_.features + feature) * positions + first;
      if (!quantized_) {
        int32_t* y = context.output<int32_t>(0) + at;
        for (int64_t i = 0; i < count; ++i) y[i] = sums[i * features + f];
        continue;
      }
      if (bias != nullptr) {
        for (int64_t i = 0; i < count; ++i) {
          int32_t& sum = sums[i * features + f];
          sum = static_cast<int32_t>(static_cast<uint32_t>(sum) +
                                     static_cast<uint32_t>(bias[feature]));
        }
      }
      requantize_(sums + f, features, scale + feature, 0, y_zero, context.output<char>(0) + at,
                  count);
    }
  }

  const ConvProblem p_;
  const bool quantized_;
  const int w_, w_zero_;
  const bool x_signed_, w_signed_, y_signed_;
  const int threads_;
  const int64_t depth_, group_size_;
  const RequantizeFn requantize_;
  int64_t zeros_ = 0, scales_ = 0, block_ = 1;
  Tensor packed_;
  ScratchLayout layout_;
  size_t sums_ = 0, buffers_ = 0, buffer_bytes_ = 0, scale_offset_ = 0, w_offset_ = 0,
         zero_offset_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareIntegerConv(const PrepareContext& context) {
  return IntegerConv::Make(context);
}

}  // namespace sluice::cpu
