#include <algorithm>
#include <string>

#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

class ReverseSequenceKernel : public Kernel {
 public:
  explicit ReverseSequenceKernel(const PrepareContext& context)
      : dtype_(context.input_dtype(0)),
        dims_(context.input_dims(0)),
        time_first_(context.node.Int("time_axis") == 0) {
    inner_ = Product(absl::MakeConstSpan(dims_).subspan(2));
  }

  absl::Status Launch(const LaunchContext& c) const override {
    const int64_t time = dims_[time_first_ ? 0 : 1], batch = dims_[time_first_ ? 1 : 0];
    const int64_t* lengths = c.input<int64_t>(1);
    for (int64_t b = 0; b < batch; ++b) {
      if (lengths[b] < 0 || lengths[b] > time) {
        return absl::OutOfRangeError(
            absl::StrCat("sequence_lens[", b, "] is ", lengths[b], "; expected 0 to ", time));
      }
    }
    if (Product(dims_) == 0) return absl::OkStatus();
    const int64_t time_step = time_first_ ? batch : 1, batch_step = time_first_ ? 1 : time;
    const int64_t unit = inner_ * static_cast<int64_t>(ByteSize(dtype_));
    const int64_t grain = std::max<int64_t>(1, (32 << 10) / std::max<int64_t>(unit, 16));
    c.pool->ParallelFor(time * batch, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t t = row / time_step % time, b = row / batch_step % batch;
        const int64_t from_t = t < lengths[b] ? lengths[b] - 1 - t : t;
        const int64_t from = from_t * time_step + b * batch_step;
        if (dtype_ == DType::kString) {
          std::copy_n(c.input<std::string>(0) + from * inner_, inner_,
                      c.output<std::string>(0) + row * inner_);
        } else {
          CopyRun(c.output<char>(0) + row * unit, c.input<char>(0) + from * unit,
                  static_cast<size_t>(unit));
        }
      }
    });
    return absl::OkStatus();
  }
  std::string Description() const override { return "steps"; }

 private:
  const DType dtype_;
  const Dims dims_;
  const bool time_first_;
  int64_t inner_ = 1;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareReverseSequence(const PrepareContext& context) {
  const Dims in = context.input_dims(0);
  const int64_t batch_axis = context.node.Int("batch_axis");
  const int64_t time_axis = context.node.Int("time_axis");
  if (in.size() < 2 || batch_axis + time_axis != 1 || batch_axis * time_axis != 0) {
    return Invalid("the input is ", DimsToString(in), ", batch_axis ", batch_axis, ", time_axis ",
                   time_axis, "; expected the first two axes");
  }
  const Dims lengths = context.input_dims(1);
  if (lengths.size() != 1 || lengths[0] != in[batch_axis]) {
    return Invalid("sequence_lens is ", DimsToString(lengths), "; expected one length for each of ",
                   in[batch_axis], " batch entries");
  }
  return std::make_unique<ReverseSequenceKernel>(context);
}

}  // namespace sluice::cpu
