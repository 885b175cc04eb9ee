// A graph's larger constants in a safetensors file, under their content hashes.
#ifndef SLUICE_EXCHANGE_WEIGHTS_H_
#define SLUICE_EXCHANGE_WEIGHTS_H_

#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "exchange/safetensors.h"
#include "graph/graph.h"

namespace sluice {

// Constants with more elements than this leave the graph's own bytes.
inline constexpr int64_t kMaxInlineElements = 64;

// What does not stand in the graph's bytes: neither small, nor generated, nor strings. Each content
// once, whatever the number of places.
Safetensors CollectWeights(const Graph& graph);

// One hash of all of them, by their names: what a file of them can be named after.
std::string HashOfWeights(const Safetensors& weights);

// Finds tensors by content hash.
class WeightStore {
 public:
  // `verify` reads all of every tensor, on several threads, and compares it with its name: so a
  // damaged file is noticed before anything of it is used.
  WeightStore(Safetensors content, bool verify);
  absl::StatusOr<Tensor> Find(absl::string_view hash) const;

 private:
  struct Entry {
    Tensor tensor;
    bool intact = true;
  };
  absl::flat_hash_map<std::string, Entry> entries_;
};

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_WEIGHTS_H_
