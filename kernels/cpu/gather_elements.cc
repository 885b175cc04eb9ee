// GatherElements and GatherND: single elements, and slices, by index.
#include <algorithm>
#include <string>

#include "kernels/cpu/index.h"
#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

template <size_t N>
struct Bytes {
  unsigned char b[N];
};

class GatherElementsKernel : public Kernel {
 public:
  GatherElementsKernel(const PrepareContext& context, int axis)
      : dtype_(context.input_dtype(0)),
        narrow_(context.input_dtype(1) == DType::kI32),
        axis_(axis),
        dims_(context.input_dims(1)),
        extent_(context.input_dims(0)[axis]),
        strides_(RowMajorStrides(context.input_dims(0))) {
    row_ = dims_.back();
    rows_ = Product(absl::MakeConstSpan(dims_).first(dims_.size() - 1));
  }

  absl::Status Launch(const LaunchContext& c) const override {
    return narrow_ ? Run<int32_t>(c) : Run<int64_t>(c);
  }
  std::string Description() const override { return "elements"; }

 private:
  template <typename Index>
  absl::Status Run(const LaunchContext& c) const {
    if (rows_ == 0 || row_ == 0) return absl::OkStatus();
    BadIndex bad;
    const int64_t grain = std::max<int64_t>(1, 8192 / row_);
    c.pool->ParallelFor(rows_, grain, [&](int64_t begin, int64_t end) {
      switch (dtype_ == DType::kString ? 0 : ByteSize(dtype_)) {
        case 0:
          return Rows<std::string, Index>(c, begin, end, &bad);
        case 1:
          return Rows<Bytes<1>, Index>(c, begin, end, &bad);
        case 2:
          return Rows<Bytes<2>, Index>(c, begin, end, &bad);
        case 4:
          return Rows<Bytes<4>, Index>(c, begin, end, &bad);
        default:
          return Rows<Bytes<8>, Index>(c, begin, end, &bad);
      }
    });
    if (bad.found()) return IndexError(c.input<Index>(1)[bad.position()], extent_, axis_);
    return absl::OkStatus();
  }

  template <typename T, typename Index>
  void Rows(const LaunchContext& c, int64_t begin, int64_t end, BadIndex* bad) const {
    const bool last = axis_ + 1 == static_cast<int>(dims_.size());
    for (int64_t row = begin; row < end; ++row) {
      int64_t rest = row, base = 0;
      for (size_t a = dims_.size() - 1; a-- > 0;) {
        if (static_cast<int>(a) != axis_) base += (rest % dims_[a]) * strides_[a];
        rest /= dims_[a];
      }
      const Index* indices = c.input<Index>(1) + row * row_;
      const T* src = c.input<T>(0) + base;
      T* dst = c.output<T>(0) + row * row_;
      const int64_t along = last ? 0 : 1, step = strides_[axis_];
      for (int64_t j = 0; j < row_; ++j) {
        const int64_t index = NormalIndex(indices[j], extent_);
        if (index < 0) return bad->Report(row * row_ + j);
        dst[j] = src[index * step + j * along];
      }
    }
  }

  const DType dtype_;
  const bool narrow_;
  const int axis_;
  const Dims dims_;
  const int64_t extent_;
  const Dims strides_;
  int64_t row_ = 1, rows_ = 1;
};

class GatherNDKernel : public Kernel {
 public:
  GatherNDKernel(const PrepareContext& context, int64_t batch_dims) {
    const Dims in = context.input_dims(0), indices = context.input_dims(1);
    const Dims strides = RowMajorStrides(in);
    depth_ = indices.back();
    first_axis_ = static_cast<int>(batch_dims);
    for (int64_t i = 0; i < depth_; ++i) {
      extents_.push_back(in[batch_dims + i]);
      strides_.push_back(strides[batch_dims + i]);
    }
    const auto index_span = absl::MakeConstSpan(indices);
    batches_ = Product(index_span.first(batch_dims));
    tuples_ = Product(index_span.subspan(batch_dims, indices.size() - 1 - batch_dims));
    inner_ = Product(absl::MakeConstSpan(in).subspan(batch_dims + depth_));
    batch_stride_ = Product(absl::MakeConstSpan(in).subspan(batch_dims));
    strings_ = context.input_dtype(0) == DType::kString;
    size_ = static_cast<int64_t>(ByteSize(context.input_dtype(0)));
  }

  absl::Status Launch(const LaunchContext& c) const override {
    if (batches_ == 0 || tuples_ == 0 || inner_ == 0) return absl::OkStatus();
    const int64_t* indices = c.input<int64_t>(1);
    const char* src = c.input<char>(0);
    char* dst = c.output<char>(0);
    const int64_t unit = inner_ * size_;
    BadIndex bad;
    auto body = [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        int64_t at = row / tuples_ * batch_stride_;
        for (int64_t k = 0; k < depth_; ++k) {
          const int64_t index = NormalIndex(indices[row * depth_ + k], extents_[k]);
          if (index < 0) return bad.Report(row * depth_ + k);
          at += index * strides_[k];
        }
        if (strings_) {
          std::copy_n(c.input<std::string>(0) + at, inner_,
                      c.output<std::string>(0) + row * inner_);
        } else {
          CopyRun(dst + row * unit, src + at * size_, static_cast<size_t>(unit));
        }
      }
    };
    const int64_t grain = std::max<int64_t>(1, (32 << 10) / std::max<int64_t>(unit, 16));
    c.pool->ParallelFor(batches_ * tuples_, grain, body);
    if (!bad.found()) return absl::OkStatus();
    const int64_t k = bad.position() % depth_;
    return IndexError(indices[bad.position()], extents_[k], first_axis_ + static_cast<int>(k));
  }
  std::string Description() const override {
    return absl::StrCat("slices of ", inner_ * size_, " bytes");
  }

 private:
  int64_t depth_ = 0, batches_ = 1, tuples_ = 1, inner_ = 1, batch_stride_ = 0, size_ = 0;
  int first_axis_ = 0;
  bool strings_ = false;
  Dims extents_, strides_;  // of the indexed axes
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareGatherElements(const PrepareContext& context) {
  const Dims in = context.input_dims(0), indices = context.input_dims(1);
  absl::StatusOr<int> axis = NormalAxis(context.node.Int("axis"), static_cast<int>(in.size()));
  if (!axis.ok()) return axis.status();
  bool fits = indices.size() == in.size();
  for (size_t i = 0; fits && i < in.size(); ++i) {
    fits = static_cast<int>(i) == *axis || indices[i] <= in[i];
  }
  if (!fits) {
    return Invalid("indices ", DimsToString(indices), " do not fit data ", DimsToString(in),
                   " off axis ", *axis);
  }
  return std::make_unique<GatherElementsKernel>(context, *axis);
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareGatherND(const PrepareContext& context) {
  const Dims in = context.input_dims(0), indices = context.input_dims(1);
  const int64_t batch = context.node.Int("batch_dims");
  const int64_t rank = static_cast<int64_t>(std::min(in.size(), indices.size()));
  bool fits = batch >= 0 && batch < rank && indices.back() >= 1 &&
              indices.back() <= static_cast<int64_t>(in.size()) - batch;
  for (int64_t i = 0; fits && i < batch; ++i) fits = in[i] == indices[i];
  if (!fits) {
    return Invalid("indices ", DimsToString(indices), " do not fit data ", DimsToString(in),
                   " under batch_dims ", batch);
  }
  return std::make_unique<GatherNDKernel>(context, batch);
}

}  // namespace sluice::cpu
