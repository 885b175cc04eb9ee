// NumPy's files: .npy holds one array, .npz is a zip of them.
#ifndef SLUICE_EXCHANGE_NPY_H_
#define SLUICE_EXCHANGE_NPY_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "exchange/file_access.h"
#include "graph/tensor.h"

namespace sluice {

// Reads format versions 1 to 3, either byte order, either element order. Python objects are refused
// (they would have to run as code). Fixed-width strings (<U, |S) become strings. The elements are
// mapped, not copied, where byte order and alignment allow.
absl::StatusOr<Tensor> ReadNpy(const std::string& path, FileAccess access = FileAccess::kMap);
// `owner` keeps `bytes` alive and may be null: then the elements are copied.
absl::StatusOr<Tensor> ParseNpy(absl::string_view bytes, std::shared_ptr<const void> owner);

// Unimplemented for what npy has no type for: bf16, and strings that end in NUL or are not UTF-8.
absl::Status WriteNpy(const Tensor& tensor, const std::string& path);
bool NpyCanHold(const Tensor& tensor);

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

struct NpzOptions {
  int64_t max_bytes = int64_t{16} << 30;  // of all arrays together, unpacked
  FileAccess access = FileAccess::kMap;
};
// Names come without ".npy", in the file's order. Each array's packed size, unpacked size and
// checksum must be what the archive's directory says.
absl::StatusOr<NamedTensors> ReadNpz(const std::string& path, const NpzOptions& options = {});
// Stored, not packed, as numpy.savez does.
absl::Status WriteNpz(const NamedTensors& tensors, const std::string& path);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_NPY_H_
