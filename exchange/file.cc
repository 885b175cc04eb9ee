#include "exchange/file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "graph/file_pages.h"
#include "graph/text.h"

namespace sluice {
namespace {

constexpr size_t kBufferSize = size_t{1} << 20;

absl::Status SystemError(int error, absl::string_view what, absl::string_view path) {
  const std::string message = absl::StrCat(what, " ", Quote(path));
  if (error == ENOSPC || error == EDQUOT)
    return absl::ResourceExhaustedError(absl::StrCat(message, ": the disk is full"));
  return absl::ErrnoToStatus(error, message);
}

absl::Status OutsideError(absl::string_view name, absl::string_view why) {
  return absl::PermissionDeniedError(
      absl::StrCat("file ", Shown(name), " is refused: ", why,
                   "; a model may only name regular files below its own folder"));
}

// One part after the other, never through a link: for kernels without openat2.
int OpenByParts(int folder, absl::string_view name) {
  int fd = dup(folder);
  const std::vector<std::string> parts = absl::StrSplit(name, '/', absl::SkipEmpty());
  for (size_t i = 0; i < parts.size() && fd >= 0; ++i) {
    const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
                      (i + 1 < parts.size() ? O_DIRECTORY : 0);
    const int next = openat(fd, parts[i].c_str(), flags);
    const int error = errno;
    close(fd);
    errno = error;
    fd = next;
  }
  return fd;
}

int OpenInside(int folder, const std::string& name) {
  open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long fd = syscall(SYS_openat2, folder, name.c_str(), &how, sizeof how);
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(fd);
  return OpenByParts(folder, name);
}

}  // namespace

// ---- MappedFile

// Only pages that a file stands behind may go back to the system. Whoever opens a file has the
// object first, so that whatever fails it is closed.
std::shared_ptr<MappedFile> MappedFile::New(std::string path, FileAccess access) {
  auto* const file = new MappedFile(std::move(path));
  return access == FileAccess::kCopy ? std::shared_ptr<MappedFile>(file)
                                     : std::shared_ptr<MappedFile>(file, FileBacked());
}

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Take(std::shared_ptr<MappedFile> file,
                                                                   FileAccess access,
                                                                   bool single_link) {
  const bool copy = access == FileAccess::kCopy;
  const int fd = file->fd_;
  struct stat info;
  if (fstat(fd, &info) != 0) return SystemError(errno, "cannot inspect", file->path_);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(
        Quote(file->path_), S_ISDIR(info.st_mode) ? " is a folder" : " is not a regular file"));
  }
  if (single_link && info.st_nlink > 1)
    return OutsideError(file->path_, "it has further hard links, which may lie elsewhere");
  const size_t size = static_cast<size_t>(info.st_size);
  if (size > 0) {
    void* data =
        copy ? mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
             : mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
      return SystemError(errno, copy ? "no memory for a copy of" : "cannot map", file->path_);
    file->data_ = static_cast<const char*>(data);
    file->size_ = size;
    if (copy) {
      if (absl::Status s = file->ReadFromDisk(0, size, data); !s.ok()) return s;
    }
  }
  if (copy) {
    close(fd);
    file->fd_ = -1;
  }
  return file;
}

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path,
                                                                   FileAccess access) {
  std::shared_ptr<MappedFile> file = New(path, access);
  // O_NONBLOCK: opening a FIFO must not wait for its other end.
  file->fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file->fd_ < 0) return SystemError(errno, "cannot open", path);
  return Take(std::move(file), access, /*single_link=*/false);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<char*>(data_), size_);
  if (fd_ >= 0) close(fd_);
}

absl::Status MappedFile::Read(size_t offset, size_t size, void* to) const {
  if (fd_ >= 0) return ReadFromDisk(offset, size, to);
  if (size > 0) std::memcpy(to, data_ + offset, size);
  return absl::OkStatus();
}

absl::Status MappedFile::ReadFromDisk(size_t offset, size_t size, void* to) const {
  for (size_t done = 0; done < size;) {
    const ssize_t n =
        pread(fd_, static_cast<char*>(to) + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(errno, "cannot read", path_);
    if (n == 0) return absl::DataLossError(absl::StrCat(Quote(path_), " became shorter"));
    done += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

// ---- Folder

absl::StatusOr<std::shared_ptr<const Folder>> Folder::Open(const std::string& path,
                                                           FileAccess access) {
  std::shared_ptr<Folder> folder(new Folder(path, access));
  folder->fd_ = open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder->fd_ < 0) return SystemError(errno, "cannot open folder", path);
  return folder;
}

Folder::~Folder() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<std::shared_ptr<const MappedFile>> Folder::OpenBelow(absl::string_view name) const {
  // The kernel enforces what matters; these checks give better messages and cover foreign paths.
  if (name.empty()) return OutsideError(name, "its name is empty");
  if (name.find('\0') != absl::string_view::npos) return OutsideError(name, "its name holds a NUL");
  if (name[0] == '/') return OutsideError(name, "its path is absolute");
  if (name.find('\\') != absl::string_view::npos ||
      (name.size() > 1 && name[1] == ':' && absl::ascii_isalpha(name[0])))
    return OutsideError(name, "it looks like a path of another system");
  for (absl::string_view part : absl::StrSplit(name, '/')) {
    if (part == "..") return OutsideError(name, "its path goes upward");
  }
  const std::string path = absl::StrCat(path_, "/", name);
  std::shared_ptr<MappedFile> file = MappedFile::New(path, access_);
  file->fd_ = OpenInside(fd_, std::string(name));
  if (file->fd_ < 0 && (errno == ELOOP || errno == EXDEV || errno == ENOTDIR))
    return OutsideError(name, "its path leads through a link or a file");
  if (file->fd_ < 0) return SystemError(errno, "cannot open", path);
  return MappedFile::Take(std::move(file), access_, /*single_link=*/true);
}

// ---- AtomicFile

namespace {

constexpr size_t kLongestBase = 180;  // leaves room in a name of 255 bytes

// Holds off other writers of this library while names change in `folder`; the kernel lets go of it
// when the process ends, however that happens. On file systems without locks, and where someone
// else holds the folder's lock for long, it does nothing.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder)
      : fd_(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    constexpr int kTries = 1000;  // of 10 ms
    for (int i = 0; fd_ >= 0 && i < kTries; ++i) {
      if (flock(fd_, LOCK_EX | LOCK_NB) == 0 || (errno != EWOULDBLOCK && errno != EINTR)) return;
      usleep(10'000);
    }
  }
  ~FolderLock() {
    if (fd_ >= 0) close(fd_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  void Sync() const {
    if (fd_ >= 0) fsync(fd_);  // some file systems cannot; the files themselves are safe
  }

 private:
  const int fd_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<AtomicFile>> AtomicFile::Create(const std::string& path) {
  struct stat target;
  const bool exists = stat(path.c_str(), &target) == 0;
  if (exists && !S_ISREG(target.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot write ", Quote(path), ": it is ", S_ISDIR(target.st_mode) ? "a folder" : "no file",
        "; a file is written beside its target and then takes its place"));
  }
  const std::string folder = FolderOf(path);
  std::unique_ptr<AtomicFile> file(new AtomicFile(path));
  // A name is given through /proc.
  if (access("/proc/self/fd", X_OK) == 0)
    file->fd_ = open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  static std::atomic<unsigned> counter = 0;
  for (int attempt = 0; attempt < 100 && file->fd_ < 0; ++attempt) {
    std::string temporary = absl::StrCat(folder, "/.", BaseName(path).substr(0, kLongestBase),
                                         ".tmp", getpid(), "-", counter++);
    file->name_ = std::make_unique<TemporaryName>(temporary);
    file->fd_ = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->fd_ >= 0) file->temporary_ = std::move(temporary);
    if (file->fd_ < 0 && errno != EEXIST) break;
  }
  if (file->fd_ < 0) return SystemError(errno, "cannot write", path);
  if (exists && fchmod(file->fd_, target.st_mode & 0777) != 0)
    return SystemError(errno, "cannot write", path);
  return file;
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

absl::Status AtomicFile::Append(absl::string_view bytes) {
  size_ += bytes.size();
  if (buffer_.size() + bytes.size() <= kBufferSize) {
    buffer_.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  if (absl::Status s = Flush(); !s.ok()) return s;
  if (bytes.size() <= kBufferSize) {
    buffer_.assign(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  while (!bytes.empty()) {
    const ssize_t n = write(fd_, bytes.data(), std::min(bytes.size(), size_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(errno, "cannot write", path_);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Flush() {
  absl::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t n = write(fd_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(errno, "cannot write", path_);
    rest.remove_prefix(static_cast<size_t>(n));
  }
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status AtomicFile::Sync() {
  if (synced_) return absl::OkStatus();
  if (absl::Status s = Flush(); !s.ok()) return s;
  if (fsync(fd_) != 0) return SystemError(errno, "cannot write", path_);
  synced_ = true;
  return absl::OkStatus();
}

// Precondition: synced, and the folder is locked.
absl::Status AtomicFile::Place() {
  if (temporary_.empty()) {
    const std::string nameless = absl::StrCat("/proc/self/fd/", fd_);
    auto link = [&](const std::string& name) {
      return linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
    };
    if (link(path_)) return absl::OkStatus();
    if (errno != EEXIST) return SystemError(errno, "cannot write", path_);
    // A link replaces nothing, a rename does. The lock keeps this name for one writer at a time: a
    // file that has it is what a process left that was killed between the two.
    temporary_ =
        absl::StrCat(FolderOf(path_), "/.", BaseName(path_).substr(0, kLongestBase), ".tmp");
    if (!link(temporary_) &&
        (errno != EEXIST || unlink(temporary_.c_str()) != 0 || !link(temporary_))) {
      const int error = errno;
      temporary_.clear();
      return SystemError(error, "cannot write", path_);
    }
  }
  if (rename(temporary_.c_str(), path_.c_str()) != 0)
    return SystemError(errno, "cannot replace", path_);
  temporary_.clear();
  name_.reset();
  return absl::OkStatus();
}

absl::Status AtomicFile::Commit() {
  return CommitWithPart(this, nullptr, [] { return std::string(); });
}

absl::Status CommitWithPart(AtomicFile* file, AtomicFile* part,
                            const std::function<std::string()>& old_part) {
  if (absl::Status s = file->Sync(); !s.ok()) return s;
  if (part != nullptr) {
    if (absl::Status s = part->Sync(); !s.ok()) return s;
  }
  const std::string folder = FolderOf(file->path());
  const FolderLock lock(folder);
  const std::string old = old_part();
  const bool stays = old.empty() || (part != nullptr && old == BaseName(part->path()));
  const std::string superseded = stays ? "" : absl::StrCat(folder, "/", old);
  bool added = false;
  absl::Cleanup take_back = [&] {
    if (added) unlink(part->path().c_str());
  };
  if (part != nullptr) {
    added = access(part->path().c_str(), F_OK) != 0;
    if (absl::Status s = part->Place(); !s.ok()) return s;
    lock.Sync();  // what is referred to is there before what refers to it
  }
  if (absl::Status s = file->Place(); !s.ok()) return s;
  std::move(take_back).Cancel();
  lock.Sync();
  if (!superseded.empty()) unlink(superseded.c_str());
  return absl::OkStatus();
}

std::string PartName(const std::string& path, absl::string_view hash, absl::string_view ending) {
  std::string name = BaseName(path).substr(0, kLongestBase);
  for (char& c : name) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) c = '_';
  }
  return absl::StrCat(name, ".", hash, ending);
}

bool IsPartName(const std::string& path, absl::string_view name, absl::string_view ending) {
  constexpr size_t kHash = 32;
  if (name.size() < kHash + ending.size()) return false;
  const absl::string_view hash = name.substr(name.size() - kHash - ending.size(), kHash);
  return std::all_of(hash.begin(), hash.end(),
                     [](unsigned char c) { return absl::ascii_isxdigit(c); }) &&
         name == PartName(path, hash, ending);
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes) {
  absl::StatusOr<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(path);
  if (!file.ok()) return file.status();
  if (absl::Status s = (*file)->Append(bytes); !s.ok()) return s;
  return (*file)->Commit();
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string BaseName(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

}  // namespace sluice
