#include "exchange/weights.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <functional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
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

// Calls job(0) to job(jobs - 1), each once, on this thread and up to `helpers` more.
void OnThreads(size_t jobs, size_t helpers, const std::function<void(size_t)>& job) {
  struct Shared {
    const std::function<void(size_t)>& job;
    const size_t jobs;
    std::atomic<size_t> next{0};
    void Work() {
      for (size_t i = next++; i < jobs; i = next++) job(i);
    }
  } shared{job, jobs};
  constexpr int kMaxThreads = 8;  // more do not read memory any faster
  cpu_set_t cores;
  const int threads = sched_getaffinity(0, sizeof cores, &cores) == 0
                          ? std::min(CPU_COUNT(&cores), kMaxThreads)
                          : 1;
  helpers = std::min({helpers, jobs, static_cast<size_t>(threads - 1)});
  std::vector<pthread_t> started;
  while (started.size() < helpers) {
    pthread_t thread;
    const auto work = [](void* s) -> void* {
      static_cast<Shared*>(s)->Work();
      return nullptr;
    };
    if (pthread_create(&thread, nullptr, work, &shared) != 0) break;  // then there are fewer
    started.push_back(thread);
  }
  shared.Work();
  for (pthread_t thread : started) pthread_join(thread, nullptr);
}

}  // namespace

Safetensors CollectWeights(const Graph& graph) {
  Safetensors weights;
  absl::flat_hash_set<std::string> seen;
  Collect(graph, &seen, &weights);
  return weights;
}

std::string HashOfWeights(const Safetensors& weights) {
  Hasher hasher;
  for (const auto& [name, tensor] : weights.tensors) hasher.AddBytes(name.data(), name.size());
  return hasher.Hex();
}

WeightStore::WeightStore(Safetensors content, bool verify) {
  for (auto& [name, tensor] : content.tensors)
    entries_.emplace(name, Entry{std::move(tensor), true});
  if (!verify) return;
  std::vector<std::pair<absl::string_view, Entry*>> open;
  for (auto& [name, entry] : entries_) open.push_back({name, &entry});
  std::sort(open.begin(), open.end(), [](const auto& a, const auto& b) {  // the largest first
    return a.second->tensor.bytes() > b.second->tensor.bytes();
  });
  size_t bytes = 0;
  for (const auto& [name, entry] : open) bytes += entry->tensor.bytes();
  constexpr size_t kWorthAThread = size_t{1} << 20;
  OnThreads(open.size(), bytes / kWorthAThread, [&](size_t i) {
    const auto& [name, entry] = open[i];
    entry->intact = entry->tensor.ContentHash() == name;
    ReleasePages(entry->tensor);  // who needs them reads them again, from the page cache
  });
}

absl::StatusOr<Tensor> WeightStore::Find(absl::string_view hash) const {
  auto it = entries_.find(hash);
  if (it == entries_.end())
    return absl::NotFoundError("the weights file has no tensor of this name");
  if (!it->second.intact) {
    return absl::DataLossError(
        "its content in the weights file does not match its checksum: the file is damaged");
  }
  return it->second.tensor;
}

}  // namespace sluice
