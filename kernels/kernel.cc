#include "kernels/kernel.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

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

absl::StatusOr<std::unique_ptr<Kernel>> KernelTable::Prepare(
    const PrepareContext& context, std::vector<std::string>* refusals) const {
  std::vector<std::string> reasons;
  for (const KernelCandidate& c : Find(context.node.op_name())) {
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = c.prepare(context);
    if (kernel.ok()) {
      if (refusals != nullptr) *refusals = std::move(reasons);
      return kernel;
    }
    if (!absl::IsUnimplemented(kernel.status())) {
      return NodeError(context.node, kernel.status().code(), kernel.status().message());
    }
    reasons.push_back(absl::StrCat(c.name, ": ", kernel.status().message()));
  }
  const std::string why =
      reasons.empty() ? absl::StrCat("no kernel for ", context.node.op_name(), " on this device")
                      : absl::StrJoin(reasons, "; ");
  if (refusals != nullptr) *refusals = std::move(reasons);
  return NodeError(context.node, absl::StatusCode::kUnimplemented, why);
}

}  // namespace sluice
