// PackedSet: weights in the forms that kernels packed them into, as a value between a session,
// which makes and takes it, and a file.
#ifndef SLUICE_GRAPH_PACKED_SET_H_
#define SLUICE_GRAPH_PACKED_SET_H_

#include <string>
#include <vector>

#include "graph/tensor.h"

namespace sluice {

struct PackedSet {
  struct Entry {
    std::string constant;  // the value's name in the graph
    Tensor source;         // that constant: an entry counts for this very memory, not for its name
    std::string source_hash;  // its Tensor::ContentHash()
    std::string format;  // what the bytes depend on besides the contents: the packer's own words
    std::string seal;    // one hash of source_hash, format and bytes: they belong together
    Tensor bytes;        // u8[n]
  };
  std::string key;   // what all depends on: instruction set, versions
  std::string note;  // why a file's set could not be read; then it is empty
  std::vector<Entry> entries;
};

}  // namespace sluice

#endif  // SLUICE_GRAPH_PACKED_SET_H_
