// Gather: whole slices by index.
#include <algorithm>
#include <string>

#include "kernels/cpu/index.h"
#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

class GatherKernel : public Kernel {
 public:
  GatherKernel(const PrepareContext& context, int axis)
      : axis_(axis),
        size_(static_cast<int64_t>(ByteSize(context.input_dtype(0)))),
        strings_(context.input_dtype(0) == DType::kString),
        narrow_(context.input_dtype(1) == DType::kI32) {
    if (context.IsOpen(0) || context.IsOpen(1)) return;
    box_ = BoxOf(context.input_dims(0), context.input_dims(1));
  }

  absl::Status Launch(const LaunchContext& c) const override {
    if (box_.has_value()) return Run(c, *box_, c.outputs[0]);
    const absl::Span<const int64_t> in = c.input_dims[0], indices = c.input_dims[1];
    Dims dims(in.begin(), in.begin() + axis_);
    dims.insert(dims.end(), indices.begin(), indices.end());
    dims.insert(dims.end(), in.begin() + axis_ + 1, in.end());
    absl::StatusOr<void*> out = OutputMemory(c, 0, std::nullopt, dims);
    return out.ok() ? Run(c, BoxOf(in, indices), *out) : out.status();
  }
  std::string Description() const override {
    return box_.has_value() ? absl::StrCat("rows of ", box_->unit, " bytes")
                            : "rows, laid out at launch";
  }
  bool dynamic_outputs() const override { return !box_.has_value(); }

 private:
  // The data as [outer, extent, unit bytes], of which `count` are taken for each of outer.
  struct Box {
    int64_t outer, extent, inner, count, unit;
  };
  Box BoxOf(absl::Span<const int64_t> in, absl::Span<const int64_t> indices) const {
    const int64_t inner = Product(in.subspan(axis_ + 1));
    return {Product(in.first(axis_)), in[axis_], inner, Product(indices), inner * size_};
  }

  absl::Status Run(const LaunchContext& c, const Box& box, void* out) const {
    return narrow_ ? Run<int32_t>(c, box, out) : Run<int64_t>(c, box, out);
  }

  template <typename Index>
  absl::Status Run(const LaunchContext& c, const Box& box, void* out) const {
    if (box.outer == 0 || box.inner == 0 || box.count == 0) return absl::OkStatus();
    const Index* indices = c.input<Index>(1);
    const char* src = c.input<char>(0);
    char* dst = static_cast<char*>(out);
    BadIndex bad;
    auto body = [&](int64_t begin, int64_t end) {
      if (strings_) return Rows<0>(box, src, dst, indices, begin, end, &bad);
      switch (box.unit) {
        case 1:
          return Rows<1>(box, src, dst, indices, begin, end, &bad);
        case 2:
          return Rows<2>(box, src, dst, indices, begin, end, &bad);
        case 4:
          return Rows<4>(box, src, dst, indices, begin, end, &bad);
        case 8:
          return Rows<8>(box, src, dst, indices, begin, end, &bad);
        default:
          return Rows<-1>(box, src, dst, indices, begin, end, &bad);
      }
    };
    const int64_t grain = std::max<int64_t>(1, (32 << 10) / std::max<int64_t>(box.unit, 8));
    c.pool->ParallelFor(box.outer * box.count, grain, body);
    if (bad.found()) return IndexError(indices[bad.position()], box.extent, axis_);
    return absl::OkStatus();
  }

  // N: bytes of a slice; -1 any, 0 strings.
  template <int N, typename Index>
  static void Rows(const Box& box, const char* src, char* dst, const Index* indices, int64_t begin,
                   int64_t end, BadIndex* bad) {
    const int64_t unit = N > 0 ? N : box.unit;
    int64_t o = begin / box.count, k = begin % box.count;
    for (int64_t row = begin; row < end; ++row) {
      const int64_t index = NormalIndex(indices[k], box.extent);
      if (index < 0) return bad->Report(k);
      const char* from = src + (o * box.extent + index) * unit;
      char* to = dst + row * unit;
      if constexpr (N == 0) {
        std::copy_n(reinterpret_cast<const std::string*>(from), box.inner,
                    reinterpret_cast<std::string*>(to));
      } else if constexpr (N > 0) {
        std::memcpy(to, from, N);
      } else {
        CopyRun(to, from, static_cast<size_t>(unit));
      }
      if (++k == box.count) {
        k = 0;
        ++o;
      }
    }
  }

  const int axis_;
  const int64_t size_;  // bytes of an element
  const bool strings_, narrow_;
  std::optional<Box> box_;  // none: with each launch
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareGather(const PrepareContext& context) {
  absl::StatusOr<int> axis = NormalAxis(context.node.Int("axis"), context.inputs[0].rank());
  if (!axis.ok()) return axis.status();
  return std::make_unique<GatherKernel>(context, *axis);
}

}  // namespace sluice::cpu
