// How passes walk and edit a graph: node by node, in order, bodies included.
#ifndef SLUICE_PASSES_REWRITE_H_
#define SLUICE_PASSES_REWRITE_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "graph/builder.h"
#include "passes/pass.h"

namespace sluice {

// The bodies of a FusedLoop are closed to passes: its kernel took them as they are, and they must
// read nothing around them.
bool IsSealed(const Node& node);

// Calls `visit` on every node, a body's nodes before their owner; sealed bodies are left out. It
// may erase the node, and what stands before it, and insert before it; what it inserts is not
// visited. True if any call was.
absl::StatusOr<bool> VisitNodes(Graph& graph, absl::FunctionRef<absl::StatusOr<bool>(Node&)> visit);

// Puts what the op's expansion makes of the node in its place; gives the nodes that it is made of.
// InvalidArgument where it does not take the node as it is: it stays.
absl::StatusOr<std::vector<Node*>> ExpandNode(Node& node, const char* pass);

// The place a rule looks at, and a builder for what it would put there. What was built is taken out
// again unless the rule returns it.
class Site {
 public:
  Site(Node& node, GraphBuilder& builder, bool strict) : node(node), b(builder), strict(strict) {}

  Node& node;
  GraphBuilder& b;
  const bool strict;  // PassOptions::strict

  // For a near match that a user would wonder about: return site.Refuse("...").
  Value* Refuse(absl::string_view reason) {
    reason_ = std::string(reason);
    return nullptr;
  }
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

// A local improvement: what the node's first output may be replaced by (an existing value or a new
// one), or null. Nodes with control edges, effects or other used outputs are never shown to rules.
struct Rule {
  const char* op;
  const char* what;  // for the report: "x + 0 is x"
  Value* (*apply)(Site& site);
};

// Tries the rules of each node's op in turn until one matches.
absl::StatusOr<bool> ApplyRules(Graph& graph, PassContext& context, const char* pass,
                                absl::Span<const Rule> rules);

}  // namespace sluice

#endif  // SLUICE_PASSES_REWRITE_H_
