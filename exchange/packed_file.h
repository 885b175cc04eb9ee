// A PackedSet inside a model's safetensors: tensors `sluice.packed.<i>` and, in the metadata,
// `sluice.packed` (the key), `sluice.packed.<i>.constant`, `.format`, `.seal`, `.bytes` and
// `.source`, the content hash of the constant itself.
#ifndef SLUICE_EXCHANGE_PACKED_FILE_H_
#define SLUICE_EXCHANGE_PACKED_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "exchange/safetensors.h"
#include "graph/graph.h"
#include "graph/packed_set.h"

namespace sluice {

// Entries of constants that the graph does not have by this name are left out.
absl::Status AddPacked(const Graph& graph, const PackedSet& set, Safetensors* content);

// Takes the section out of `content`; an empty key where there is none. A section that breaks its
// own rules is dropped with a note: packed weights are a help, never needed. Whether the bytes are
// what their seals say is for whoever takes them to check.
PackedSet TakePacked(Safetensors* content);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_PACKED_FILE_H_
