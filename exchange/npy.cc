#include "exchange/npy.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "exchange/file.h"
#include "exchange/npy_format.h"
#include "graph/text.h"

namespace sluice {

absl::StatusOr<Tensor> ParseNpy(absl::string_view bytes, std::shared_ptr<const void> owner) {
  absl::StatusOr<NpyHeader> h = ParseNpyHeader(bytes);
  if (absl::IsOutOfRange(h.status())) return absl::InvalidArgumentError(h.status().message());
  if (!h.ok()) return h.status();
  const absl::string_view data = bytes.substr(h->data_offset);
  const bool as_is = owner != nullptr && h->dtype != DType::kString && h->dtype != DType::kBool &&
                     !h->swapped && (!h->fortran_order || h->dims.size() <= 1) &&
                     data.size() == static_cast<size_t>(h->data_bytes()) &&
                     reinterpret_cast<uintptr_t>(data.data()) % ByteSize(h->dtype) == 0;
  if (as_is) return Tensor::Wrap(h->dtype, h->dims, data.data(), std::move(owner));
  return NpyTensor(*h, data);
}

absl::StatusOr<Tensor> ReadNpy(const std::string& path, FileAccess access) {
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path, access);
  if (!file.ok()) return file.status();
  absl::StatusOr<Tensor> tensor = ParseNpy((*file)->bytes(), *file);
  if (!tensor.ok()) {
    return absl::Status(tensor.status().code(),
                        absl::StrCat(Quote(path), ": ", tensor.status().message()));
  }
  return tensor;
}

absl::Status WriteNpy(const Tensor& tensor, const std::string& path) {
  int64_t string_width = 0;
  absl::StatusOr<std::string> header = NpyHeaderFor(tensor, &string_width);
  if (!header.ok()) return header.status();
  absl::StatusOr<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(path);
  if (!file.ok()) return file.status();
  absl::Status s = (*file)->Append(*header);
  if (s.ok()) {
    s = tensor.dtype() == DType::kString
            ? (*file)->Append(NpyStringData(tensor, string_width))
            : (*file)->Append({static_cast<const char*>(tensor.raw()), tensor.bytes()});
  }
  return s.ok() ? (*file)->Commit() : s;
}

bool NpyCanHold(const Tensor& tensor) {
  int64_t string_width = 0;
  return NpyHeaderFor(tensor, &string_width).ok();
}

}  // namespace sluice
