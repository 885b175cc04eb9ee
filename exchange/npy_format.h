// The header of an .npy file (numpy.lib.format), read and written; used by npy.cc and npz.cc.
#ifndef SLUICE_EXCHANGE_NPY_FORMAT_H_
#define SLUICE_EXCHANGE_NPY_FORMAT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "graph/tensor.h"

namespace sluice {

struct NpyHeader {
  DType dtype = DType::kInvalid;
  int64_t width = 0;   // bytes of one element in the file; a string's is fixed
  bool utf32 = false;  // a string of 4-byte code points, else of bytes
  bool swapped = false;
  bool fortran_order = false;
  Dims dims;
  int64_t elements = 0;
  size_t data_offset = 0;

  int64_t data_bytes() const { return elements * width; }  // cannot overflow
};

// `bytes` may be longer or only the beginning; OutOfRange asks for more of it.
absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view bytes);

// The header and, for strings, also how many code points each takes.
absl::StatusOr<std::string> NpyHeaderFor(const Tensor& tensor, int64_t* string_width);
// Elements of a string tensor in the form that the header announces.
std::string NpyStringData(const Tensor& tensor, int64_t string_width);

// The tensor of `header` from exactly its data bytes.
absl::StatusOr<Tensor> NpyTensor(const NpyHeader& header, absl::string_view data);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_NPY_FORMAT_H_
