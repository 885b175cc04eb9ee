#include "exchange/weights.h"

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "graph/file_pages.h"

namespace sluice {
namespace {

void Collect(const Graph& graph, absl::flat_hash_set<std::string>* seen, Safetensors* out) {
  for (const auto& node : graph.nodes()) {
    for (const auto& [name, value] : node->attrs()) {
      if (value.kind() != AttrKind::kTensor) continue;
      const Tensor& t = value.as_tensor();
      if (t.elements() <= kMaxInlineElements || t.random().has_value() ||
          t.dtype() == DType::kString)
        continue;
      std::string hash = t.ContentHash();
      if (seen->insert(hash).second) out->tensors.push_back({std::move(hash), t});
    }
    for (const auto& [name, body] : node->bodies()) Collect(*body, seen, out);
  }
  for (const auto& [name, function] : graph.functions()) Collect(*function, seen, out);
}

}  // namespace

Safetensors CollectWeights(const Graph& graph) {
  Safetensors weights;
  absl::flat_hash_set<std::string> seen;
  Collect(graph, &seen, &weights);
  return weights;
}

WeightStore::WeightStore(Safetensors content, bool verify, absl::flat_hash_set<std::string> trusted)
    : verify_(verify), trusted_(std::move(trusted)) {
  for (auto& [name, tensor] : content.tensors) tensors_.emplace(name, std::move(tensor));
}

absl::StatusOr<Tensor> WeightStore::Find(absl::string_view hash) const {
  auto it = tensors_.find(hash);
  if (it == tensors_.end())
    return absl::NotFoundError("the weights file has no tensor of this name");
  if (!verify_ || trusted_.contains(hash)) return it->second;
  const bool intact = it->second.ContentHash() == hash;
  ReleasePages(it->second);  // who needs them reads them again, from the page cache
  if (!intact) {
    return absl::DataLossError(
        "its content in the weights file does not match its checksum: the file is damaged");
  }
  return it->second;
}

}  // namespace sluice
