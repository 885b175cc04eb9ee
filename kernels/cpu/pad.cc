#include <algorithm>

#include "kernels/cpu/layout/copy_kernel.h"
#include "kernels/cpu/layout/mapped_copy.h"

namespace sluice::cpu {
namespace {

struct Pads {
  Dims begin, end, out;
};

absl::StatusOr<Pads> ReadPads(DType dtype, const Dims& in, const IntList& pads,
                              const IntList* axes) {
  const size_t n = axes != nullptr ? axes->size() : in.size();
  if (pads.size() != 2 * n) {
    return Invalid("pads has ", pads.size(), " elements; expected a begin and an end for each of ",
                   n, " axes");
  }
  Pads result{Dims(in.size(), 0), Dims(in.size(), 0), in};
  absl::InlinedVector<bool, 8> seen(in.size());
  for (size_t i = 0; i < n; ++i) {
    absl::StatusOr<int> axis = NormalAxis(axes != nullptr ? (*axes)[i] : static_cast<int64_t>(i),
                                          static_cast<int>(in.size()));
    if (!axis.ok()) return axis.status();
    if (seen[*axis]) return Invalid("axis ", *axis, " is padded twice");
    seen[*axis] = true;
    int64_t& out = result.out[*axis];
    result.begin[*axis] = pads[i];
    result.end[*axis] = pads[n + i];
    // Removing more than there is at one end is no way to make room at the other.
    if (pads[i] < -in[*axis] || pads[n + i] < -in[*axis] ||
        __builtin_add_overflow(out, pads[i], &out) ||
        __builtin_add_overflow(out, pads[n + i], &out) || out < 0) {
      return Invalid("pads ", pads[i], " and ", pads[n + i], " do not fit extent ", in[*axis],
                     " of axis ", *axis);
    }
  }
  if (absl::StatusOr<int64_t> size = ElementCount(result.out, ByteSize(dtype)); !size.ok()) {
    return size.status();
  }
  return result;
}

absl::StatusOr<CopyLayout> ConstantLayout(DType dtype, const Dims& in, const IntList& list,
                                          const IntList* axes) {
  absl::StatusOr<Pads> pads = ReadPads(dtype, in, list, axes);
  if (!pads.ok()) return pads.status();
  const Dims src = RowMajorStrides(in), dst = RowMajorStrides(pads->out);
  CopyLayout layout{.dims = pads->out};
  Dims box = in;  // the part of the data that stays, and where it goes
  Dims at(in.size(), 0);
  for (size_t i = 0; i < in.size(); ++i) {
    const int64_t cut = std::max<int64_t>(0, -pads->begin[i]);
    box[i] = std::max<int64_t>(0, in[i] - cut - std::max<int64_t>(0, -pads->end[i]));
    at[i] = std::min(std::max<int64_t>(0, pads->begin[i]), pads->out[i]);
    box[i] = std::min(box[i], pads->out[i] - at[i]);
    layout.src_offset += cut * src[i];
    layout.dst_offset += at[i] * dst[i];
  }
  layout.copy = StridedCopy(dtype, box, src, dst);
  // The margin as slabs: before and after the data along axis i, inside the data along the axes
  // before it, and whole along those behind.
  Dims slab = pads->out;
  const Dims none(in.size(), 0);
  int64_t offset = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    const int64_t before = at[i], after = pads->out[i] - at[i] - box[i];
    if (before > 0) {
      slab[i] = before;
      layout.fills.push_back({StridedCopy(dtype, slab, none, dst), offset});
    }
    if (after > 0) {
      slab[i] = after;
      layout.fills.push_back(
          {StridedCopy(dtype, slab, none, dst), offset + (at[i] + box[i]) * dst[i]});
    }
    slab[i] = box[i];
    offset += at[i] * dst[i];
  }
  if (std::find(box.begin(), box.end(), 0) != box.end()) layout.src_offset = layout.dst_offset = 0;
  return layout;
}

// Index into `extent` elements for position i (which may lie outside them).
int64_t Source(absl::string_view mode, int64_t i, int64_t extent) {
  if (mode == "edge") return std::clamp<int64_t>(i, 0, extent - 1);
  const int64_t period = mode == "wrap" ? extent : std::max<int64_t>(1, 2 * (extent - 1));
  const int64_t r = ((i % period) + period) % period;
  return r < extent ? r : period - r;
}

class MappedPadKernel : public Kernel {
 public:
  explicit MappedPadKernel(const PrepareContext& context)
      : dtype_(context.input_dtype(0)),
        in_(context.input_dims(0)),
        mode_(context.node.String("mode")),
        planned_(PlannedDims(context)),
        pads_(context, 1),
        axes_(context, 3) {}

  absl::Status Prepare() {
    if (!pads_.constant() || !axes_.constant()) return absl::OkStatus();
    const IntList axes = axes_.present() ? axes_.Constant() : IntList();
    absl::StatusOr<Pads> pads =
        ReadPads(dtype_, in_, pads_.Constant(), axes_.present() ? &axes : nullptr);
    if (!pads.ok()) return pads.status();
    absl::StatusOr<MappedCopy> copy = Map(*pads);
    if (!copy.ok()) return copy.status();
    copy_ = *std::move(copy);
    dims_ = pads->out;
    return absl::OkStatus();
  }

  absl::Status Launch(const LaunchContext& c) const override {
    if (copy_.has_value()) {
      absl::StatusOr<void*> out = OutputMemory(c, 0, planned_, dims_);
      if (!out.ok()) return out.status();
      copy_->Run(c.inputs[0], *out, ZeroElement(dtype_), c.pool);
      return absl::OkStatus();
    }
    const IntList axes = axes_.present() ? axes_.Read(c) : IntList();
    absl::StatusOr<Pads> pads =
        ReadPads(dtype_, in_, pads_.Read(c), axes_.present() ? &axes : nullptr);
    if (!pads.ok()) return pads.status();
    absl::StatusOr<void*> out = OutputMemory(c, 0, planned_, pads->out);  // before its tables
    if (!out.ok()) return out.status();
    absl::StatusOr<MappedCopy> copy = Map(*pads);
    if (!copy.ok()) return copy.status();
    copy->Run(c.inputs[0], *out, ZeroElement(dtype_), c.pool);
    return absl::OkStatus();
  }
  std::string Description() const override { return absl::StrCat(mode_, " by index tables"); }
  bool dynamic_outputs() const override { return !planned_.has_value(); }

 private:
  absl::StatusOr<MappedCopy> Map(const Pads& pads) const {
    std::vector<std::vector<int64_t>> maps(in_.size());
    const bool empty = Product(pads.out) == 0;  // its other extents may be any number
    for (size_t i = 0; i < in_.size(); ++i) {
      // Negative pads cut first; what is left is mirrored, repeated or wrapped.
      const int64_t cut = std::max<int64_t>(0, -pads.begin[i]);
      const int64_t left = in_[i] - cut - std::max<int64_t>(0, -pads.end[i]);
      const int64_t before = std::max<int64_t>(0, pads.begin[i]);
      if (left <= 0 && pads.out[i] > 0) {
        return Invalid("mode ", mode_, " has nothing to pad axis ", i, " with: ", DimsToString(in_),
                       " leaves none of its elements");
      }
      if (!empty && left > INT64_MAX / 4) return Invalid("axis ", i, " is too long");
      // The table is as long as the axis: where memory ends, a vector would end the process.
      if (absl::Status s = Tensor::Allocate(DType::kI64, {empty ? 0 : pads.out[i]}).status();
          !s.ok()) {
        return s;
      }
      if (!empty) maps[i].reserve(static_cast<size_t>(pads.out[i]));
      for (int64_t k = 0; !empty && k < pads.out[i]; ++k) {
        maps[i].push_back(cut + Source(mode_, k - before, left));
      }
    }
    return MappedCopy(dtype_, in_, std::move(maps));
  }

  const DType dtype_;
  const Dims in_;
  const std::string mode_;
  const std::optional<Dims> planned_;
  const IntInput pads_, axes_;
  std::optional<MappedCopy> copy_;
  Dims dims_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PreparePad(const PrepareContext& context) {
  if (context.node.String("mode") == "constant") {
    std::vector<IntInput> ints = {IntInput(context, 1), IntInput(context, 3)};
    return MakeCopyKernel(
        context, std::move(ints),
        [dtype = context.input_dtype(0), has_axes = context.HasInput(3)](
            const Dims& in, absl::Span<const IntList> lists) {
          return ConstantLayout(dtype, in, lists[0], has_axes ? &lists[1] : nullptr);
        },
        /*fill_input=*/2);
  }
  for (size_t i = 0; i < context.inputs.size(); ++i) {
    if (context.IsOpen(i)) return absl::UnimplementedError("its tables want the extents");
  }
  auto kernel = std::make_unique<MappedPadKernel>(context);
  if (absl::Status s = kernel->Prepare(); !s.ok()) return s;
  return kernel;
}

}  // namespace sluice::cpu
