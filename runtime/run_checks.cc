#include "runtime/run_checks.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "graph/effects.h"
#include "graph/text.h"

namespace sluice {

absl::Status CheckOptions(const SessionOptions& options) {
  if (options.memory_limit < 0) {
    return absl::InvalidArgumentError(absl::StrCat("SessionOptions::memory_limit is ",
                                                   options.memory_limit,
                                                   "; expected bytes, or 0 for no limit"));
  }
  if (options.threads < 0 || options.threads > SessionOptions::kMaxThreads) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a session of ", options.threads, " threads: expected 0 (every core that this process may ",
        "use) to ", SessionOptions::kMaxThreads));
  }
  return absl::OkStatus();
}

absl::Status CheckOutputs(const Graph& graph) {
  if (!graph.status().ok()) return graph.status();
  const bool writes = std::any_of(graph.nodes().begin(), graph.nodes().end(),
                                  [](const auto& node) { return HasEffects(*node); });
  if (graph.outputs().empty() && !writes) {
    return absl::InvalidArgumentError(
        absl::StrCat("graph ", Shown(graph.name()),
                     " has no outputs and assigns no variable: nothing to run; add one "
                     "(GraphBuilder::Output), and see whether the "
                     "builder's status() is OK"));
  }
  absl::flat_hash_map<absl::string_view, const Value*> named;
  for (size_t i = 0; i < graph.outputs().size(); ++i) {
    const auto [it, first] = named.try_emplace(graph.output_names()[i], graph.outputs()[i]);
    if (first || it->second == graph.outputs()[i]) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("graph ", Shown(graph.name()), " has two outputs named ", Shown(it->first),
                     ", of values ", Shown(it->second->name()), " and ",
                     Shown(graph.outputs()[i]->name()), "; give them different names"));
  }
  return absl::OkStatus();
}

absl::Status AlignFeed(Tensor* feed) {
  if (feed->aligned()) return absl::OkStatus();
  absl::StatusOr<Tensor> aligned = feed->Aligned();
  if (!aligned.ok()) return aligned.status();
  *feed = *std::move(aligned);
  return absl::OkStatus();
}

bool OverlapsAny(const MemoryRange& s, absl::Span<const MemoryRange> others) {
  return std::any_of(others.begin(), others.end(),
                     [&](const MemoryRange& other) { return s.Overlaps(other); });
}

void ListRanges(absl::Span<const Tensor> tensors, std::vector<MemoryRange>* list) {
  list->clear();
  for (const Tensor& t : tensors) list->push_back(MemoryRange(t));
}

absl::Status CheckGiven(absl::Span<const Tensor> given, absl::Span<const MemoryRange> places,
                        absl::Span<const MemoryRange> fed, const Plan& plan) {
  for (size_t i = 0; i < given.size(); ++i) {
    if (!given[i].valid()) continue;
    const Type& type = plan.outputs()[i].type;
    if (!plan.outputs()[i].Takes(given[i])) {
      if (!plan.outputs()[i].is_static) {
        return absl::InvalidArgumentError(
            absl::StrCat("output ", i, " is sized by the data (", type.ToString(),
                         "): it cannot be written to memory given beforehand"));
      }
      return absl::InvalidArgumentError(absl::StrCat("output ", i, " is ", type.ToString(),
                                                     ", but the tensor given for it is ",
                                                     given[i].TypeString()));
    }
    if (!given[i].aligned()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the tensor given for output ", i, " is not aligned to its elements of ",
                       ByteSize(given[i].dtype()), " bytes; Tensor::Allocate() gives one that is"));
    }
    if (OverlapsAny(places[i], fed)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the tensor given for output ", i,
          " shares memory with a feed, which the run still reads; give it other memory"));
    }
    if (OverlapsAny(places[i], places.first(i))) {
      return absl::InvalidArgumentError(
          absl::StrCat("the tensor given for output ", i,
                       " shares memory with that of an earlier output; give each its own"));
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice
