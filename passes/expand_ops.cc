#include "passes/expand_ops.h"

#include "absl/strings/str_cat.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

constexpr char kPass[] = "expand_ops";

// Empty: the node stays.
std::string WhyExpand(const Node& node, const PassContext& context) {
  if (node.op().expand == nullptr) return "";
  if (node.op().expand_always) return "its expansion is its implementation";
  if (!context.target.takes) return "";
  const absl::Status taken = context.target.takes(node);
  return taken.ok() ? "" : std::string(taken.message().substr(0, 200));
}

absl::StatusOr<bool> Expand(Node& node, PassContext& context, int depth) {
  const std::string why = WhyExpand(node, context);
  if (why.empty()) return false;
  if (depth > ExpandOps::kMaxDepth) {
    return NodeError(node, absl::StatusCode::kInternal,
                     absl::StrCat("its expansion goes deeper than ", ExpandOps::kMaxDepth));
  }
  const std::string op(node.op_name());
  Finding finding{kPass, node.name(), true, absl::StrCat(op, ": ", why)};
  absl::StatusOr<std::vector<Node*>> added = ExpandNode(node, kPass);
  if (absl::IsInvalidArgument(added.status())) {
    context.Refused(kPass, node,
                    added.status().message().substr(0, 200));  // it fails when it runs, if it does
    return false;
  }
  if (!added.ok()) return added.status();
  if (context.findings != nullptr) context.findings->push_back(std::move(finding));
  for (Node* inner : *added) {
    for (const auto& [name, body] : inner->bodies()) {
      absl::StatusOr<bool> inside =
          VisitNodes(*body, [&](Node& n) { return Expand(n, context, depth + 1); });
      if (!inside.ok()) return inside;
    }
    if (absl::StatusOr<bool> more = Expand(*inner, context, depth + 1); !more.ok()) return more;
  }
  return true;
}

}  // namespace

absl::StatusOr<bool> ExpandOps::Run(Graph& graph, PassContext& context) const {
  return VisitNodes(graph, [&](Node& node) { return Expand(node, context, 0); });
}

}  // namespace sluice
