// Reshape, Squeeze, Unsqueeze, Flatten: the same bytes under other extents.
#include <algorithm>
#include <functional>

#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

using ReshapeFn = std::function<absl::StatusOr<Dims>(const IntList&)>;

// A view where the planner can alias, else a copy. Where the extents depend on an input that is
// known only at launch, they are computed then, and checked against planned ones.
class ViewKernel : public Kernel {
 public:
  ViewKernel(const PrepareContext& context, IntInput ints, ReshapeFn reshape)
      : dtype_(context.input_dtype(0)),
        planned_(PlannedDims(context)),
        ints_(std::move(ints)),
        reshape_(std::move(reshape)) {
    elements_ = Product(context.input_dims(0));
  }

  absl::Status Prepare() {
    if (!ints_.constant()) return absl::OkStatus();
    absl::StatusOr<Dims> dims = reshape_(ints_.present() ? ints_.Constant() : IntList());
    if (!dims.ok()) return dims.status();
    if (planned_.has_value() && *dims != *planned_) {
      return Invalid("the output has extents ", DimsToString(*dims), ", but ",
                     DimsToString(*planned_), " was declared");
    }
    dims_ = *std::move(dims);
    return absl::OkStatus();
  }

  absl::Status Launch(const LaunchContext& c) const override {
    absl::StatusOr<Dims> dims = dims_.has_value() ? *dims_ : reshape_(ints_.Read(c));
    if (!dims.ok()) return dims.status();
    absl::StatusOr<void*> out = OutputMemory(c, 0, planned_, *dims);
    if (!out.ok()) return out.status();
    if (*out != c.inputs[0]) CopyElements(dtype_, c.inputs[0], *out, elements_, c.pool);
    return absl::OkStatus();
  }
  std::string Description() const override { return "view"; }
  std::vector<std::pair<int, int>> in_place() const override {
    return fixed() ? std::vector<std::pair<int, int>>{{0, 0}} : std::vector<std::pair<int, int>>{};
  }
  std::vector<std::pair<int, int>> views() const override { return in_place(); }
  bool dynamic_outputs() const override { return !planned_.has_value(); }

 private:
  // Not before launch is it known whether a shape given as data fits the plan.
  bool fixed() const { return planned_.has_value() && dims_.has_value(); }

  const DType dtype_;
  const std::optional<Dims> planned_;
  const IntInput ints_;
  const ReshapeFn reshape_;
  int64_t elements_ = 1;
  std::optional<Dims> dims_;
};

absl::StatusOr<std::unique_ptr<Kernel>> MakeView(const PrepareContext& context, IntInput ints,
                                                 ReshapeFn reshape) {
  auto kernel = std::make_unique<ViewKernel>(context, std::move(ints), std::move(reshape));
  if (absl::Status s = kernel->Prepare(); !s.ok()) return s;
  return kernel;
}

absl::StatusOr<Dims> ReshapedDims(const Dims& in, const IntList& shape, bool allow_zero) {
  Dims dims(shape.begin(), shape.end());
  absl::Status differ = Invalid("cannot reshape ", DimsToString(in), " to ", DimsToString(dims),
                                ": the element counts differ");
  // Extents that a 0 copies cancel on both sides, so that [0, -1] means something for empty data.
  Dims have = in, others;
  std::optional<size_t> inferred;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && !allow_zero) {
      if (i >= in.size()) return Invalid("shape[", i, "] is 0, but the data is ", DimsToString(in));
      dims[i] = in[i];
      have[i] = 1;
    } else if (dims[i] == -1) {
      if (inferred.has_value()) return Invalid("shape ", DimsToString(dims), " has -1 twice");
      inferred = i;
    } else if (dims[i] < 0) {
      return Invalid("shape[", i, "] is ", dims[i], "; expected -1, 0 or a positive extent");
    } else {
      others.push_back(dims[i]);
    }
  }
  absl::StatusOr<int64_t> total = ElementCount(have), known = ElementCount(others);
  if (!total.ok()) return total.status();
  if (!known.ok()) return known.status();
  if (!inferred.has_value()) {
    absl::StatusOr<int64_t> all = ElementCount(dims), before = ElementCount(in);
    if (!all.ok()) return all.status();
    if (!before.ok() || *all != *before) return differ;
    return dims;
  }
  if (*known == 0 || *total % *known != 0) return differ;
  dims[*inferred] = *total / *known;
  return dims;
}

absl::StatusOr<Dims> SqueezedDims(const Dims& in, bool has_axes, const IntList& axes) {
  absl::InlinedVector<bool, 8> drop(in.size());
  for (int64_t given : axes) {
    absl::StatusOr<int> axis = NormalAxis(given, static_cast<int>(in.size()));
    if (!axis.ok()) return axis.status();
    if (in[*axis] != 1) {
      return Invalid("axis ", given, " of ", DimsToString(in), " has extent ", in[*axis],
                     "; only an extent of 1 can be squeezed");
    }
    drop[*axis] = true;
  }
  Dims dims;
  for (size_t i = 0; i < in.size(); ++i) {
    if (has_axes ? !drop[i] : in[i] != 1) dims.push_back(in[i]);
  }
  return dims;
}

absl::StatusOr<Dims> UnsqueezedDims(const Dims& in, const IntList& axes) {
  const int rank = static_cast<int>(in.size() + axes.size());
  absl::InlinedVector<bool, 8> fresh(rank);
  for (int64_t given : axes) {
    absl::StatusOr<int> axis = NormalAxis(given, rank);
    if (!axis.ok()) return axis.status();
    if (fresh[*axis]) return Invalid("axis ", given, " is given twice");
    fresh[*axis] = true;
  }
  Dims dims;
  size_t from = 0;
  for (int i = 0; i < rank; ++i) dims.push_back(fresh[i] ? 1 : in[from++]);
  return dims;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareReshape(const PrepareContext& context) {
  return MakeView(context, IntInput(context, 1),
                  [in = context.input_dims(0), allow_zero = context.node.Int("allowzero") != 0](
                      const IntList& shape) { return ReshapedDims(in, shape, allow_zero); });
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareSqueeze(const PrepareContext& context) {
  return MakeView(context, IntInput(context, 1),
                  [in = context.input_dims(0), has_axes = context.HasInput(1)](
                      const IntList& axes) { return SqueezedDims(in, has_axes, axes); });
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareUnsqueeze(const PrepareContext& context) {
  return MakeView(context, IntInput(context, 1), [in = context.input_dims(0)](const IntList& axes) {
    return UnsqueezedDims(in, axes);
  });
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareFlatten(const PrepareContext& context) {
  const Dims in = context.input_dims(0);
  const int64_t rank = static_cast<int64_t>(in.size()), given = context.node.Int("axis");
  if (given < -rank || given > rank) return Invalid("axis ", given, " is out of range");
  const int64_t axis = given < 0 ? given + rank : given;
  absl::StatusOr<int64_t> outer = ElementCount(absl::MakeConstSpan(in).subspan(0, axis));
  absl::StatusOr<int64_t> inner = ElementCount(absl::MakeConstSpan(in).subspan(axis));
  if (!outer.ok()) return outer.status();
  if (!inner.ok()) return inner.status();
  return MakeView(context, IntInput(),
                  [dims = Dims{*outer, *inner}](const IntList&) { return dims; });
}

}  // namespace sluice::cpu
