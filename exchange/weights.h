// A graph's larger constants in a safetensors file, under their content hashes.
#ifndef SLUICE_EXCHANGE_WEIGHTS_H_
#define SLUICE_EXCHANGE_WEIGHTS_H_

#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "exchange/safetensors.h"
#include "graph/graph.h"

namespace sluice {

// Constants with more elements than this leave the graph's own bytes.
inline constexpr int64_t kMaxInlineElements = 64;

// What does not stand in the graph's bytes: neither small, nor generated, nor strings. Each content
// once, whatever the number of places.
Safetensors CollectWeights(const Graph& graph);

// Finds tensors by content hash.
class WeightStore {
 public:
  // `verify` compares a tensor's content with its name when it is first found, so that a damaged
  // file is noticed; it reads all of the tensor.
  // Those named in `trusted` are not compared.
  WeightStore(Safetensors content, bool verify, absl::flat_hash_set<std::string> trusted = {});
  absl::StatusOr<Tensor> Find(absl::string_view hash) const;

 private:
  absl::flat_hash_map<std::string, Tensor> tensors_;
  bool verify_;
  absl::flat_hash_set<std::string> trusted_;
};

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_WEIGHTS_H_
