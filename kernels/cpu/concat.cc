#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

class ConcatKernel : public Kernel {
 public:
  struct Piece {
    StridedCopy copy;
    int64_t offset;  // in bytes of the output
  };
  explicit ConcatKernel(std::vector<Piece> pieces) : pieces_(std::move(pieces)) {}

  absl::Status Launch(const LaunchContext& c) const override {
    for (size_t i = 0; i < pieces_.size(); ++i) {
      pieces_[i].copy.Run(c.inputs[i], c.output<char>(0) + pieces_[i].offset, c.pool);
    }
    return absl::OkStatus();
  }
  std::string Description() const override {
    return absl::StrCat(pieces_.size(), " x ", pieces_[0].copy.kind());
  }

 private:
  const std::vector<Piece> pieces_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareConcat(const PrepareContext& context) {
  const DType dtype = context.input_dtype(0);
  Dims out = context.input_dims(0);
  absl::StatusOr<int> axis = NormalAxis(context.node.Int("axis"), static_cast<int>(out.size()));
  if (!axis.ok()) return axis.status();
  for (size_t i = 1; i < context.inputs.size(); ++i) {
    const Dims in = context.input_dims(i);
    if (in.size() != out.size()) return Invalid("input ", i, " is ", DimsToString(in));
    if (__builtin_add_overflow(out[*axis], in[*axis], &out[*axis])) {
      return Invalid("the extents of axis ", *axis, " sum to more than 2^63");
    }
  }
  if (absl::StatusOr<int64_t> n = ElementCount(out, ByteSize(dtype)); !n.ok()) return n.status();
  const Dims dst = RowMajorStrides(out);
  std::vector<ConcatKernel::Piece> pieces;
  int64_t at = 0;
  for (size_t i = 0; i < context.inputs.size(); ++i) {
    const Dims in = context.input_dims(i);
    for (size_t d = 0; d < in.size(); ++d) {
      if (static_cast<int>(d) != *axis && in[d] != out[d]) {
        return Invalid("input ", i, " is ", DimsToString(in), "; expected extents as of ",
                       DimsToString(out), " off axis ", *axis);
      }
    }
    pieces.push_back({StridedCopy(dtype, in, RowMajorStrides(in), dst),
                      at * dst[*axis] * static_cast<int64_t>(ByteSize(dtype))});
    at += in[*axis];
  }
  return std::make_unique<ConcatKernel>(std::move(pieces));
}

}  // namespace sluice::cpu
