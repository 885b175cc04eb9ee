// What a caller hands to a session, checked: options, graphs, and the memory of feeds and outputs.
#ifndef SLUICE_RUNTIME_RUN_CHECKS_H_
#define SLUICE_RUNTIME_RUN_CHECKS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "graph/graph.h"
#include "graph/tensor.h"
#include "runtime/plan.h"
#include "runtime/session.h"

namespace sluice {

absl::Status CheckOptions(const SessionOptions& options);

// What a run gives back must be there, and be told apart by name.
absl::Status CheckOutputs(const Graph& graph);

// Feeds may lie at any byte; kernels read aligned elements.
absl::Status AlignFeed(Tensor* feed);

// The bytes of a tensor that a run reads or writes.
struct MemoryRange {
  const char *begin = nullptr, *end = nullptr;

  MemoryRange() = default;
  explicit MemoryRange(const Tensor& t)
      : begin(static_cast<const char*>(t.raw())), end(begin + t.bytes()) {}
  bool Overlaps(const MemoryRange& other) const {
    return begin < other.end && other.begin < end && begin < end && other.begin < other.end;
  }
};

bool OverlapsAny(const MemoryRange& s, absl::Span<const MemoryRange> others);
// Of each tensor; nothing where it is invalid.
void ListRanges(absl::Span<const Tensor> tensors, std::vector<MemoryRange>* list);

// Given outputs (invalid: not given) fit the plan's, and none lies where a run reads or writes
// something else. `places`: of `given`; `fed`: of the feeds.
absl::Status CheckGiven(absl::Span<const Tensor> given, absl::Span<const MemoryRange> places,
                        absl::Span<const MemoryRange> fed, const Plan& plan);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_RUN_CHECKS_H_
