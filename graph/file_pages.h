// Memory that a file stands behind, as mapped weights are: its pages may go back to the system at
// any time and return when they are read. So weights that a kernel has packed cost no memory twice.
#ifndef SLUICE_GRAPH_FILE_PAGES_H_
#define SLUICE_GRAPH_FILE_PAGES_H_

#include "graph/tensor.h"

namespace sluice {

// The deleter of an owner whose memory is a read-only mapping of a file: by it the mapping is told
// from other memory, which would be lost.
struct FileBacked {
  template <typename T>
  void operator()(const T* owner) const {
    delete owner;
  }
};

// Gives back the whole pages of a file-backed tensor; does nothing to others. Thread-safe: who
// reads the tensor meanwhile sees the same numbers.
void ReleasePages(const Tensor& tensor);

}  // namespace sluice

#endif  // SLUICE_GRAPH_FILE_PAGES_H_
