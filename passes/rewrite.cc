#include "passes/rewrite.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "graph/effects.h"
#include "graph/patch.h"

namespace sluice {
namespace {

bool MayReplace(const Node& node) {
  if (!IsPure(node) || !node.control_inputs().empty() || !node.control_uses().empty()) {
    return false;
  }
  for (size_t i = 1; i < node.num_outputs(); ++i) {
    if (node.output(i)->used()) return false;
  }
  return true;
}

absl::StatusOr<bool> Apply(const Rule& rule, Node& node, PassContext& context, const char* pass) {
  Patch patch(node.graph(), &node, pass);
  Site site(node, patch.builder(), context.strict);
  Value* value = rule.apply(site);
  if (!site.reason().empty()) context.Refused(pass, node, site.reason());
  if (const absl::Status& s = patch.builder().status(); absl::IsInvalidArgument(s)) {
    context.Refused(pass, node, s.message().substr(0, 200));  // it fails when it runs, if it does
    return false;
  } else if (!s.ok()) {
    return s;
  }
  if (value == nullptr || value == node.output()) return false;
  if (!context.Spend()) return false;
  Finding finding{pass, node.name(), true, rule.what};
  patch.Replace(node.output(), value);
  if (absl::Status s = patch.Commit(); !s.ok()) return s;
  if (context.findings != nullptr) context.findings->push_back(std::move(finding));
  return true;
}

}  // namespace

bool IsSealed(const Node& node) { return node.Is("FusedLoop"); }

absl::StatusOr<bool> VisitNodes(Graph& graph,
                                absl::FunctionRef<absl::StatusOr<bool>(Node&)> visit) {
  bool changed = false;
  for (auto it = graph.nodes().begin(); it != graph.nodes().end();) {
    Node& node = **it++;
    for (const auto& [name, body] : node.bodies()) {
      if (IsSealed(node)) break;
      absl::StatusOr<bool> inside = VisitNodes(*body, visit);
      if (!inside.ok()) return inside;
      changed |= *inside;
    }
    absl::StatusOr<bool> result = visit(node);
    if (!result.ok()) return result;
    changed |= *result;
  }
  return changed;
}

absl::StatusOr<std::vector<Node*>> ExpandNode(Node& node, const char* pass) {
  Patch patch(node.graph(), &node, pass);
  absl::StatusOr<std::vector<Value*>> values = node.op().expand(patch.builder(), node);
  if (!values.ok()) return values.status();
  if (!patch.builder().status().ok()) return patch.builder().status();
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    if (!node.output(i)->used()) continue;  // one that the expansion may leave out
    if (i >= values->size()) {
      return NodeError(node, absl::StatusCode::kInternal,
                       absl::StrCat("its expansion gives ", values->size(), " of ",
                                    node.num_outputs(), " outputs"));
    }
    patch.Replace(node.output(i), (*values)[i]);
  }
  std::vector<Node*> added = patch.builder().added();
  for (Node* inner : added) {
    inner->set_device(node.device());
    for (Node* earlier : node.control_inputs()) inner->AddControlInput(earlier);
    for (Node* later : node.control_uses()) later->AddControlInput(inner);
  }
  if (absl::Status s = patch.Commit(); !s.ok()) return s;
  return added;
}

absl::StatusOr<bool> ApplyRules(Graph& graph, PassContext& context, const char* pass,
                                absl::Span<const Rule> rules) {
  absl::flat_hash_map<absl::string_view, std::vector<const Rule*>> by_op;
  for (const Rule& rule : rules) by_op[rule.op].push_back(&rule);
  return VisitNodes(graph, [&](Node& node) -> absl::StatusOr<bool> {
    auto it = by_op.find(node.op_name());
    if (it == by_op.end() || !MayReplace(node)) return false;
    for (const Rule* rule : it->second) {
      absl::StatusOr<bool> applied = Apply(*rule, node, context, pass);
      if (!applied.ok() || *applied) return applied;
    }
    return false;
  });
}

}  // namespace sluice
