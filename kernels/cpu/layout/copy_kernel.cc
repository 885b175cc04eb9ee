#include "kernels/cpu/layout/copy_kernel.h"

#include <algorithm>
#include <string>

namespace sluice::cpu {
namespace {

using Lists = absl::InlinedVector<IntList, 4>;

class CopyKernel : public Kernel {
 public:
  CopyKernel(const PrepareContext& context, std::vector<IntInput> ints, LayoutFn layout,
             std::optional<size_t> fill_input)
      : dtype_(context.input_dtype(0)),
        in_(context.IsOpen(0) ? std::nullopt : std::optional<Dims>(context.input_dims(0))),
        planned_(PlannedDims(context)),
        ints_(std::move(ints)),
        make_(std::move(layout)),
        fill_input_(fill_input.has_value() && context.HasInput(*fill_input) ? fill_input
                                                                            : std::nullopt) {}

  absl::Status Prepare() {
    if (!in_.has_value() ||
        !std::all_of(ints_.begin(), ints_.end(), [](const IntInput& i) { return i.constant(); })) {
      return absl::OkStatus();
    }
    Lists lists;
    for (const IntInput& i : ints_) lists.push_back(i.Constant());
    absl::StatusOr<CopyLayout> layout = make_(*in_, lists);
    if (!layout.ok()) return layout.status();
    layout_ = *std::move(layout);
    return absl::OkStatus();
  }

  absl::Status Launch(const LaunchContext& c) const override {
    if (layout_.has_value()) return Copy(c, *layout_);
    Lists lists;
    for (const IntInput& i : ints_) lists.push_back(i.Read(c));
    absl::StatusOr<CopyLayout> layout =
        in_.has_value() ? make_(*in_, lists)
                        : make_(Dims(c.input_dims[0].begin(), c.input_dims[0].end()), lists);
    return layout.ok() ? Copy(c, *layout) : layout.status();
  }

  std::string Description() const override {
    return layout_.has_value() ? std::string(layout_->copy.kind()) : "copy laid out at launch";
  }
  // An output of known extents whose input's are not is found late all the same.
  bool dynamic_outputs() const override { return !planned_.has_value() || !in_.has_value(); }

 private:
  absl::Status Copy(const LaunchContext& c, const CopyLayout& layout) const {
    absl::StatusOr<void*> out = OutputMemory(c, 0, planned_, layout.dims);
    if (!out.ok()) return out.status();
    const int64_t size = static_cast<int64_t>(ByteSize(dtype_));
    const void* value = fill_input_ ? c.inputs[*fill_input_] : ZeroElement(dtype_);
    for (const auto& [fill, offset] : layout.fills) {
      fill.Run(value, static_cast<char*>(*out) + offset * size, c.pool);
    }
    layout.copy.Run(static_cast<const char*>(c.inputs[0]) + layout.src_offset * size,
                    static_cast<char*>(*out) + layout.dst_offset * size, c.pool);
    return absl::OkStatus();
  }

  const DType dtype_;
  const std::optional<Dims> in_;  // none: with each launch
  const std::optional<Dims> planned_;
  const std::vector<IntInput> ints_;
  const LayoutFn make_;
  const std::optional<size_t> fill_input_;
  std::optional<CopyLayout> layout_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeCopyKernel(const PrepareContext& context,
                                                       std::vector<IntInput> ints, LayoutFn layout,
                                                       std::optional<size_t> fill_input) {
  for (const IntInput& i : ints) {
    if (i.present() && i.open()) return absl::UnimplementedError("a list's length is open");
  }
  auto kernel =
      std::make_unique<CopyKernel>(context, std::move(ints), std::move(layout), fill_input);
  if (absl::Status s = kernel->Prepare(); !s.ok()) return s;
  return kernel;
}

}  // namespace sluice::cpu
