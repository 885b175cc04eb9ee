#include <algorithm>
#include <string>

#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

class TriluKernel : public Kernel {
 public:
  explicit TriluKernel(const PrepareContext& context)
      : dtype_(context.input_dtype(0)), upper_(context.node.Int("upper") != 0), k_(context, 1) {
    const Dims in = context.input_dims(0);
    height_ = in[in.size() - 2];
    width_ = in.back();
    rows_ = Product(absl::MakeConstSpan(in).first(in.size() - 1));
  }

  absl::Status Launch(const LaunchContext& c) const override {
    if (rows_ == 0 || width_ == 0) return absl::OkStatus();
    const int64_t given = k_.present() ? k_.Read(c)[0] : 0;
    const int64_t k = std::clamp(given, -height_ - 1, width_ + 1);  // further out changes nothing
    const int64_t grain = std::max<int64_t>(1, 16384 / width_);
    c.pool->ParallelFor(rows_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        // The upper triangle keeps columns from i + k on, the lower those up to i + k.
        const int64_t i = row % height_;
        const int64_t cut = std::clamp<int64_t>(i + k + (upper_ ? 0 : 1), 0, width_);
        const int64_t from = upper_ ? cut : 0, to = upper_ ? width_ : cut;
        if (dtype_ == DType::kString) {
          Row(c.input<std::string>(0) + row * width_, c.output<std::string>(0) + row * width_, from,
              to);
        } else {
          const int64_t size = static_cast<int64_t>(ByteSize(dtype_));
          const char* src = c.input<char>(0) + row * width_ * size;
          char* dst = c.output<char>(0) + row * width_ * size;
          std::memset(dst, 0, static_cast<size_t>(from * size));
          if (src != dst) {
            std::memcpy(dst + from * size, src + from * size,
                        static_cast<size_t>((to - from) * size));
          }
          std::memset(dst + to * size, 0, static_cast<size_t>((width_ - to) * size));
        }
      }
    });
    return absl::OkStatus();
  }
  std::string Description() const override { return "row by row"; }
  std::vector<std::pair<int, int>> in_place() const override { return {{0, 0}}; }

 private:
  void Row(const std::string* src, std::string* dst, int64_t from, int64_t to) const {
    for (int64_t j = 0; j < width_; ++j) {
      const bool keep = j >= from && j < to;
      if (!keep) {
        dst[j].clear();
      } else if (src != dst) {
        dst[j] = src[j];
      }
    }
  }

  const DType dtype_;
  const bool upper_;
  const IntInput k_;
  int64_t height_ = 0, width_ = 0, rows_ = 1;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareTrilu(const PrepareContext& context) {
  const Dims in = context.input_dims(0);
  if (in.size() < 2) return Invalid("the input is ", DimsToString(in), "; expected a matrix");
  if (context.HasInput(1)) {
    absl::StatusOr<int64_t> n = ElementCount(context.input_dims(1));
    if (!n.ok() || *n != 1) return Invalid("k must be one number");
  }
  return std::make_unique<TriluKernel>(context);
}

}  // namespace sluice::cpu
