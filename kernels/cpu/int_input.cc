#include "kernels/cpu/int_input.h"

#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {

IntInput::IntInput(const PrepareContext& context, size_t i) {
  if (!context.HasInput(i)) return;
  present_ = true;
  index_ = i;
  dtype_ = context.input_dtype(i);
  count_ = context.IsOpen(i) ? -1 : Product(context.input_dims(i));
  if (context.IsConstant(i)) constant_ = context.constants[i];
}

IntList IntInput::ReadFrom(const void* data) const {
  IntList list;
  list.reserve(static_cast<size_t>(count_));
  for (int64_t i = 0; i < count_; ++i) {
    list.push_back(dtype_ == DType::kI32 ? static_cast<const int32_t*>(data)[i]
                                         : static_cast<const int64_t*>(data)[i]);
  }
  return list;
}

std::optional<Dims> PlannedDims(const PrepareContext& context, size_t i) {
  if (!context.outputs[i].has_static_shape()) return std::nullopt;
  return context.outputs[i].StaticDims();
}

absl::StatusOr<void*> OutputMemory(const LaunchContext& context, size_t i,
                                   const std::optional<Dims>& planned,
                                   absl::Span<const int64_t> dims) {
  if (planned.has_value() && absl::MakeConstSpan(*planned) != dims) {
    return Invalid("the output has extents ", DimsToString(dims), ", but ", DimsToString(*planned),
                   " was declared");
  }
  if (i < context.outputs.size() && context.outputs[i] != nullptr) return context.outputs[i];
  if (context.allocator == nullptr) {
    return absl::InternalError("a dynamic output without an allocator");
  }
  if (absl::StatusOr<int64_t> count = ElementCount(dims); !count.ok()) return count.status();
  return context.allocator->Allocate(i, dims);
}

absl::StatusOr<int> NormalAxis(int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) {
    return Invalid("axis ", axis, " is out of range for rank ", rank, "; expected ", -rank, " to ",
                   rank - 1);
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

}  // namespace sluice::cpu
