#include "graph/file_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <memory>

namespace sluice {

void ReleasePages(const Tensor& tensor) {
  if (std::get_deleter<FileBacked>(tensor.owner()) == nullptr) return;
  static const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  // Whole pages inside the tensor.
  const uintptr_t begin = reinterpret_cast<uintptr_t>(tensor.raw());
  const size_t skipped = (page - begin % page) % page;
  if (skipped >= tensor.bytes()) return;
  const size_t bytes = (tensor.bytes() - skipped) / page * page;
  char* const first = const_cast<char*>(static_cast<const char*>(tensor.raw())) + skipped;
  if (bytes > 0) (void)madvise(first, bytes, MADV_DONTNEED);
}

}  // namespace sluice
