#include "absl/strings/str_join.h"
#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

class SplitKernel : public Kernel {
 public:
  SplitKernel(const PrepareContext& context, int axis, IntInput sizes)
      : dtype_(context.input_dtype(0)),
        in_(context.input_dims(0)),
        axis_(axis),
        sizes_(std::move(sizes)) {
    for (size_t i = 0; i < context.outputs.size(); ++i) {
      planned_.push_back(PlannedDims(context, i));
      dynamic_ |= !planned_.back().has_value();
    }
  }

  absl::Status Prepare() {
    if (!sizes_.constant()) return absl::OkStatus();
    IntList sizes;
    const int64_t n = static_cast<int64_t>(planned_.size()), extent = in_[axis_];
    if (sizes_.present()) {
      sizes = sizes_.Constant();
    } else {
      const int64_t part = extent / n + (extent % n != 0);
      for (int64_t i = 0; i < n; ++i) sizes.push_back(part);
      sizes.back() = extent - part * (n - 1);
    }
    if (absl::Status s = Check(sizes); !s.ok()) return s;
    for (int64_t size : sizes) copies_.push_back(Piece(size));
    constant_sizes_ = std::move(sizes);
    return absl::OkStatus();
  }

  absl::Status Launch(const LaunchContext& c) const override {
    const bool prepared = constant_sizes_.has_value();
    IntList at_launch;
    if (!prepared) {
      at_launch = sizes_.Read(c);
      if (absl::Status s = Check(at_launch); !s.ok()) return s;
    }
    const IntList& sizes = prepared ? *constant_sizes_ : at_launch;
    const int64_t step = RowMajorStrides(in_)[axis_] * static_cast<int64_t>(ByteSize(dtype_));
    const char* from = c.input<char>(0);
    for (size_t i = 0; i < sizes.size(); ++i) {
      Dims dims = in_;
      dims[axis_] = sizes[i];
      absl::StatusOr<void*> out = OutputMemory(c, i, planned_[i], dims);
      if (!out.ok()) return out.status();
      (prepared ? copies_[i] : Piece(sizes[i])).Run(from, *out, c.pool);
      from += sizes[i] * step;
    }
    return absl::OkStatus();
  }
  std::string Description() const override {
    return copies_.empty() ? "laid out at launch"
                           : absl::StrCat(copies_.size(), " x ", copies_[0].kind());
  }
  bool dynamic_outputs() const override { return dynamic_; }

 private:
  absl::Status Check(const IntList& sizes) const {
    if (sizes.size() != planned_.size()) {
      return Invalid(sizes.size(), " split sizes for ", planned_.size(), " outputs");
    }
    int64_t left = in_[axis_];
    for (int64_t size : sizes) {
      if (size < 0 || size > left) {
        return Invalid("split sizes [", absl::StrJoin(sizes, ","), "] do not fit extent ",
                       in_[axis_], " of axis ", axis_);
      }
      left -= size;
    }
    if (left != 0) {
      return Invalid("split sizes [", absl::StrJoin(sizes, ","), "] leave ", left, " of extent ",
                     in_[axis_]);
    }
    return absl::OkStatus();
  }
  StridedCopy Piece(int64_t size) const {
    Dims dims = in_;
    dims[axis_] = size;
    return StridedCopy(dtype_, dims, RowMajorStrides(in_), RowMajorStrides(dims));
  }

  const DType dtype_;
  const Dims in_;
  const int axis_;
  const IntInput sizes_;
  std::vector<std::optional<Dims>> planned_;
  bool dynamic_ = false;
  std::optional<IntList> constant_sizes_;
  std::vector<StridedCopy> copies_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareSplit(const PrepareContext& context) {
  const int rank = static_cast<int>(context.input_dims(0).size());
  absl::StatusOr<int> axis = NormalAxis(context.node.Int("axis"), rank);
  if (!axis.ok()) return axis.status();
  if (context.outputs.empty()) return Invalid("no outputs");
  auto kernel = std::make_unique<SplitKernel>(context, *axis, IntInput(context, 1));
  if (absl::Status s = kernel->Prepare(); !s.ok()) return s;
  return kernel;
}

}  // namespace sluice::cpu
