// MatMulInteger and QLinearMatMul: 8-bit integers less their zero points are exact in 16 bits, and
// pairs of their products in 32. B is packed at preparation where it is constant.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/matmul_problem.h"
#include "kernels/cpu/quantize.h"
#include "kernels/cpu/staging.h"

namespace sluice::cpu {
namespace {

int32_t ReadInt8(const void* data, bool is_signed, int64_t i) {
  return is_signed ? int32_t{static_cast<const int8_t*>(data)[i]}
                   : int32_t{static_cast<const uint8_t*>(data)[i]};
}

// How a zero point or scale is spread: one number, one for each row (or column) of every matrix, or
// one for each row of each matrix. Rows may be those of several matrices folded into one.
struct Spread {
  int input = -1;
  int64_t count = 0;
  int64_t At(int64_t matrix, int64_t size, int64_t i) const {
    return count <= size ? i % count : matrix * size + i;
  }
  // From one row's number to the next one's.
  int64_t step() const { return count == 1 ? 0 : 1; }
};

class IntegerMatMul final : public Kernel {
 public:
  static absl::StatusOr<std::unique_ptr<Kernel>> Make(const PrepareContext& context) {
    auto kernel = std::make_unique<IntegerMatMul>();
    absl::Status s = kernel->Init(context);
    if (!s.ok()) return s;
    return kernel;
  }

  absl::Status Launch(const LaunchContext& context) const override {
    if (p_.empty()) return absl::OkStatus();
    char* const scratch = static_cast<char*>(context.scratch);
    int16_t* const a = reinterpret_cast<int16_t*>(scratch + a_offset_);
    WidenA(context, a);
    const int16_t* b = packed_.data<int16_t>();
    if (!packed_.valid()) {
      int16_t* to = reinterpret_cast<int16_t*>(scratch + b_offset_);
      int32_t* zeros = reinterpret_cast<int32_t*>(scratch + zero_offset_);
      ReadZeros(context.inputs, zeros);
      auto pack = [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) Pack(context.inputs[b_], zeros, i, to + i * b_size_);
      };
      if (context.pool == nullptr) {
        pack(0, b_count_);
      } else {
        context.pool->ParallelFor(b_count_, 1, pack);
      }
      b = to;
    }
    float* const scale = reinterpret_cast<float*>(scratch + scale_offset_);
    int32_t y_zero = 0;
    if (quantized_) {
      ReadScales(context.inputs, scale);
      y_zero = ReadInt8(context.inputs[7], y_signed_, 0);
    }
    int32_t* const sums =
        quantized_ ? reinterpret_cast<int32_t*>(scratch + sum_offset_) : context.output<int32_t>(0);
    const int64_t panel = PackedI16Size(p_.k, 1);  // of the fewest columns that are packed together
    const int64_t panel_columns = p_.k == 0 ? 1 : panel / std::max<int64_t>(1, depth_);
    // Blocks of whole rows, of columns in whole panels.
    const int64_t panels = (p_.n + panel_columns - 1) / panel_columns;
    ForGemmBlocks(p_.batches(), p_.m, panels, p_.k * panel_columns, context.pool,
                  [&](int64_t batch, int64_t row, int64_t rows, int64_t first, int64_t count) {
                    const int64_t col = first * panel_columns;
                    const int64_t cols = std::min(count * panel_columns, p_.n - col);
                    const int64_t ma = p_.MatrixOffset(p_.a_batch, 1, batch);
                    const int64_t mb = p_.MatrixOffset(p_.b_batch, 1, batch);
                    GemmI16Args g{rows, cols, p_.k};
                    g.a = a + (ma * p_.m + row) * depth_;
                    g.a_row = depth_;
                    g.b = b + mb * b_size_ + first * panel;
                    g.c = sums + (batch * p_.m + row) * p_.n + col;
                    g.c_row = p_.n;
                    GemmI16(g);
                    if (!quantized_) return;
                    const float* column = scale + a_scale_.count;
                    for (int64_t i = 0; i < rows; ++i) {
                      const float row_scale = scale[a_scale_.At(ma, p_.m, row + i)];
                      char* y = context.output<char>(0) + (batch * p_.m + row + i) * p_.n + col;
                      const int32_t* acc = g.c + i * p_.n;
                      // In pieces, so that the combined scales stay on the stack.
                      for (int64_t j = 0; j < cols; j += 256) {
                        const int64_t part = std::min<int64_t>(256, cols - j);
                        float combined[256];
                        for (int64_t q = 0; q < part; ++q) {
                          combined[q] =
                              Combine(row_scale, column[b_scale_.At(mb, p_.n, col + j + q)],
                                      scale[y_scale_at_]);
                        }
                        requantize_(acc + j, 1, combined, 1, y_zero, y + j, part);
                      }
                    }
                  });
    return absl::OkStatus();
  }

  std::string Description() const override {
    return absl::StrCat("blocked i16", packed_.valid() ? ", B packed" : "");
  }
  size_t scratch_bytes() const override { return layout_.bytes(); }
  size_t packed_bytes() const override { return packed_.valid() ? packed_.bytes() : 0; }
  std::vector<int> unread_inputs() const override {
    return packed_.valid() ? std::vector<int>{b_} : std::vector<int>{};
  }

 private:
  absl::Status Init(const PrepareContext& context) {
    const Node& node = context.node;
    quantized_ = node.Is("QLinearMatMul");
    b_ = quantized_ ? 3 : 1;
    p_ = MatMulProblem::Of(context.input_dtype(0), context.input_dims(0), context.input_dims(b_));
    const Dims b = context.input_dims(b_);
    if (b[b.size() < 2 ? 0 : b.size() - 2] != p_.k) {
      return NodeError(node, absl::StatusCode::kInvalidArgument,
                       absl::StrCat("extents ", DimsToString(context.input_dims(0)), " and ",
                                    DimsToString(b), " do not multiply"));
    }
    a_signed_ = context.input_dtype(0) == DType::kI8;
    b_signed_ = context.input_dtype(b_) == DType::kI8;
    a_count_ = Product(p_.a_batch);
    b_count_ = Product(p_.b_batch);
    const Dims a = context.input_dims(0);
    const int64_t m = a.size() < 2 ? 1 : a[a.size() - 2];
    absl::Status s = ReadSpread(context, 2, m, a_count_ * p_.m, &a_zero_);
    if (s.ok()) s = ReadSpread(context, quantized_ ? 5 : 3, p_.n, b_count_ * p_.n, &b_zero_);
    if (s.ok() && quantized_) {
      s = ReadSpread(context, 1, m, a_count_ * p_.m, &a_scale_);
      if (s.ok()) s = ReadSpread(context, 4, p_.n, b_count_ * p_.n, &b_scale_);
      Spread one;
      if (s.ok()) s = ReadSpread(context, 6, 1, 1, &one);
      if (s.ok()) s = ReadSpread(context, 7, 1, 1, &one);
      scale_type_ = context.input_dtype(1);
      y_signed_ = context.output_dtype(0) == DType::kI8;
      requantize_ = FindRequantize(y_signed_);
    }
    if (!s.ok()) return s;
    depth_ = (p_.k + 1) / 2 * 2;
    b_size_ = PackedI16Size(p_.k, p_.n);
    a_offset_ = layout_.Take(static_cast<size_t>(a_count_ * p_.m * depth_) * sizeof(int16_t));
    const bool fixed =
        context.IsConstant(b_) && (b_zero_.input < 0 || context.IsConstant(b_zero_.input));
    if (fixed && !p_.empty()) {
      absl::StatusOr<Tensor> packed = Tensor::Allocate(DType::kI16, {b_count_ * b_size_});
      if (!packed.ok()) return packed.status();
      packed_ = *std::move(packed);
      std::vector<const void*> inputs;
      for (const Tensor& t : context.constants) inputs.push_back(t.valid() ? t.raw() : nullptr);
      std::vector<int32_t> zeros(std::max<int64_t>(1, b_zero_.count));
      ReadZeros(inputs, zeros.data());
      for (int64_t i = 0; i < b_count_; ++i) {
        Pack(inputs[b_], zeros.data(), i, packed_.mutable_data<int16_t>() + i * b_size_);
      }
    } else {
      b_offset_ = layout_.Take(static_cast<size_t>(b_count_ * b_size_) * sizeof(int16_t));
      zero_offset_ =
          layout_.Take(static_cast<size_t>(std::max<int64_t>(1, b_zero_.count)) * sizeof(int32_t));
    }
    if (quantized_) {
      scale_offset_ =
          layout_.Take(static_cast<size_t>(a_scale_.count + b_scale_.count + 1) * sizeof(float));
      y_scale_at_ = a_scale_.count + b_scale_.count;
      sum_offset_ = layout_.Take(static_cast<size_t>(p_.batches() * p_.m * p_.n) * sizeof(int32_t));
    }
    return absl::OkStatus();
  }

  static absl::Status ReadSpread(const PrepareContext& context, int input, int64_t size,
                                 int64_t all, Spread* spread) {
    if (!context.HasInput(input)) return absl::OkStatus();
    spread->input = input;
    spread->count = Product(context.input_dims(input));
    if (spread->count == 1 || (spread->count > 0 && spread->count == size) ||
        (spread->count > 0 && spread->count == all)) {
      return absl::OkStatus();
    }
    return NodeError(
        context.node, absl::StatusCode::kInvalidArgument,
        absl::StrCat("input ", input, " has extents ", DimsToString(context.input_dims(input)),
                     "; expected one number, ", size, " or ", all));
  }

  void ReadZeros(absl::Span<const void* const> inputs, int32_t* zeros) const {
    if (b_zero_.input < 0) {
      zeros[0] = 0;
      return;
    }
    for (int64_t i = 0; i < b_zero_.count; ++i) {
      zeros[i] = ReadInt8(inputs[b_zero_.input], b_signed_, i);
    }
  }

  void Pack(const void* b, const int32_t* zeros, int64_t matrix, int16_t* out) const {
    PackI16Args args{p_.n, p_.k};
    args.b = static_cast<const char*>(b) + matrix * p_.k * p_.n;
    args.is_signed = b_signed_;
    args.b_row = p_.n;
    args.zero = zeros + (b_zero_.count > 1 ? b_zero_.At(matrix, p_.n, 0) : 0);
    args.zero_stride = b_zero_.step();
    args.out = out;
    if (b_zero_.input < 0) args.zero_stride = 0;
    PackI16(args);
  }

  void WidenA(const LaunchContext& context, int16_t* out) const {
    const void* zero = a_zero_.input < 0 ? nullptr : context.inputs[a_zero_.input];
    auto body = [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        int32_t z = 0;
        if (zero != nullptr) {
          z = ReadInt8(zero, a_signed_, a_zero_.At(r / p_.m, p_.m, r % p_.m));
        }
        int16_t* to = out + r * depth_;
        if (a_signed_) {
          const int8_t* from = context.input<int8_t>(0) + r * p_.k;
          for (int64_t i = 0; i < p_.k; ++i) to[i] = static_cast<int16_t>(from[i] - z);
        } else {
          const uint8_t* from = context.input<uint8_t>(0) + r * p_.k;
          for (int64_t i = 0; i < p_.k; ++i) to[i] = static_cast<int16_t>(from[i] - z);
        }
        if (depth_ > p_.k) to[p_.k] = 0;
      }
    };
    const int64_t rows = a_count_ * p_.m;
    if (context.pool == nullptr) {
      body(0, rows);
    } else {
      context.pool->ParallelFor(rows, (1 << 15) / std::max<int64_t>(1, p_.k) + 1, body);
    }
  }

  // The scales of A, of B, and that of y, in f32.
  void ReadScales(absl::Span<const void* const> inputs, float* out) const {
    const std::pair<int, int64_t> parts[] = {
        {1, a_scale_.count}, {4, b_scale_.count}, {6, int64_t{1}}};
    for (const auto& [input, count] : parts) {
      const void* in[1] = {inputs[input]};
      FindConversion(scale_type_, DType::kF32)(in, out, static_cast<size_t>(count), {});
      out += count;
    }
  }

  // a * b / y, each operation in the precision of the scales.
  float Combine(float a, float b, float y) const {
    if (scale_type_ == DType::kF16) return Float16(Float16(a * b) / y);
    if (scale_type_ == DType::kBF16) return BFloat16(BFloat16(a * b) / y);
    return a * b / y;
  }

  MatMulProblem p_;
  bool quantized_ = false, a_signed_ = false, b_signed_ = false, y_signed_ = false;
  int b_ = 1;
  int64_t a_count_ = 0, b_count_ = 0, depth_ = 0, b_size_ = 0, y_scale_at_ = 0;
  Spread a_zero_, b_zero_, a_scale_, b_scale_;
  DType scale_type_ = DType::kF32;
  RequantizeFn requantize_ = nullptr;
  Tensor packed_;
  ScratchLayout layout_;
  size_t a_offset_ = 0, b_offset_ = 0, zero_offset_ = 0, scale_offset_ = 0, sum_offset_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareIntegerMatMul(const PrepareContext& context) {
  return IntegerMatMul::Make(context);
}

}  // namespace sluice::cpu
