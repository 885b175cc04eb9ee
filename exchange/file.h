// Files: their bytes, mapped or copied, a folder that nothing gets out of, and writes that happen
// whole or not at all.
#ifndef SLUICE_EXCHANGE_FILE_H_
#define SLUICE_EXCHANGE_FILE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "exchange/file_access.h"
#include "exchange/temporary_files.h"

namespace sluice {

// The bytes of a regular file, mapped read-only or (kCopy) copied. Whoever truncates a file while
// it is mapped breaks the promise of the mapping: replace model files by rename, as this library
// does, or ask for a copy.
class MappedFile {
 public:
  // A path that the user gave: links are followed. Anything but a regular file is refused.
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(
      const std::string& path, FileAccess access = FileAccess::kMap);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  absl::string_view bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  // Copies [offset, offset + size), of a mapped file with read(2), so that the copied pages do not
  // count twice. DataLoss where it became shorter. Precondition: the range lies inside.
  absl::Status Read(size_t offset, size_t size, void* to) const;

 private:
  friend class Folder;
  explicit MappedFile(std::string path) : path_(std::move(path)) {}
  static std::shared_ptr<MappedFile> New(std::string path, FileAccess access);
  // The bytes of what is open.
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Take(std::shared_ptr<MappedFile> file,
                                                                FileAccess access,
                                                                bool single_link);
  absl::Status ReadFromDisk(size_t offset, size_t size, void* to) const;
  std::string path_;
  int fd_ = -1;  // -1 also once the bytes are a copy
  const char* data_ = nullptr;
  size_t size_ = 0;
};

// A folder that files are opened below, all with one access, by names that an untrusted file gave.
class Folder {
 public:
  static absl::StatusOr<std::shared_ptr<const Folder>> Open(const std::string& path,
                                                            FileAccess access = FileAccess::kMap);
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  // `name` is relative and stays below the folder; no part of it may be a link, and the file itself
  // must be a regular one with a single name (a hard link could lead out). The kernel decides while
  // it opens, so nothing can be swapped in between.
  absl::StatusOr<std::shared_ptr<const MappedFile>> OpenBelow(absl::string_view name) const;
  const std::string& path() const { return path_; }

 private:
  Folder(std::string path, FileAccess access) : path_(std::move(path)), access_(access) {}
  const std::string path_;
  const FileAccess access_;
  int fd_ = -1;
};

// A file under construction. It has no name before Commit() (where the file system allows that), so
// that nothing of it is left without one, not even where the process is killed.
class AtomicFile {
 public:
  // InvalidArgument where something else than a regular file is in the way: it would be replaced.
  static absl::StatusOr<std::unique_ptr<AtomicFile>> Create(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& path() const { return path_; }
  absl::Status Append(absl::string_view bytes);
  size_t size() const { return size_; }
  // Everything is on the disk; the target is as it was.
  absl::Status Sync();
  // Sync(), then the target is replaced, then its folder is written through. An existing target
  // keeps its permissions.
  absl::Status Commit();

 private:
  friend absl::Status CommitWithPart(AtomicFile*, AtomicFile*, const std::function<std::string()>&);
  explicit AtomicFile(std::string path) : path_(std::move(path)) {}
  absl::Status Flush();
  absl::Status Place();
  std::string path_, temporary_, buffer_;  // temporary_: "" while it has no name
  std::unique_ptr<TemporaryName> name_;    // for a program that a signal ends
  int fd_ = -1;
  size_t size_ = 0;
  bool synced_ = false;
};

absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes);

// Commits `file` and a part of it that lies in a file of its own in the same folder, as one: there
// are the old file with the old part, then the new with the new, whenever the process is killed and
// however many write at once. For that the name of `part` depends on what is in it (PartName()):
// both parts lie there until `file` is replaced, which is the one moment that counts.
//
// `part` may be null. `old_part` is called once no other writer is at work: the name, in the
// folder, of the part that the file now in place refers to, "" where there is none. It is removed
// at last.
absl::Status CommitWithPart(AtomicFile* file, AtomicFile* part,
                            const std::function<std::string()>& old_part);

// The name for a part of the file at `path` with these contents: "m.txt" -> "m.txt.<hash><ending>".
// Printable ASCII, whatever the path.
std::string PartName(const std::string& path, absl::string_view hash, absl::string_view ending);
// Whether PartName() gave this name for this path.
bool IsPartName(const std::string& path, absl::string_view name, absl::string_view ending);

// "a/b/c.onnx" -> "a/b" and "c.onnx"; "." where there is no slash.
std::string FolderOf(const std::string& path);
std::string BaseName(const std::string& path);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_FILE_H_
