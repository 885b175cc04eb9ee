// Gather: whole slices by index.
#include <algorithm>
#include <string>

#include "kernels/cpu/index.h"
#include "kernels/cpu/int_input.h"
#include "kernels/cpu/strided_copy.h"

namespace sluice::cpu {
namespace {

class GatherKernel : public Kernel {
 public:
  GatherKernel(const PrepareContext& context, int axis) : axis_(axis) {
    const Dims in = context.input_dims(0);
    extent_ = in[axis];
    outer_ = Product(absl::MakeConstSpan(in).subspan(0, axis));
    inner_ = Product(absl::MakeConstSpan(in).subspan(axis + 1));
    count_ = Product(context.input_dims(1));
    strings_ = context.input_dtype(0) == DType::kString;
    unit_ = inner_ * static_cast<int64_t>(ByteSize(context.input_dtype(0)));
    narrow_ = context.input_dtype(1) == DType::kI32;
  }

  absl::Status Launch(const LaunchContext& c) const override {
    return narrow_ ? Run<int32_t>(c) : Run<int64_t>(c);
  }
  std::string Description() const override { return absl::StrCat("rows of ", unit_, " bytes"); }

 private:
  template <typename Index>
  absl::Status Run(const LaunchContext& c) const {
    if (outer_ == 0 || inner_ == 0 || count_ == 0) return absl::OkStatus();
    const Index* indices = c.input<Index>(1);
    const char* src = c.input<char>(0);
    char* dst = c.output<char>(0);
    BadIndex bad;
    auto body = [&](int64_t begin, int64_t end) {
      if (strings_) return Rows<0>(src, dst, indices, begin, end, &bad);
      switch (unit_) {
        case 1:
          return Rows<1>(src, dst, indices, begin, end, &bad);
        case 2:
          return Rows<2>(src, dst, indices, begin, end, &bad);
        case 4:
          return Rows<4>(src, dst, indices, begin, end, &bad);
        case 8:
          return Rows<8>(src, dst, indices, begin, end, &bad);
        default:
          return Rows<-1>(src, dst, indices, begin, end, &bad);
      }
    };
    const int64_t grain = std::max<int64_t>(1, (32 << 10) / std::max<int64_t>(unit_, 8));
    c.pool->ParallelFor(outer_ * count_, grain, body);
    if (bad.found()) return IndexError(indices[bad.position()], extent_, axis_);
    return absl::OkStatus();
  }

  // N: bytes of a slice; -1 any, 0 strings.
  template <int N, typename Index>
  void Rows(const char* src, char* dst, const Index* indices, int64_t begin, int64_t end,
            BadIndex* bad) const {
    const int64_t unit = N > 0 ? N : unit_;
    int64_t o = begin / count_, k = begin % count_;
    for (int64_t row = begin; row < end; ++row) {
      const int64_t index = NormalIndex(indices[k], extent_);
      if (index < 0) return bad->Report(k);
      const char* from = src + (o * extent_ + index) * unit;
      char* to = dst + row * unit;
      if constexpr (N == 0) {
        std::copy_n(reinterpret_cast<const std::string*>(from), inner_,
                    reinterpret_cast<std::string*>(to));
      } else if constexpr (N > 0) {
        std::memcpy(to, from, N);
      } else {
        CopyRun(to, from, static_cast<size_t>(unit));
      }
      if (++k == count_) {
        k = 0;
        ++o;
      }
    }
  }

  const int axis_;
  int64_t extent_ = 0, outer_ = 1, inner_ = 1, count_ = 1, unit_ = 0;
  bool strings_ = false, narrow_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareGather(const PrepareContext& context) {
  absl::StatusOr<int> axis =
      NormalAxis(context.node.Int("axis"), static_cast<int>(context.input_dims(0).size()));
  if (!axis.ok()) return axis.status();
  return std::make_unique<GatherKernel>(context, *axis);
}

}  // namespace sluice::cpu
