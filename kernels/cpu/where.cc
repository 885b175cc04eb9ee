// Where and Equal on strings; numbers are done by tile programs.
#include "absl/strings/str_cat.h"
#include "kernels/kernel.h"
#include "kernels/tile/program.h"

namespace sluice::cpu {
namespace {

// Goes over a space in row-major order and keeps the offset of each broadcast operand.
class BroadcastWalk {
 public:
  BroadcastWalk(Dims space, const std::vector<Dims>& operands) : space_(std::move(space)) {
    for (const Dims& dims : operands) strides_.push_back(BroadcastStrides(dims, space_));
  }

  // visit(position, offsets).
  template <typename Visit>
  void Run(Visit visit) const {
    Dims index(space_.size(), 0), offsets(strides_.size(), 0);
    int64_t total = 1;
    for (int64_t d : space_) total *= d;
    for (int64_t position = 0; position < total; ++position) {
      visit(position, offsets);
      for (size_t i = space_.size(); i-- > 0;) {
        for (size_t k = 0; k < strides_.size(); ++k) offsets[k] += strides_[k][i];
        if (++index[i] < space_[i]) break;
        for (size_t k = 0; k < strides_.size(); ++k) offsets[k] -= strides_[k][i] * space_[i];
        index[i] = 0;
      }
    }
  }

 private:
  Dims space_;
  std::vector<Dims> strides_;
};

class StringWhereKernel : public Kernel {
 public:
  explicit StringWhereKernel(BroadcastWalk walk) : walk_(std::move(walk)) {}
  absl::Status Launch(const LaunchContext& c) const override {
    const uint8_t* condition = c.input<uint8_t>(0);
    const std::string *x = c.input<std::string>(1), *y = c.input<std::string>(2);
    std::string* out = c.output<std::string>(0);
    walk_.Run(
        [&](int64_t i, const Dims& at) { out[i] = condition[at[0]] != 0 ? x[at[1]] : y[at[2]]; });
    return absl::OkStatus();
  }
  std::string Description() const override { return "strings"; }

 private:
  const BroadcastWalk walk_;
};

class StringEqualKernel : public Kernel {
 public:
  explicit StringEqualKernel(BroadcastWalk walk) : walk_(std::move(walk)) {}
  absl::Status Launch(const LaunchContext& c) const override {
    const std::string *a = c.input<std::string>(0), *b = c.input<std::string>(1);
    uint8_t* out = c.output<uint8_t>(0);
    walk_.Run([&](int64_t i, const Dims& at) { out[i] = a[at[0]] == b[at[1]]; });
    return absl::OkStatus();
  }
  std::string Description() const override { return "strings"; }

 private:
  const BroadcastWalk walk_;
};

absl::StatusOr<BroadcastWalk> MakeWalk(const PrepareContext& context) {
  const size_t last = context.inputs.size() - 1;
  if (context.input_dtype(last) != DType::kString) {
    return absl::UnimplementedError("works on strings only");
  }
  std::vector<Dims> operands;
  for (size_t i = 0; i <= last; ++i) operands.push_back(context.input_dims(i));
  return BroadcastWalk(context.output_dims(0), operands);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareStringWhere(const PrepareContext& context) {
  absl::StatusOr<BroadcastWalk> walk = MakeWalk(context);
  if (!walk.ok()) return walk.status();
  return std::make_unique<StringWhereKernel>(*std::move(walk));
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareStringEqual(const PrepareContext& context) {
  absl::StatusOr<BroadcastWalk> walk = MakeWalk(context);
  if (!walk.ok()) return walk.status();
  return std::make_unique<StringEqualKernel>(*std::move(walk));
}

}  // namespace sluice::cpu
