// What is seen of a path before it is read: enough to tell the formats apart, and never much.
#ifndef SLUICE_EXCHANGE_SIGHT_H_
#define SLUICE_EXCHANGE_SIGHT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

struct Sight {
  static constexpr size_t kHead = 4096;

  std::string path;
  bool folder = false;
  std::string head;   // the first bytes of a file, kHead at most
  uint64_t size = 0;  // of the file, in bytes

  // Whether these bytes stand at this place of the head.
  bool Holds(absl::string_view bytes, size_t at = 0) const;
  // Whether a folder has a file of this name.
  bool HasFile(const char* name) const;
  // Whether nothing at the beginning of the file is a control character, as in any text. False of
  // an empty file.
  bool IsText() const;
};

// How sure a format is that a file is its own.
enum class Likeness {
  kNone,
  kLikely,   // the bytes are as it has them, but others may have them too
  kCertain,  // they begin as nothing else does
};

// An error where the path cannot be opened, and for what is neither a file nor a folder (a FIFO, a
// device): nothing is waited for.
absl::StatusOr<Sight> LookAt(const std::string& path);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_SIGHT_H_
