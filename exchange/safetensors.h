// safetensors: a JSON header, then the tensors' bytes; mapped, or copied with the file.
//
// Files of ours can be read by every safetensors library: no holes, no overlaps. To keep elements
// aligned all the same, the header is padded to a multiple of 64 and tensors whose size is a
// multiple of 64 come first (so each starts at one), the rest by falling element size.
#ifndef SLUICE_EXCHANGE_SAFETENSORS_H_
#define SLUICE_EXCHANGE_SAFETENSORS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "exchange/file.h"
#include "exchange/npy.h"

namespace sluice {

constexpr uint64_t kMaxSafetensorsHeader =
    100'000'000;  // bytes, as in the reference implementation

struct Safetensors {
  NamedTensors tensors;  // in the order of their bytes
  absl::btree_map<std::string, std::string> metadata;
};

// Strict: the header ends inside the file, names stand once, every range fits its dtype and shape,
// and the ranges tile the data without holes or overlaps. The tensors keep the file's bytes alive;
// elements that are not aligned to their size are copied.
absl::StatusOr<Safetensors> ReadSafetensors(const std::string& path,
                                            FileAccess access = FileAccess::kMap);
absl::StatusOr<Safetensors> ReadSafetensors(const std::shared_ptr<const MappedFile>& file);

// Unimplemented for strings: the format has no type for them.
absl::Status AppendSafetensors(const Safetensors& content, AtomicFile* file);
absl::Status WriteSafetensors(const Safetensors& content, const std::string& path);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_SAFETENSORS_H_
