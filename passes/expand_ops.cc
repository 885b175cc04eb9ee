#include "passes/expand_ops.h"

#include "absl/strings/str_cat.h"
#include "graph/patch.h"
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
  Patch patch(node.graph(), &node, kPass);
  absl::StatusOr<std::vector<Value*>> values = node.op().expand(patch.builder(), node);
  const absl::Status built = values.ok() ? patch.builder().status() : values.status();
  if (absl::IsInvalidArgument(built)) {
    context.Refused(kPass, node,
                    built.message().substr(0, 200));  // it fails when it runs, if it does
    return false;
  }
  if (!built.ok()) return built;
  if (values->size() < node.num_outputs()) {
    return NodeError(node, absl::StatusCode::kInternal,
                     absl::StrCat("its expansion gives ", values->size(), " of ",
                                  node.num_outputs(), " outputs"));
  }
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    if (!node.output(i)->used()) continue;  // one that the expansion may leave out
    patch.Replace(node.output(i), (*values)[i]);
  }
  for (Node* added : patch.builder().added()) {
    added->set_device(node.device());
    for (Node* earlier : node.control_inputs()) added->AddControlInput(earlier);
    for (Node* later : node.control_uses()) later->AddControlInput(added);
  }
  const std::vector<Node*> added = patch.builder().added();
  Finding finding{kPass, node.name(), true, absl::StrCat(op, ": ", why)};
  if (absl::Status s = patch.Commit(); !s.ok()) return s;
  if (context.findings != nullptr) context.findings->push_back(std::move(finding));
  for (Node* inner : added) {
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
