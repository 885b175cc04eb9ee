#include "runtime/sections.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "graph/effects.h"
#include "kernels/cpu/cost/cost.h"
#include "runtime/cost.h"
#include "runtime/plan.h"

namespace sluice {
namespace {

constexpr int kMaxSteps = 64;           // of a section: looking for them is this times the steps
constexpr int64_t kMaxBytes = 8 << 20;  // of results that a section holds at once
// Estimates are rough: a section must promise this share of the time, and this much of it.
constexpr double kShare = 0.8, kLeastNs = 1000;

// What a step takes besides its arithmetic, and the share of the best rate that it mostly reaches.
constexpr double kLaunchNs = 50, kUsualShare = 0.5;

// Steps from `first` on that have been joined into branches.
class Branches {
 public:
  explicit Branches(int first) : first_(first) {}

  void Add(const SectionStep& step) {
    const int id = static_cast<int>(parent_.size());
    parent_.push_back(id);
    ++count_;
    for (int need : step.needs) {
      if (need < first_) continue;
      const int a = Find(need - first_), b = Find(id);
      if (a == b) continue;
      parent_[std::max(a, b)] = std::min(a, b);
      --count_;
    }
  }
  int count() const { return count_; }
  int Find(int i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }

 private:
  const int first_;
  int count_ = 0;
  std::vector<int> parent_;
};

// The longest stretch from `first` on that has two branches or more; empty where there is none.
int EndOfBranches(absl::Span<const SectionStep> steps, int first) {
  Branches branches(first);
  int end = first;
  int64_t bytes = 0;
  const int limit = std::min(static_cast<int>(steps.size()), first + kMaxSteps);
  for (int i = first; i < limit && steps[i].may_overlap; ++i) {
    bytes += steps[i].bytes;
    if (bytes > kMaxBytes) break;
    const int before = branches.count();
    branches.Add(steps[i]);
    if (branches.count() > 1) {
      end = i + 1;
    } else if (before > 1) {
      break;  // they meet
    }
  }
  return end;
}

// Branches to lanes, the longest first, each to the lane that is free first.
Section Share(absl::Span<const SectionStep> steps, int first, int last, int threads,
              double* longest) {
  Branches branches(first);
  for (int i = first; i < last; ++i) branches.Add(steps[i]);
  struct Branch {
    double ns = 0;
    std::vector<int> steps;
  };
  std::vector<Branch> by_root(static_cast<size_t>(last - first));
  for (int i = first; i < last; ++i) {
    Branch& b = by_root[branches.Find(i - first)];
    b.ns += steps[i].alone_ns;
    b.steps.push_back(i);
  }
  std::erase_if(by_root, [](const Branch& b) { return b.steps.empty(); });
  std::stable_sort(by_root.begin(), by_root.end(),
                   [](const Branch& a, const Branch& b) { return a.ns > b.ns; });
  Section section{first, last, {}};
  section.lanes.resize(std::min<size_t>(by_root.size(), static_cast<size_t>(threads)));
  std::vector<double> busy(section.lanes.size(), 0);
  for (const Branch& b : by_root) {
    const size_t lane = std::min_element(busy.begin(), busy.end()) - busy.begin();
    busy[lane] += b.ns;
    section.lanes[lane].insert(section.lanes[lane].end(), b.steps.begin(), b.steps.end());
  }
  for (std::vector<int>& lane : section.lanes) std::sort(lane.begin(), lane.end());
  *longest = *std::max_element(busy.begin(), busy.end());
  return section;
}

}  // namespace

std::vector<SectionStep> SectionSteps(absl::Span<const Step> steps, size_t slots, int threads) {
  std::vector<SectionStep> known;
  absl::flat_hash_map<const Node*, int> index;
  std::vector<int> maker(slots, -1);
  for (const Step& step : steps) {
    const int now = static_cast<int>(known.size());
    SectionStep& s = known.emplace_back();
    for (const auto* read : {&step.inputs, &step.reads}) {
      for (int slot : *read) {
        if (maker[slot] >= 0) s.needs.push_back(maker[slot]);
      }
    }
    for (const Node* before : step.node->control_inputs()) {
      if (auto it = index.find(before); it != index.end()) s.needs.push_back(it->second);
    }
    index[step.node] = now;
    for (int slot : step.outputs) maker[slot] = now;
    s.may_overlap = step.kernel != nullptr && !step.sliced && IsPure(*step.node);
    if (!s.may_overlap || !step.kernel->views().empty()) continue;
    const NodeCost cost = CostOf(*step.node);
    const auto ns = [&](int with) {
      return kLaunchNs + cpu::ForkNs(with) +
             std::max(cpu::ComputeNs(cost.flops, kUsualShare, with),
                      cpu::MoveNs(cost.bytes, cost.bytes, with));
    };
    s.alone_ns = ns(1);
    s.together_ns = std::min(ns(1), ns(threads));
    for (const Type& t : step.output_types) {
      absl::StatusOr<int64_t> n = ElementCount(*t.StaticDims(), ByteSize(t.dtype()));
      s.bytes += n.ok() ? *n * static_cast<int64_t>(ByteSize(t.dtype())) : kMaxBytes;
    }
  }
  return known;
}

std::vector<Section> FindSections(absl::Span<const SectionStep> steps, int threads,
                                  double fork_ns) {
  std::vector<Section> sections;
  if (threads < 2) return sections;
  const int n = static_cast<int>(steps.size());
  for (int first = 0; first < n;) {
    const int last = EndOfBranches(steps, first);
    if (last > first) {
      double longest = 0, in_turn = 0;
      Section section = Share(steps, first, last, threads, &longest);
      for (int i = first; i < last; ++i) in_turn += steps[i].together_ns;
      const double side_by_side = longest + fork_ns;
      if (side_by_side < kShare * in_turn && in_turn - side_by_side > kLeastNs) {
        sections.push_back(std::move(section));
        first = last;
        continue;
      }
    }
    ++first;
  }
  return sections;
}

}  // namespace sluice
