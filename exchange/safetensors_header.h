// The JSON header of a safetensors file; used by safetensors.cc.
#ifndef SLUICE_EXCHANGE_SAFETENSORS_HEADER_H_
#define SLUICE_EXCHANGE_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

struct SafetensorsEntry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // in the data
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;
  absl::btree_map<std::string, std::string> metadata;
};

// Syntax only: exactly the keys of the format, none of them twice.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view json);
// InvalidArgument where a name is not UTF-8.
absl::StatusOr<std::string> PrintSafetensorsHeader(const SafetensorsHeader& header);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_SAFETENSORS_HEADER_H_
