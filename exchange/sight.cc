#include "exchange/sight.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "exchange/file.h"

namespace sluice {

bool Sight::Holds(absl::string_view bytes, size_t at) const {
  return at <= head.size() && absl::string_view(head).substr(at, bytes.size()) == bytes;
}

bool Sight::HasFile(const char* name) const {
  return folder && access(absl::StrCat(path, "/", name).c_str(), F_OK) == 0;
}

bool Sight::IsText() const {
  const absl::string_view first = absl::string_view(head).substr(0, 256);
  return !first.empty() && std::all_of(first.begin(), first.end(), [](unsigned char c) {
    return c >= ' ' || absl::ascii_isspace(c);
  });
}

absl::StatusOr<Sight> LookAt(const std::string& path) {
  Sight sight;
  sight.path = path;
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    sight.folder = true;
    return sight;
  }
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  sight.size = (*file)->bytes().size();
  sight.head.resize(std::min<size_t>(sight.size, Sight::kHead));
  // Read, not mapped: whatever the access, this may be the moment at which the file is truncated.
  absl::Status s = (*file)->Read(0, sight.head.size(), sight.head.data());
  if (!s.ok()) return s;
  return sight;
}

}  // namespace sluice
