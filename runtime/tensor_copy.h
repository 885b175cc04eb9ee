// Copies of tensors' elements, strings included.
#ifndef SLUICE_RUNTIME_TENSOR_COPY_H_
#define SLUICE_RUNTIME_TENSOR_COPY_H_

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/status/statusor.h"
#include "graph/tensor.h"

namespace sluice {

// `to` is of from's type; one memory is left as it is.
inline void CopyElements(const Tensor& from, Tensor* to) {
  if (from.raw() == to->raw()) return;
  if (from.dtype() == DType::kString) {
    std::copy_n(from.data<std::string>(), from.elements(), to->mutable_data<std::string>());
  } else if (from.bytes() > 0) {
    std::memcpy(to->mutable_raw(), from.raw(), from.bytes());
  }
}

inline absl::StatusOr<Tensor> Duplicate(const Tensor& from) {
  absl::StatusOr<Tensor> to = Tensor::Allocate(from.dtype(), from.dims());
  if (to.ok()) CopyElements(from, &*to);
  return to;
}

}  // namespace sluice

#endif  // SLUICE_RUNTIME_TENSOR_COPY_H_
