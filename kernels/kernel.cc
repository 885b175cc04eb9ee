#include "kernels/kernel.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/format.h"

namespace sluice {

KernelTable::KernelTable(absl::Span<const KernelCandidate> candidates) {
  for (const KernelCandidate& c : candidates) by_op_[c.op].push_back(c);
}

bool KernelTable::Has(absl::string_view op) const { return by_op_.contains(std::string(op)); }

absl::Span<const KernelCandidate> KernelTable::Find(absl::string_view op) const {
  auto it = by_op_.find(std::string(op));
  if (it == by_op_.end()) return {};
  return it->second;
}

absl::StatusOr<std::vector<KernelTable::Ranked>> KernelTable::Rank(
    const PrepareContext& context, std::vector<std::string>* refusals) const {
  std::optional<PrepareContext> alone;
  if (context.deterministic) alone.emplace(context).threads = 1;
  const PrepareContext& basis = alone.has_value() ? *alone : context;
  std::vector<Ranked> ranked;
  std::vector<size_t> places;  // of those with an estimate
  for (const KernelCandidate& c : Find(context.node.op_name())) {
    double nanoseconds = -1;
    if (c.estimate != nullptr) {
      absl::StatusOr<double> estimate = c.estimate(basis);
      if (absl::IsUnimplemented(estimate.status())) {
        refusals->push_back(absl::StrCat(c.name, ": ", estimate.status().message()));
        continue;
      }
      if (!estimate.ok())
        return NodeError(context.node, estimate.status().code(), estimate.status().message());
      nanoseconds = *estimate;
      places.push_back(ranked.size());
    }
    ranked.push_back({&c, nanoseconds});
  }
  std::vector<Ranked> sorted;
  for (size_t place : places) sorted.push_back(ranked[place]);
  std::sort(sorted.begin(), sorted.end(), [](const Ranked& a, const Ranked& b) {
    return std::pair(a.nanoseconds, a.candidate) < std::pair(b.nanoseconds, b.candidate);
  });
  for (size_t i = 0; i < places.size(); ++i) ranked[places[i]] = sorted[i];
  return ranked;
}

absl::StatusOr<std::unique_ptr<Kernel>> KernelTable::Prepare(const PrepareContext& context,
                                                             std::string* choice) const {
  std::vector<std::string> refusals;
  absl::StatusOr<std::vector<Ranked>> ranked = Rank(context, &refusals);
  if (!ranked.ok()) return ranked.status();
  for (size_t i = 0; i < ranked->size(); ++i) {
    const Ranked& r = (*ranked)[i];
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = r.candidate->prepare(context);
    if (kernel.ok()) {
      if (choice == nullptr) return kernel;
      std::vector<std::string> reasons;
      if (r.nanoseconds >= 0)
        reasons.push_back(absl::StrCat("est. ", FormatNanoseconds(r.nanoseconds)));
      for (const Ranked& other : absl::MakeSpan(*ranked).subspan(i + 1)) {
        if (other.nanoseconds < 0) continue;
        reasons.push_back(
            absl::StrCat(other.candidate->name, " est. ", FormatNanoseconds(other.nanoseconds)));
      }
      reasons.insert(reasons.end(), refusals.begin(), refusals.end());
      *choice = absl::StrJoin(reasons, "; ");
      return kernel;
    }
    if (!absl::IsUnimplemented(kernel.status()))
      return NodeError(context.node, kernel.status().code(), kernel.status().message());
    refusals.push_back(absl::StrCat(r.candidate->name, ": ", kernel.status().message()));
  }
  const std::string why =
      refusals.empty() ? absl::StrCat("no kernel for ", context.node.op_name(), " on this device")
                       : absl::StrJoin(refusals, "; ");
  if (choice != nullptr) *choice = absl::StrJoin(refusals, "; ");
  return NodeError(context.node, absl::StatusCode::kUnimplemented, why);
}

absl::StatusOr<std::unique_ptr<Kernel>> KernelTable::PrepareOpen(
    const PrepareContext& context) const {
  for (const KernelCandidate& c : Find(context.node.op_name())) {
    if (!c.open) continue;
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = c.prepare(context);
    if (kernel.ok() || !absl::IsUnimplemented(kernel.status())) return kernel;
  }
  return absl::UnimplementedError("no kernel takes its extents at launch");
}

std::string FormatNanoseconds(double ns) {
  return ns < 1e3   ? Format("%.0f ns", ns)
         : ns < 1e6 ? Format("%.3g us", ns / 1e3)
                    : Format("%.3g ms", ns / 1e6);
}

}  // namespace sluice
